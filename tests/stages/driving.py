"""The pipeline driven by hand: renders, one stage's work at a time, and a backend that is broken and healed."""

from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import update

from tests.stack import Stack, until
from worker import pipeline
from worker.database import ago, transact
from worker.owners.store import owner
from worker.remote.circuit import Circuit
from worker.renders import queue
from worker.renders import store as renders
from worker.renders.models import Render
from worker.renders.states import Stage
from worker.renders.store import NewRender

ANSWERED = ("session", "state", "message", "export", "poll", "credits", "token")


def a_render(words: str = "A 2 second clip of a lamp.", **asked: Any) -> str:
    request = NewRender(prompt=words, language="en", **asked)
    return transact(lambda session: renders.accept(session, owner(session, "default").id, request)).id


def the(render_id: str) -> Render:
    return transact(lambda session: session.get_one(Render, render_id))


def step(render_id: str, *, early: bool = False) -> Render:
    """One stage's work once it is due, or before; the row after it."""
    if not early:
        until(lambda: the(render_id).ready_at <= transact(queue.now), what="its time")
    transact(
        lambda session: session.execute(
            update(Render).where(Render.id == render_id).values(ready_at=ago(timedelta(seconds=1)))
        )
    )
    row = the(render_id)
    if row.stage == Stage.POLL.value:
        pipeline.drive_polls()
    else:
        pipeline.drive(render_id, row.lease, Stage(row.stage))
    return the(render_id)


def until_stage(render_id: str, stage: Stage) -> Render:
    row = the(render_id)
    for _ in range(30):
        if row.stage == stage.value:
            return row
        row = step(render_id)
    raise AssertionError(f"{render_id} stands at {row.stage}, {row.status}, {row.reason}")


def to_its_end(render_id: str) -> Render:
    row = the(render_id)
    for _ in range(60):
        if row.finished_at is not None:
            return row
        row = step(render_id)
    raise AssertionError(f"{render_id} stands at {row.stage}, {row.status}, {row.reason}")


def break_it(backend: Stack) -> None:
    rules = [{"on": point, "do": "http_status", "status": 503, "times": 1000} for point in ANSWERED]
    httpx.post(f"{backend.sandbox}/_sandbox/rules", json=rules).raise_for_status()


def heal(backend: Stack) -> None:
    httpx.delete(f"{backend.sandbox}/_sandbox/rules").raise_for_status()


def refused(backend: Stack) -> int:
    """Calls that the broken backend received."""
    return sum(1000 - rule["times"] for rule in httpx.get(f"{backend.sandbox}/_sandbox/rules").json())


def probe_is_due() -> None:
    moved = update(Circuit).values(open_until=ago(timedelta(seconds=1)))
    transact(lambda session: session.execute(moved))
