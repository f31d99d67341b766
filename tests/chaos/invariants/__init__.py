"""What has to hold after any run, whatever died in it. `check(books)` says what does not.

Each invariant is one function from the books to the places where it is broken; `ALL` is the list.
"""

from collections.abc import Callable, Iterator

from tests.chaos.books import Books
from tests.chaos.invariants import backend, charges, ends, feed, files, leases, messages, paths, secrets
from tests.chaos.invariants.violation import Violation

ALL: dict[str, Callable[[Books], Iterator[Violation]]] = {
    "final": ends.final,
    "accepted": ends.accepted,
    "file": files.file,
    "once": messages.once,
    "recorded": messages.recorded,
    "charge": charges.charge,
    "sums": charges.sums,
    "polls": backend.polls,
    "turns": backend.turns,
    "contract": backend.contract,
    "lease": leases.lease,
    "takeover": leases.takeover,
    "outcomes": leases.outcomes,
    "secrets": secrets.secrets,
    "path": paths.path,
    "feed": feed.feed,
}


def check(books: Books) -> list[Violation]:
    """Every place where an invariant does not hold."""
    return [broken for invariant in ALL.values() for broken in invariant(books)]


def names(violations: list[Violation]) -> set[str]:
    """Which invariants these are of."""
    return {one.invariant for one in violations}


__all__ = ["ALL", "Violation", "check", "names"]
