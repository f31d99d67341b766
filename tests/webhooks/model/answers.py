"""What a receiver may do with a try."""

from dataclasses import dataclass

from worker.webhooks import schedule


@dataclass(frozen=True)
class Answer:
    """What it does."""

    status: int | None = 204
    seconds: float = 0.1
    error: str | None = None
    asks: float = 0.0
    """To be left alone for so many seconds."""


TAKEN, SLOW, REFUSED = Answer(), Answer(seconds=6.0), Answer(500, error="webhook.status")
GONE = Answer(410, error=schedule.GONE_AWAY)
OURS = Answer(None, error=schedule.FAULT)
BUSY = Answer(429, error="webhook.status", asks=60.0), Answer(503, error="webhook.status", asks=300.0)
"""How one that is polite refuses."""
ANSWERS = (TAKEN, TAKEN, TAKEN, SLOW, REFUSED, REFUSED, REFUSED, GONE, OURS)
