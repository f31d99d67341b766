"""Every verb on batches, under one name: `store.begin`, `store.add`, `store.accept`, `store.cancel_some`, …"""

from worker.batches.reading import (
    Line,
    Spent,
    awaits_approval,
    counts,
    first_are_open,
    get,
    items,
    locked,
    manifest,
    page,
    problems,
    spent,
)
from worker.batches.receiving import Entry, Gone, NewBatch, NewProblem, Received, accept, add, begin, discard
from worker.batches.steering import approve, cancel, cancel_some, move_some, pause, reopen, resume

__all__ = [
    "Entry",
    "Gone",
    "Line",
    "NewBatch",
    "NewProblem",
    "Received",
    "Spent",
    "accept",
    "add",
    "approve",
    "awaits_approval",
    "begin",
    "cancel",
    "cancel_some",
    "counts",
    "discard",
    "first_are_open",
    "get",
    "items",
    "locked",
    "manifest",
    "move_some",
    "page",
    "pause",
    "problems",
    "reopen",
    "resume",
    "spent",
]
