"""No write under a lease number that is not the row's: what a worker wrote after it lost a render would show here."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.books import Books, Row
from tests.chaos.invariants.violation import Violation

ENDS = {
    "done": {"succeeded"},
    "failed": {"failed"},
    "canceled": {"canceled", "expired"},  # one whose deadline passed is ended by the canceller too
    "expired": {"expired"},
}
"""Outcomes of an attempt that end a run, and the statuses that each may end it in."""


def lease(books: Books) -> Iterator[Violation]:
    """Lease numbers grow with each claim, none is the row's future, and a claim begins after the one before it ended:
    an outcome written later is a zombie's."""
    for render, row in books.renders.items():
        attempts = sorted(books.of(books.attempts, render), key=lambda one: one["lease"])
        for one in attempts:
            if one["lease"] > row["lease"]:
                yield Violation("lease", render, f"an attempt of lease {one['lease']}, the row is at {row['lease']}")
        for before, after in pairwise(attempts):
            if after["stage"] == "poll":
                continue  # written with its end, for the whole of the stage
            if before["ended_at"] is None or before["ended_at"] > after["started_at"]:
                facts = f"lease {before['lease']} ({before['stage']}, {before['outcome']}) ended after lease"
                yield Violation("lease", render, f"{facts} {after['lease']} ({after['stage']}) had begun")
        if row["finished_at"] is not None and any(one["ended_at"] is None for one in attempts):
            yield Violation("lease", render, "it is final, and an attempt of it has not ended")


def takeover(books: Books) -> Iterator[Violation]:
    """Of a claim that was taken over, nothing was written after the takeover; each takeover is an event too."""
    for render in books.renders:
        taken = {one["lease"]: one for one in books.of(books.recoveries, render)}
        for attempt in books.of(books.attempts, render):
            recovery = taken.get(attempt["lease"])
            if (recovery is not None) != (attempt["outcome"] == "taken_over"):
                facts = f"lease {attempt['lease']} at {attempt['stage']}: {attempt['outcome']}"
                yield Violation("takeover", render, f"{facts}, taken over: {recovery is not None}")
            elif recovery is not None and attempt["ended_at"] != recovery["taken_at"]:
                yield Violation("takeover", render, f"lease {attempt['lease']} was written on after its takeover")
        told = sum(one["type"] == "render.recovered" for one in books.of(books.events, render))
        if told != len(books.of(books.recoveries, render)):
            yield Violation("takeover", render, f"{len(taken)} takeovers on file, {told} events")


def outcomes(books: Books) -> Iterator[Violation]:
    """Each outcome of an attempt is told by one event, and the other way round: no outcome was written twice."""
    for render in books.renders:
        for run in books.all_runs(render):
            attempts = [one for one in books.of(books.attempts, render) if one["run"] == run["run"]]
            events = [one for one in books.of(books.events, render) if one["run"] == run["run"]]
            moved = Counter(one["stage"] for one in attempts if one["outcome"] == "advance")
            told = Counter(one["data"]["from"] for one in events if one["type"] == "render.stage")
            if moved != told:
                yield Violation("outcomes", render, f"run {run['run']} went on from {dict(moved)}, told {dict(told)}")
            ends = [one["outcome"] for one in attempts if one["outcome"] in ENDS]
            if _wrong_ends(run, ends):
                yield Violation("outcomes", render, f"run {run['run']} is {run['status']}, its attempts ended {ends}")


def _wrong_ends(run: Row, ends: list[str]) -> bool:
    if run.get("reused_from") is not None:
        return ends != []  # its video was there
    if run["started_at"] is None:
        return ends != []  # cancelled, or over, before anybody began it
    if run["finished_at"] is None:
        return ends != []
    return len(ends) != 1 or run["status"] not in ENDS[ends[0]]
