"""How the backend was treated: by its own count, and by the times in its ledger."""

from collections.abc import Iterator
from itertools import groupby, pairwise

from tests.chaos.books import Books
from tests.chaos.invariants.violation import Violation

TOLERANCE = 0.95
"""Two clocks' rounding; a question half an interval early is far outside."""


def polls(books: Books) -> Iterator[Violation]:
    """No export was asked after sooner than its interval."""
    owner = {one["id"]: one["render_id"] for one in books.exports}
    for export, render in owner.items():
        times = books.backend_exports.get(export, {}).get("polls", [])
        for before, after in pairwise(times):
            if after - before < books.given.poll_seconds * TOLERANCE:
                yield Violation("polls", render, f"{export} asked again after {after - before:.2f} s")


def turns(books: Books) -> Iterator[Violation]:
    """A session has one turn at a time: none was refused for another, and no two overlap."""
    for one in books.violations:
        if one["what"] == "concurrent_turn":
            yield Violation("turns", "-", f"a second turn in {one['detail']}")
    accepted = [one for one in books.messages if one["outcome"] != "refused"]
    ordered = sorted(accepted, key=lambda one: (one["session"], one["at"]))
    for session, inside in groupby(ordered, key=lambda one: one["session"]):
        for before, after in pairwise(inside):
            if before["ended_at"] is None or after["at"] < before["ended_at"]:
                facts = f"{after['number']} began before {before['number']} ended"
                yield Violation("turns", str(after["render_id"]), f"{facts} in {session}")


def contract(books: Books) -> Iterator[Violation]:
    """The backend counted no other breach: attribution, drafts as they came, export ids used once, headers."""
    for one in books.violations:
        if one["what"] not in ("concurrent_turn", "poll_too_soon"):
            yield Violation("contract", "-", f"{one['what']}: {one['detail']}")
