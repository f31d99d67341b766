"""A session's place at the backend: joined, noted when it is made, given up when it is lost."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from config.settings import settings
from worker.accounts.models import Account, RemoteSession
from worker.database import from_now
from worker.remote.intents import NOTHING_LEFT, Intent, followed, may_be_at_work
from worker.renders import following
from worker.renders.models import Draft, Render
from worker.renders.states import Reason, Stage, Status
from worker.sessions.models import EditingSession

TURN_OPEN = (Stage.LOOKUP, Stage.VERIFY, Stage.EXPORT)
"""Stages after a message, until the export is accepted."""


@dataclass(frozen=True)
class Place:
    """Where a session's turns happen, as far as that is known."""

    account_id: str | None
    remote_session_id: str | None
    lost: bool


def of(session: Session, session_id: str, *, lock: bool = False) -> Place:
    """The session's place; with its row locked until the transaction ends where that is wanted."""
    query = select(EditingSession.account_id, EditingSession.remote_session_id, EditingSession.lost_at).where(
        EditingSession.id == session_id
    )
    row = session.execute(query.with_for_update(key_share=True) if lock else query).one()
    return Place(row.account_id, row.remote_session_id, row.lost_at is not None)


def with_its_account(session: Session, session_id: str) -> Place:
    """The session's place, where its account is still in use. Another one does not know the place: it is left where
    nothing was said in it, and lost otherwise."""
    found = of(session, session_id)
    gone = select(Account.id).where(Account.id == found.account_id, Account.disabled_at.is_not(None))
    if found.lost or session.scalar(gone) is None:
        return found
    found = of(session, session_id, lock=True)  # nobody puts a message on file meanwhile
    if found.remote_session_id is not None:
        (lose if was_heard(session, found.remote_session_id) else leave)(session, found.remote_session_id)
    return of(session, session_id)


def note(session: Session, session_id: str, account_id: str, remote_session_id: str) -> Place:
    """Put a place just made on file, unless there is one already: two renders cannot make two. The place that holds."""
    found = of(session, session_id, lock=True)
    if found.remote_session_id is not None or found.lost:
        return found
    session.execute(
        update(EditingSession)
        .where(EditingSession.id == session_id)
        .values(account_id=account_id, remote_session_id=remote_session_id)
        .execution_options(synchronize_session=False)
    )
    return Place(account_id, remote_session_id, lost=False)


def leave(session: Session, remote_session_id: str) -> None:
    """A place is gone in which nothing was said: another one is made, by whatever account then has room."""
    session.execute(
        update(EditingSession)
        .where(EditingSession.remote_session_id == remote_session_id)
        .values(account_id=None, remote_session_id=None)
        .execution_options(synchronize_session=False)
    )


def lose(session: Session, remote_session_id: str) -> None:
    """A place is gone in which something may have been said: the session can go on nowhere, and nothing is continued or
    exported there."""
    session.execute(
        update(EditingSession)
        .where(EditingSession.remote_session_id == remote_session_id, EditingSession.lost_at.is_(None))
        .values(lost_at=func.now())
        .execution_options(synchronize_session=False)
    )
    mark_lost(session, remote_session_id)


def mark_lost(session: Session, remote_session_id: str) -> None:
    """Put on file that nobody can reach a place any more. After the session's row, which is locked first."""
    session.execute(
        update(RemoteSession)
        .where(RemoteSession.id == remote_session_id, RemoteSession.lost_at.is_(None))
        .values(lost_at=func.now())
        .execution_options(synchronize_session=False)
    )


def was_heard(session: Session, remote_session_id: str) -> bool:
    """Whether any render's message may have been received there."""
    heard = Intent.remote_session_id == remote_session_id, Intent.state.not_in(NOTHING_LEFT)
    return bool(session.scalar(select(exists().where(*heard))))


def holds_files_of_others(session: Session, render: Render, remote_session_id: str) -> bool:
    """Whether files of the session's other turns than the render's, which are over, were sent to a place."""
    theirs = (
        Render.session_id == render.session_id,
        Render.remote_session_id == remote_session_id,
        Render.id != render.id,
        Render.finished_at.is_not(None),
        Render.assets.contains([{"sent": True}]),
    )
    return session.scalar(select(Render.id).where(*theirs).limit(1)) is not None


