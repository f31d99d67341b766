"""Sessions as their owners see them: made, found, listed, added to, closed. Every query names the owner it is for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from worker.accounts.models import RemoteSession
from worker.database import new_id
from worker.remote.intents import ABOUT_A_CLIP, ABOUT_AN_EDIT, Intent
from worker.renders.models import Draft, Render, Upload, UploadUse
from worker.renders.states import Stage
from worker.sessions.models import EditingSession

EXPORT_TAKEN = (Stage.POLL, Stage.STORE)
"""Stages of a render that no later turn can disturb any more."""


class Lost(Exception):
    """The backend forgot the session; what came of it before stands."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"the backend forgot {session_id}")


class Closed(Exception):
    """Its owner closed the session."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"{session_id} is closed")


def make(
    session: Session, owner_id: str, *, id: str | None = None, name: str | None = None, language: str | None = None
) -> EditingSession:
    """A new one, in which nothing was said yet."""
    made = EditingSession(id=id or new_id("ssn"), owner_id=owner_id, name=name, language=language)
    session.add(made)
    session.flush()
    session.refresh(made)
    return made


def can_be_continued(session: Session, render: Render) -> bool:
    """Whether an edit can go on with a render's timeline: it is in a session, or at least at its export in a place that
    the backend has not forgotten."""
    if render.session_id is not None:
        return True
    query = (
        select(RemoteSession.id)
        .join(Draft, (Draft.render_id == render.id) & (Draft.run == render.run))
        .where(RemoteSession.id == render.remote_session_id, RemoteSession.lost_at.is_(None))
    )
    return session.scalar(query) is not None


def around(session: Session, render: Render) -> EditingSession:
    """The session of a locked render; made around its session at the backend where it has none."""
    if render.session_id is not None:
        return held(session, render.owner_id, render.session_id)
    made = make(session, render.owner_id, language=render.language)
    values = {"account_id": render.account_id, "remote_session_id": render.remote_session_id}
    change(session, made, **values, last_render_id=render.id)
    session.execute(
        update(Render)
        .where(Render.id == render.id)
        .values(session_id=made.id)
        .execution_options(synchronize_session=False)
    )
    return made


def get(session: Session, owner_id: str, session_id: str) -> EditingSession | None:
    """The owner's session, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, session_id)).one_or_none()


def locked(session: Session, owner_id: str, session_id: str) -> EditingSession | None:
    """As `get`, with the row locked until the transaction ends: those who append come one by one."""
    query = _owned(owner_id, session_id).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def held(session: Session, owner_id: str, session_id: str) -> EditingSession:
    """As `locked`, of a session that a render names, so that it is there."""
    found = locked(session, owner_id, session_id)
    assert found is not None, "a foreign key names it"
    return found


def _owned(owner_id: str, session_id: str) -> Select[EditingSession]:
    return select(EditingSession).where(EditingSession.id == session_id, EditingSession.owner_id == owner_id)


def page(
    session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[EditingSession]:
    """Up to `limit` of the owner's sessions, newest first, behind `after` (keyset: creation time and id)."""
    query = select(EditingSession).where(EditingSession.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(EditingSession.created_at, EditingSession.id) < tuple_(*after))
    order = (EditingSession.created_at.desc(), EditingSession.id.desc())
    return session.scalars(query.order_by(*order).limit(limit)).all()


def change(session: Session, place: EditingSession, **values: Any) -> None:
    """Write on a locked session."""
    session.execute(
        update(EditingSession)
        .where(EditingSession.id == place.id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    session.refresh(place)


def demand_open(place: EditingSession) -> None:
    """Raises Lost or Closed where nothing more can be said in it."""
    if place.lost_at is not None:
        raise Lost(place.id)
    if place.closed_at is not None:
        raise Closed(place.id)


def close(session: Session, place: EditingSession) -> None:
    """Nothing more is said in a locked session. Files given and not used expire as if they had not been given to it."""
    unused = [one["upload"] for one in place.pending if "upload" in one]
    taken = exists().where(UploadUse.upload_id == Upload.id)
    if unused:
        session.execute(
            update(Upload)
            .where(Upload.id.in_(unused), Upload.owner_id == place.owner_id, ~taken)
            .values(used_at=None)
            .execution_options(synchronize_session=False)
        )
    change(session, place, pending=[], closed_at=func.coalesce(EditingSession.closed_at, func.now()))


def renders(session: Session, session_id: str) -> Sequence[Render]:
    """Its renders that are shown, in order: a retry takes its place at the end."""
    query = select(Render).where(Render.session_id == session_id, Render.purged_at.is_(None))
    return session.scalars(query.order_by(Render.queued_at, Render.id)).all()


def counts(session: Session, session_ids: Sequence[str]) -> dict[str, int]:
    """How many renders are shown of each; those with none are left out."""
    mine = select(Render.session_id, func.count()).where(Render.session_id.in_(session_ids), Render.purged_at.is_(None))
    return {str(one): count for one, count in session.execute(mine.group_by(Render.session_id))}


def turn(session: Session, session_id: str) -> Render | None:
    """Whose turn it is: the first render whose export is not accepted yet."""
    return session.scalars(open_ones(session_id).order_by(Render.queued_at, Render.id).limit(1)).one_or_none()


def is_busy(session: Session, session_id: str, *, but: str | None = None) -> bool:
    """Whether a turn is under way or waited for, that of the render `but` apart."""
    query = open_ones(session_id).with_only_columns(Render.id).limit(1)
    return session.scalar(query if but is None else query.where(Render.id != but)) is not None


def under_way(session: Session, session_id: str) -> Render | None:
    """The last render that is not final: its video comes by itself."""
    query = select(Render).where(Render.session_id == session_id, Render.finished_at.is_(None))
    return session.scalars(query.order_by(Render.queued_at.desc(), Render.id.desc()).limit(1)).one_or_none()


def has_an_earlier(session: Session, render: Render) -> bool:
    """Whether there is a render of its session that was made before this one."""
    query = select(Render.id).where(Render.session_id == render.session_id, Render.id < render.id).limit(1)
    return session.scalar(query) is not None


def price_of_next(session: Session, session_id: str, *, but: str | None = None) -> float:
    """Credits that a next message in it costs, about: an edit where it will find a draft there, as far as that can be
    told beforehand (the render `but`, begun anew, makes none). What is booked is what is found when it is sent."""
    edits = is_busy(session, session_id, but=but) or latest_draft(session, session_id) is not None
    return ABOUT_AN_EDIT if edits else ABOUT_A_CLIP


def open_ones(session_id: str) -> Select[Render]:
    """Its turns that others wait for."""
    taken = [stage.value for stage in EXPORT_TAKEN]
    return select(Render).where(
        Render.session_id == session_id, Render.finished_at.is_(None), Render.stage.not_in(taken)
    )


def latest_draft(session: Session, session_id: str) -> tuple[Render, Draft] | None:
    """The last draft that is kept, with the render it belongs to."""
    found = session.execute(
        select(Render, Draft)
        .join(Draft, (Draft.render_id == Render.id))
        .where(Render.session_id == session_id, Render.purged_at.is_(None))
        .order_by(Draft.created_at.desc(), Draft.run.desc())
        .limit(1)
    ).one_or_none()
    return None if found is None else (found[0], found[1])


def draft_before(session: Session, render: Render) -> bytes | None:
    """The draft that the render's message found; None before any."""
    return session.scalar(
        select(Intent.draft_before)
        .where(Intent.render_id == render.id, Intent.remote_session_id == render.remote_session_id)
        .order_by(Intent.created_at.desc(), Intent.id.desc())
        .limit(1)
    )
