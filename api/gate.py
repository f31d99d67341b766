"""The door: who is calling, how often, and whether the address takes this key.

Asked before a byte of the body is read: who is refused has cost little and left nothing. What an address needs is
written at its route (`api.auth.Needs`) and read off it here.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import Scope

from api import auth, handlers, rate_limits
from api.auth import Caller, Needs
from api.problems import Problem


class _Guarded(NamedTuple):
    path: re.Pattern[str]
    needs: Needs


async def admit(scope: Scope) -> None:
    """Let a request in: its caller is in `scope["caller"]`, its answer's headers in `scope["answer_headers"]`.

    Raises Problem `auth.…`, `rate.limited`, `database.unavailable`.
    """
    needs = _needs(scope)
    if needs is None:
        return
    caller = await _caller(scope)
    await _spend(scope, caller)
    if needs.scope is not None and needs.scope not in caller.scopes:
        raise Problem(
            "auth.scope",
            f"This address needs the scope {needs.scope}, which your key does not have. Who runs the service makes one "
            f"that has: `vivideo keys create --scope {needs.scope}`.",
        )
    scope["caller"] = caller


async def _caller(scope: Scope) -> Caller:
    text = auth.key_text(Headers(scope=scope).get("authorization"))
    peer = (scope.get("client") or ("",))[0]
    try:
        return auth.remembered(text) or await run_in_threadpool(auth.look_up, text, peer)
    except (DBAPIError, PoolTimeout) as error:
        raise handlers.unavailable(error) from error


async def _spend(scope: Scope, caller: Caller) -> None:
    policy = rate_limits.policy(scope["method"], caller.limits)
    if policy is None:
        return
    standing = await run_in_threadpool(rate_limits.budgets().spend, policy, caller.key_id)
    scope["answer_headers"] = standing.headers()
    if not standing.allowed:
        raise standing.refusal()


def _needs(scope: Scope) -> Needs | None:
    """What the address asks for; None where it is open, or where there is none."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    for guarded in _guarded(scope["app"]).get(scope["method"], ()):
        if guarded.path.match(path):
            return guarded.needs
    return None


@lru_cache(maxsize=4)
def _guarded(app: FastAPI) -> dict[str, list[_Guarded]]:
    """The routes that need a key, by method."""
    found: dict[str, list[_Guarded]] = {}
    for route in iter_route_contexts(app.routes):
        if needs := _declared(getattr(route, "dependant", None)):
            for method in route.methods or ():
                found.setdefault(method, []).append(_Guarded(route.path_regex, needs))
    return found


def _declared(dependant: Any) -> Needs | None:
    """The demand among a route's dependencies."""
    if dependant is None:
        return None
    if isinstance(dependant.call, Needs):
        return dependant.call
    return next((needs for inner in dependant.dependencies if (needs := _declared(inner))), None)