def is_taken(session: Session, render: Render, remote_session_id: str) -> bool:
    """Whether another render's turn is open there: its message is not settled, or its export not accepted."""
    unsettled = exists().where(
        Intent.render_id == Render.id,
        Intent.remote_session_id == remote_session_id,
        Intent.settled_at.is_(None),
    )
    others = select(Render.id).where(
        Render.session_id == render.session_id,
        Render.remote_session_id == remote_session_id,
        Render.id != render.id,
        Render.finished_at.is_(None),
        Render.stage.in_([stage.value for stage in TURN_OPEN]) | unsettled,
    )
    return session.scalar(others.limit(1)) is not None


def wait_for_the_others(session: Session, render: Render, remote_session_id: str, at: datetime) -> timedelta | None:
    """How long the render's message has to wait for what was said in a place before it, `at` the database's time; None:
    its turn has come, and nothing that was said before can change the state any more.

    A turn is over where its draft was read until it stood still, or where its stream was seen to end and enough reads
    after that found nothing to keep. Any other may live on for as long as a stream does (music and titles come after
    the stream's end); one of which nobody knows whether it was carried out is read once more after that, which is asked
    of the watch.
    """
    waits = settings().waits
    if is_taken(session, render, remote_session_id):
        return waits.lookup_next_seconds
    ends = may_be_at_work(session, remote_session_id, apart_from=_stood_still())
    return None if ends is None else max(ends - at, waits.lookup_next_seconds)


def look_again(session: Session, session_id: str) -> None:
    """A turn goes on from its draft, which may stand still soon: those that wait out what is left of its stream's life
    look after a while instead. Nobody's lock is waited for: who works on one of them looks now."""
    soon = from_now(settings().waits.lookup_next_seconds)
    waiting = (
        Render.session_id == session_id,
        Render.status == Status.WAITING.value,
        Render.reason == Reason.SESSION.value,
        Render.ready_at > soon,
        Render.ready_at < following.NOT_YET,
    )
    free = select(Render.id).where(*waiting).with_for_update(skip_locked=True, key_share=True)
    session.execute(
        update(Render)
        .where(Render.id.in_(session.scalars(free).all()))
        .values(ready_at=soon)
        .execution_options(synchronize_session=False)
    )


def _stood_still() -> ColumnElement[bool]:
    """That the draft of a message was read until it stood still: it is kept, by the message's run or by a later one
    that went on from it, or was, until its render was deleted."""
    kept = exists().where(Draft.render_id == Intent.render_id, Draft.run >= Intent.run)
    behind = [stage.value for stage in (Stage.EXPORT, Stage.POLL, Stage.STORE)]
    passed = exists().where(Render.id == Intent.render_id, Render.purged_at.is_not(None), Render.stage.in_(behind))
    return kept | passed


def unread_change(session: Session, render: Render, fingerprint: str) -> bool:
    """Whether the state has changed since a watched message of this place, the last one said there, and nobody has said
    so yet: the watch is asked to look at once. What that message did late is its own, not the next one's."""
    changed = (*_watched(render), ~followed(), Intent.before != fingerprint)
    asked = session.execute(
        update(Intent)
        .where(*changed)
        .values(watch_at=from_now(timedelta(0)))
        .returning(Intent.id)
        .execution_options(synchronize_session=False)
    )
    return bool(asked.all())


def end_watches(session: Session, render: Render, message_id: str) -> None:
    """Another message may have been received: from here on a change of the state says nothing about those before."""
    over = {"watch": "over", "followed_by": message_id}
    session.execute(
        update(Intent)
        .where(*_watched(render), Intent.id != message_id)
        .values(watch_at=None, evidence=Intent.evidence.op("||")(literal([over], JSONB)))
        .execution_options(synchronize_session=False)
    )


def _watched(render: Render):
    return (Intent.remote_session_id == render.remote_session_id, Intent.watch_at.is_not(None))
