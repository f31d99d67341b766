"""No message twice, counted by its text over all sessions of the backend."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.books import Books, Row
from tests.chaos.invariants.violation import Violation


def once(books: Books) -> Iterator[Violation]:
    """A second message of a render needs evidence that the first did nothing, the request's own
    `on_unconfirmed: "retry"`, or `force`. Refused ones did nothing and do not count."""
    for render in books.renders:
        sent = [one for one in books.of(books.messages, render) if one["outcome"] != "refused"]
        for before, after in pairwise(sent):
            if not _was_free_to(books, render, before, after):
                facts = f"sent again {after['at'] - before['at']:.1f} s later, message {after['number']}"
                yield Violation("once", render, f"{facts} after {before['number']} ({before['outcome']})")


def _was_free_to(books: Books, render: str, before: Row, after: Row) -> bool:
    first, second = books.intent_of(before), books.intent_of(after)
    if first is None or second is None or first is second:
        return False
    if second["run"] != first["run"] and _forced(books, render, second["run"]):
        return True
    if first["settled_at"] is None or first["settled_at"] > second["created_at"]:
        return False
    if first["state"] == "not_applied":
        return not before["executed"]
    # Unconfirmed when the next attempt was made, whatever turned up afterwards.
    unknown_then = first["state"] == "unconfirmed" or any("late" in finding for finding in first["evidence"])
    return books.renders[render]["on_unconfirmed"] == "retry" and unknown_then


def _forced(books: Books, render: str, run: int) -> bool:
    queued = (one for one in books.of(books.events, render) if one["type"] == "render.queued" and one["run"] == run)
    return any(one["data"].get("force") is True for one in queued)


ADMITS = frozenset({"open", "received", "unknown", "applied", "not_applied", "unconfirmed", "refused"})
"""What our record of a message may say when the backend has seen it: anything but that no byte left."""


def recorded(books: Books) -> Iterator[Violation]:
    """Every message that the backend saw, refused or not, has a record of its own, committed before it came, that does
    not say that nothing was sent."""
    for render in books.renders:
        seen = Counter(one["session"] for one in books.of(books.messages, render))
        for session, count in seen.items():
            ours = [
                one
                for one in books.of(books.intents, render)
                if books.sessions.get(one["remote_session_id"]) == session and one["state"] in ADMITS
            ]
            if count > len(ours):
                yield Violation("recorded", render, f"the backend saw {count} in {session}, {len(ours)} are on file")
        for message in books.of(books.messages, render):
            if books.intent_of(message) is None:
                yield Violation("recorded", render, f"message {message['number']} came before any record of it")
