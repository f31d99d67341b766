"""Counts and times of the calls to the backend, around the client's own methods."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from worker.metrics.declared import FIRST_EVENT_SECONDS, REMOTE_CALL_SECONDS, REMOTE_CALLS, STREAMS_OPEN
from worker.remote.errors import RemoteError, TryAgain
from worker.remote.faults import is_known
from worker.remote.stream import StreamEvent, Turn

P = ParamSpec("P")
Answer = TypeVar("Answer")
Listener = Callable[[StreamEvent], None]


def called(
    function: Callable[Concatenate[Any, str, P], Answer],
) -> Callable[Concatenate[Any, str, P], Answer]:
    """Count a method whose first argument is the call's name."""

    @wraps(function)
    def counting(client: Any, call: str, *rest: P.args, **more: P.kwargs) -> Answer:
        with _counted(call):
            return function(client, call, *rest, **more)

    return counting


def opened(call: str) -> Callable[[Callable[P, Generator[Answer]]], Callable[P, Generator[Answer]]]:
    """Count a call whose answer is read while it is held open; its seconds last until it is closed."""

    def decorate(function: Callable[P, Generator[Answer]]) -> Callable[P, Generator[Answer]]:
        @wraps(function)
        def counting(*given: P.args, **more: P.kwargs) -> Generator[Answer]:
            with _counted(call):
                yield from function(*given, **more)

        return counting

    return decorate


def followed(send: Callable[[Listener], Turn], on_event: Listener) -> Turn:
    """Count the paid message: open while it lasts, its first real event, what became of it."""
    began, waiting = time.monotonic(), True

    def heard(event: StreamEvent) -> None:
        nonlocal waiting
        if waiting and event.kind != "heartbeat":
            waiting = False
            FIRST_EVENT_SECONDS.observe(time.monotonic() - began)
        on_event(event)

    with STREAMS_OPEN.track_inprogress():
        turn = send(heard)
    _note("send_message", _told(turn), time.monotonic() - began)
    return turn


def code(error: RemoteError) -> str:
    """The envelope's code or the HTTP status, `network` where nothing came, `other` where the contract has no such
    number: what a backend makes up must not make up series."""
    number = error.code or error.status
    if number is None:
        return "network" if isinstance(error, TryAgain) else "other"
    return str(number) if is_known(number) else "other"


def _told(turn: Turn) -> str:
    if turn.error is not None:
        return code(turn.error)
    if turn.outcome == "received":
        return "ok"
    return "unsent" if turn.outcome == "unsent" else "network"


@contextmanager
def _counted(call: str) -> Generator[None]:
    began, told = time.monotonic(), "other"
    try:
        yield
        told = "ok"
    except RemoteError as error:
        told = code(error)
        raise
    finally:
        _note(call, told, time.monotonic() - began)


def _note(call: str, told: str, seconds: float) -> None:
    REMOTE_CALLS.labels(call, told).inc()
    REMOTE_CALL_SECONDS.labels(call).observe(seconds)
