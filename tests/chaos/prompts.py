"""What the renders of a storm ask for, and what the backend does to them: drawn by the seed."""

import random
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.behaviours import point_of
from deploy.sandbox.rules import directives

TROUBLE: tuple[tuple[int, str], ...] = (
    (30, ""),
    (12, "[[sandbox: stream seconds=4]]"),
    (5, "[[sandbox: cut_after]]"),
    (5, "[[sandbox: cut_before]]"),
    (5, "[[sandbox: cut_then_apply seconds=1.5]]"),
    (5, "[[sandbox: silent_edit]]"),
    (5, "[[sandbox: two_step]]"),
    (4, "[[sandbox: error_frame]]"),
    (2, "[[sandbox: error_frame_applied]]"),
    (2, "[[sandbox: truncate_clean]]"),
    (3, "[[sandbox: http_status status=500 apply=true]]"),
    (3, "[[sandbox: http_status status=500 apply=false]]"),
    (2, "[[sandbox: drop apply=true]]"),
    (2, "[[sandbox: hang apply=true]]"),
    (2, "[[sandbox: hang]]"),
    (2, "[[sandbox: cancel_on_disconnect]] [[sandbox: stream seconds=3]]"),
    (2, "[[sandbox: typed]]"),
    (3, "[[sandbox: export_fails]]"),
    (2, "[[sandbox: export_fails times=2]]"),
    (2, "[[sandbox: export_stuck]]"),
    (2, "[[sandbox: export_answer_lost]]"),
    (2, "[[sandbox: export_refuse_id]]"),
    (3, "[[sandbox: download_truncated]]"),
    (3, "[[sandbox: download_short]]"),
    (2, "[[sandbox: download_5xx times=2]] [[sandbox: fallback_5xx times=2]]"),
    (2, "[[sandbox: download_not_video times=9]] [[sandbox: fallback_not_video times=9]]"),
    (2, "[[sandbox: poll_5xx times=2]]"),
    (1, "[[sandbox: lost on=state]]"),
    (1, "[[sandbox: lost on=export]]"),
    (1, "[[sandbox: expire on=state]]"),
)
"""Weight and what is written into the prompt. Refusals of the message come by rule (`BURSTS`): written into a prompt
they would come again with each repetition."""

BURSTS: tuple[dict[str, Any], ...] = (
    {"do": "http_status", "on": "state", "status": 503, "times": 25},
    {"do": "http_status", "on": "session", "status": 502, "times": 15, "body": "html"},
    {"do": "http_status", "on": "export", "status": 500, "times": 15},
    {"do": "http_status", "on": "token", "status": 503, "times": 5},
    {"do": "rate_limited", "on": "message", "times": 6},
    {"do": "rate_limited", "on": "export", "times": 10, "retry_after": 1},
    {"do": "rate_limited", "on": "state", "times": 10},
    {"do": "poll_5xx", "times": 20},
    {"do": "drop", "on": "session", "times": 8},
    {"do": "drop", "on": "poll", "times": 8},
    {"do": "delay", "on": "state", "seconds": 3, "times": 20},
    {"do": "delay", "on": "message", "seconds": 1.5, "times": 10},
    {"do": "expire", "on": "message", "times": 1},
    {"do": "lost", "on": "message", "times": 3},
    {"do": "no_credits", "on": "message", "times": 2},
    {"do": "code", "on": "message", "code": 4999, "message": "out of order", "times": 2},
)
"""Rules for whatever call comes next."""


@dataclass(frozen=True)
class Wish:
    """A request of the storm."""

    key: str
    body: dict[str, Any]
    cancel_after: float | None
    """Seconds after it was accepted."""
    rules: tuple[dict[str, Any], ...] = ()
    """Told to the backend beforehand, where the prompt does not say them: they work once, not at each attempt."""


def wish(chance: random.Random, seed: int, number: int) -> Wish:
    """The next request. Every prompt is of its own words: the checker counts messages by their text."""
    ((_, trouble),) = chance.choices(TROUBLE, [weight for weight, _ in TROUBLE])
    again = chance.random() < 0.25
    words = f"A 2 second clip of storm {seed}, number {number}."
    # With a new attempt wanted, the trouble comes once, so that the attempt can end well.
    rules = tuple({**one, "match": words} for one in _as_rules(trouble)) if again else ()
    body = {
        "prompt": words if rules else f"{words} {trouble}".strip(),
        "language": "en",
        "on_unconfirmed": "retry" if again else "fail",
        "priority": chance.choice(["high", "normal", "normal", "low"]),
    }
    cancel_after = chance.uniform(0, 6) if chance.random() < 0.06 else None
    return Wish(f"storm-{seed}-{number}", body, cancel_after, rules)


def _as_rules(trouble: str) -> list[dict[str, Any]]:
    """The directives of a prompt as rules, where all of them are about the message: no other call tells its words."""
    wishes = directives(trouble)[1]
    points = {point_of(str(one["do"]), one.get("on")) for one in wishes}
    return wishes if points == {"message"} else []
