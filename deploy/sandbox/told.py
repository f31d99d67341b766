"""Misbehaviour that fits any call: what a rule tells the sandbox to answer instead of the truth."""

import asyncio

from starlette.requests import Request

from .accounts import User
from .backend import Backend, bearer_of
from .errors import Dropped, Refusal, no_subscription, out_of_credits, rate_limited, session_gone, token_gone
from .rules import Rule, Taken

FORCED = ("http_status", "drop", "code", "rate_limited", "expire", "lost", "no_credits", "no_subscription")


async def obey(backend: Backend, request: Request, told: Taken, *, user: User | None = None, session: str = "") -> None:
    """Wait, refuse or drop as told. Raises Refusal or Dropped."""
    if delay := told.get("delay"):
        await asyncio.sleep(delay.number("seconds", 1.0))
    for name in FORCED:
        if rule := told.get(name):
            raise _answer(backend, request, rule, user, session)


def _answer(backend: Backend, request: Request, rule: Rule, user: User | None, session: str) -> Exception:
    match rule.do:
        case "http_status":
            return http_status(rule, 500)
        case "drop":
            return Dropped()
        case "code":
            status = int(rule.number("status", 0)) or None
            return Refusal(int(rule.number("code", 1)), rule.word("message", "refused by a rule"), status=status)
        case "rate_limited":
            return rate_limited(rule.number("retry_after", 0) if "retry_after" in rule.params else None)
        case "expire":
            backend.accounts.expire(bearer_of(request))
            return token_gone()
        case "lost":
            backend.sessions.forget(session)
            return session_gone()
        case "no_credits":
            return out_of_credits(user.bind_id if user else "bind_unknown")
        case _:
            return no_subscription()


def http_status(rule: Rule, usual: int) -> Refusal:
    """An answer that has a status and no code, as a page or as JSON."""
    status = int(rule.number("status", usual))
    return Refusal(
        None, rule.word("message", "Internal Server Error"), status=status, html=rule.params.get("body") == "html"
    )
