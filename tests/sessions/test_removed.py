"""A session's account is removed by force: whatever still needs its token ends, and waits for nobody."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func

from config.settings import settings
from tests.sessions.rows import (
    CANCELED,
    a_draft,
    a_job,
    a_message,
    a_place,
    a_session,
    a_turn,
    an_account,
    disable,
    set_render,
    the_message,
    the_session,
)
from tests.stages.driving import the
from worker import pipeline
from worker.accounts.models import RemoteSession
from worker.database import transact
from worker.job import Job
from worker.remote import circuit
from worker.remote.client import Remote
from worker.renders.models import Render
from worker.renders.states import Stage
from worker.sessions import place
from worker.stages import token

pytestmark = pytest.mark.usefixtures("empty")

SENT = [{"name": "lamp.png", "upload": "upl_1", "begun": True, "sent": True}]


def the_place(remote: str) -> RemoteSession:
    return transact(lambda session: session.get_one(RemoteSession, remote))


def a_workers_job(render_id: str) -> Job:
    """With a client of a backend that nobody asks."""
    job = a_job(render_id)
    job.services = replace(job.services, remote=Remote.from_settings(settings()), breaker=circuit.breaker())
    return job


def worked_on(render_id: str) -> Render:
    job = a_workers_job(render_id)
    outcome = pipeline._work(job, pipeline.STAGES[Stage(job.render.stage)])
    assert outcome is not None
    pipeline._write(job, outcome)
    return the(render_id)


def running(session_id: str, stage: str, **columns: Any) -> str:
    return a_turn(session_id, stage=stage, status="running", started_at=func.now(), **columns)


@pytest.mark.parametrize("held", [{}, {"held_at": func.now()}])
@pytest.mark.parametrize("stage", ["session", "upload", "generate", "verify", "export"])
def test_a_turn_of_a_place_nobody_knows_any_more_is_over(stage: str, held: dict[str, Any]):
    """Something was said there: no stage waits for a token that nobody gives, nor for an account on hold to go on."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "store", "status": "succeeded"})
    a_message(first)
    a_draft(first)
    following = running(session_id, stage, assets=[{"name": "lamp.png", "url": "https://files.test/lamp.png"}])
    if stage in ("verify", "export"):
        a_message(following)
        a_draft(following)
    there = str(the(following).remote_session_id)
    disable(str(the(following).account_id), **held)
    row = worked_on(following)
    assert (row.status, row.error_code) == ("failed", "session.lost")
    assert row.charge_state == ("incurred" if stage in ("verify", "export") else "none")
    assert the_session(session_id).lost_at is not None
    assert the_place(there).lost_at is not None


def test_a_message_that_nobody_can_look_after_is_given_up():
    """Whether it was carried out cannot be read any more: that is on file, and nothing watches it."""
    session_id = a_session(a_place())
    turn = running(session_id, "lookup")
    message = a_message(turn, state="unknown", settled_at=None)
    disable(str(the(turn).account_id))
    row = worked_on(turn)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "session.lost", "unknown")
    assert (the_message(message).state, the_message(message).watch_at) == ("unconfirmed", None)


@pytest.mark.parametrize("stage", ["session", "upload", "generate"])
def test_a_turn_that_said_nothing_leaves_its_session_open(stage: str):
    """It fails without a charge, and the next one finds another place; files that stayed behind are told of."""
    session_id = a_session(a_place())
    a_turn(session_id, **CANCELED | {"stage": "generate", "assets": SENT})
    turn = running(session_id, stage, sessions=1, assets=[{"name": "lamp.png", "url": "https://files.test/lamp.png"}])
    disable(str(the(turn).account_id))
    row = worked_on(turn)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "session.lost", "none")
    left = the_session(session_id)
    assert (left.lost_at, left.account_id, left.remote_session_id) == (None, None, None)
    assert [one["code"] for one in row.hints] == ["session.files"]


def test_a_render_without_a_session_waits_for_its_token():
    """As before: its owner may register the account again."""
    session_id = a_session(a_place())
    turn = running(session_id, "verify")
    a_message(turn)
    set_render(turn, session_id=None)
    disable(str(the(turn).account_id))
    row = worked_on(turn)
    assert (row.status, row.reason) == ("waiting", "token")


def test_a_lost_place_is_lost_for_its_renders_too():
    """What can be continued or exported for nothing asks the place itself."""
    there = a_place()
    session_id = a_session(there)
    transact(lambda session: place.lose(session, there))
    assert (the_session(session_id).lost_at is not None, the_place(there).lost_at is not None) == (True, True)


@pytest.mark.parametrize("files", [SENT, []])
def test_files_that_stay_behind_when_a_session_moves_are_told_of(files: list[dict[str, Any]]):
    """Another account makes the next place, where the files of earlier turns are not."""
    session_id = a_session(a_place())
    a_turn(session_id, **CANCELED | {"stage": "generate", "assets": files})
    following = a_turn(session_id, account_id=None, remote_session_id=None)
    disable(str(the_session(session_id).account_id))
    an_account()
    job = a_job(following)
    where, _ = token._session_of(job)
    assert where == place.Place(None, None, lost=False)
    assert [one["code"] for one in the(following).hints] == (["session.files"] if files else [])
