"""Charges in the backend's ledger = charges in our books, message by message and render by render."""

from collections.abc import Iterator

from tests.chaos.books import Books, Row
from tests.chaos.invariants.violation import Violation

NOBODY_KNOWS = frozenset({"open", "received", "unknown", "unconfirmed"})
"""States of a record that end in `charge.state: "unknown"`."""

MARGIN = 1.5
"""Seconds between the turn's end at the backend and the last look that has to see it: a look takes its time too."""


def charge(books: Books) -> Iterator[Violation]:
    """What our record says of a message agrees with what it cost; `unknown` only where no answer could be read."""
    for render in books.renders:
        for message in books.of(books.messages, render):
            intent = books.intent_of(message)
            wrong = _wrong(books, render, message, intent) if intent is not None else None
            if wrong:
                yield Violation("charge", render, f"message {message['number']}: {wrong}")
        yield from _in_all(books, render)


def _in_all(books: Books, render: str) -> Iterator[Violation]:
    """What its runs say together, against what the backend took; less only where a message is listed as unknown."""
    booked = sum(run["charge_credits"] or 0 for run in books.all_runs(render))
    paid = sum(one["charged"] for one in books.of(books.messages, render))
    listed = any(one["state"] in NOBODY_KNOWS for one in books.of(books.intents, render))
    if booked > paid or (booked < paid and not listed):
        yield Violation("charge", render, f"our books say {booked:g} credits, the backend's {paid:g}")


def _wrong(books: Books, render: str, message: Row, intent: Row) -> str | None:
    state, paid = intent["state"], message["charged"] > 0
    if paid and state in NOBODY_KNOWS:
        return f"{state}, but its answer could be read" if _readable(books, render, message, intent) else None
    if paid and state != "applied":
        return f"charged {message['charged']}, our record says {state}"
    if not paid and state == "applied" and not _has_paid(books, intent, message):
        return f"not charged ({message['outcome']}), our record says applied"
    return None


def _has_paid(books: Books, intent: Row, message: Row) -> bool:
    """A refused message and the one that went after it in the same session are of two records, a moment apart."""
    return any(
        one["charged"] and one is not message and books.intent_of(one) is intent
        for one in books.of(books.messages, message["render_id"])
    )


def _readable(books: Books, render: str, message: Row, intent: Row) -> bool:
    """Whether the look-up, had it gone on for as long as it must, would have seen the turn's end."""
    if books.backend_sessions[message["session"]]["forgotten"]:
        return False
    run = next((one for one in books.all_runs(render) if one["run"] == intent["run"]), None)
    if run is None or run["finished_at"] is None:
        return True
    if run["status"] in ("canceled", "expired"):  # one look, when it was asked for
        return message["ended_at"] + MARGIN < run["finished_at"].timestamp()
    if str(run["error_code"]).startswith("backend."):  # the reads themselves failed for as long as they are repeated
        return False
    return message["ended_at"] + MARGIN < intent["send_by"].timestamp() + books.given.stream_max_seconds


def sums(books: Books) -> Iterator[Violation]:
    """A render's credits are those of its messages that were carried out, and each that nobody knows of is listed."""
    for render in books.renders:
        intents = books.of(books.intents, render)
        booked = sum(run["charge_credits"] or 0 for run in books.all_runs(render))
        applied = sum(one["reserved_credits"] for one in intents if one["state"] == "applied")
        states = {run["charge_state"] for run in books.all_runs(render)}
        open_ones = [one["id"] for one in intents if one["state"] in NOBODY_KNOWS]
        if booked != applied:
            yield Violation("sums", render, f"its runs say {booked:g} credits, its messages {applied:g}")
        if (applied > 0) != ("incurred" in states):
            yield Violation("sums", render, f"{applied:g} credits, but its runs say {sorted(states)}")
        if open_ones and not states & {"unknown", "incurred"}:
            yield Violation("sums", render, f"nobody knows of {open_ones}, but its runs say {sorted(states)}")
        if "unknown" in states and not open_ones and not applied:
            yield Violation("sums", render, "unknown, but every message of it is settled")
