"""Sessions, their places and what was said there, as rows: no backend, the contract's own waits."""

from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, update

from config.settings import settings
from worker.accounts.models import Account, RemoteSession
from worker.database import ago, new_id, transact
from worker.job import Job, Services
from worker.owners.store import owner
from worker.remote.intents import Intent
from worker.renders import leases
from worker.renders import store as renders
from worker.renders.models import Draft, Render
from worker.renders.states import Stage
from worker.renders.store import NewRender
from worker.sessions import order, place, store
from worker.sessions.models import EditingSession

CANCELED = {"status": "canceled", "started_at": ago(timedelta(minutes=2)), "finished_at": ago(timedelta(0))}


def an_account() -> str:
    identity = new_id("acc")
    row = {"id": identity, "kind": "registered", "name": identity, "token_encrypted": b"x"}
    transact(lambda session: session.execute(insert(Account).values(**row)))
    return identity


def disable(account: str, **columns: Any) -> None:
    """Removed by its owner."""
    gone = update(Account).where(Account.id == account).values(disabled_at=func.now(), token_encrypted=None, **columns)
    transact(lambda session: session.execute(gone))


def a_place(account: str | None = None) -> str:
    """A session at the backend."""
    row = {"id": new_id("ses"), "account_id": account or an_account()}

    def make(session):
        mine = owner(session, "default").id
        session.execute(insert(RemoteSession).values(**row, owner_id=mine, task_id=row["id"], session_id=row["id"]))
        return row["id"]

    return transact(make)


def a_session(remote: str | None = None) -> str:
    """One whose turns happen there."""

    def make(session):
        made = store.make(session, owner(session, "default").id)
        if remote is not None:
            place.note(session, made.id, session.get_one(RemoteSession, remote).account_id, remote)
        return made.id

    return transact(make)


def a_turn(session_id: str, **columns: Any) -> str:
    """Appended, and put into the state given by its columns; in the session's place unless they say otherwise."""

    def make(session):
        held = store.locked(session, owner(session, "default").id, session_id)
        request = NewRender(prompt="a lamp", language="en")
        made = order.append(session, held, request, render_id=renders.new_id("rnd")).id
        if columns:
            where = {"account_id": held.account_id, "remote_session_id": held.remote_session_id, "reason": None}
            session.execute(update(Render).where(Render.id == made).values(**where | columns))
        return made

    return transact(make)


def a_message(render_id: str, **columns: Any) -> str:
    """What a turn said in its place: settled as carried out, its stream seen to end with the model's words."""
    row = {"id": new_id("int"), "render_id": render_id, "run": 1, "message": "a lamp", "before": "nothing"}
    row |= {"reserved_credits": 100, "state": "applied", "clean_end": True, "terminal": True}
    row |= {"created_at": ago(timedelta(minutes=1)), "send_by": ago(timedelta(seconds=45))}
    row |= {"ended_at": ago(timedelta(seconds=30)), "settled_at": ago(timedelta(seconds=20))}

    def make(session):
        mine = session.get_one(Render, render_id)
        where = {"remote_session_id": mine.remote_session_id, "account_id": mine.account_id}
        session.execute(insert(Intent).values(**row | {"owner_id": mine.owner_id} | where | columns))
        return row["id"]

    return transact(make)


def a_draft(render_id: str, run: int = 1) -> None:
    def make(session):
        mine = session.get_one(Render, render_id).owner_id
        session.execute(insert(Draft).values(render_id=render_id, run=run, owner_id=mine, body=b"{}"))

    transact(make)


def the_message(intent_id: str) -> Intent:
    return transact(lambda session: session.get_one(Intent, intent_id))


def the_session(session_id: str) -> EditingSession:
    return transact(lambda session: session.get_one(EditingSession, session_id))


def set_render(render_id: str, **columns: Any) -> None:
    transact(lambda session: session.execute(update(Render).where(Render.id == render_id).values(**columns)))


def a_job(render_id: str) -> Job:
    """A worker's work on a render at the stage where it stands; there is no backend to ask."""

    def claim(session):
        row = session.get_one(Render, render_id)
        return leases.claim(session, render_id, lease=row.lease, stage=Stage(row.stage), worker="io-1@tests")

    set_render(render_id, ready_at=ago(timedelta(seconds=1)))
    held = transact(claim)
    assert held is not None
    nobody: Any = None
    return Job(held, Services(settings(), nobody, nobody, nobody))
