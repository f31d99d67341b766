"""The order of a session's turns: each comes after the one before, whose export is accepted or which is over.

The session's row is locked for each step, so that two who append at once come one after the other. Where a render's row
is locked too, it is locked first.
"""

from typing import Any

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.orm import Session

from worker.renders import following, store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Draft, Render
from worker.renders.queue import notify_due
from worker.renders.states import Reason, Stage, Status
from worker.renders.store import NewRender
from worker.sessions import store as sessions
from worker.sessions.models import EditingSession

UNTIL = "export"
"""A turn's export uses the draft kept with its render: from its acceptance on nobody disturbs it."""


def append(session: Session, place: EditingSession, request: NewRender, *, render_id: str) -> Render:
    """Take a turn on, at the end of a locked session; its request has the pending files among its own already.

    Raises:
        sessions.Lost, sessions.Closed
    """
    sessions.demand_open(place)
    render = store.accept(session, place.owner_id, request, render_id=render_id)
    session.execute(
        update(Render)
        .where(Render.id == render.id)
        .values(session_id=place.id)
        .execution_options(synchronize_session=False)
    )
    if place.last_render_id is not None and sessions.is_busy(session, place.id, but=render.id):
        following.wait_for(session, render.id, place.last_render_id, UNTIL)
    sessions.change(session, place, last_render_id=render.id, pending=[], language=place.language or request.language)
    session.refresh(render)
    return render


def requeue(session: Session, render: Render) -> dict[str, Any]:
    """What else a locked render's new run from the beginning has on its row: it goes to the end of its session's order.
    What the session's place has of its files already is not sent again, if that is its place still when it is joined.

    Raises:
        sessions.Lost, sessions.Closed
    """
    assert render.session_id is not None, "the caller looked"
    place = sessions.held(session, render.owner_id, render.session_id)
    sessions.demand_open(place)
    following.leave(session, render.id)
    values: dict[str, Any] = {"follows_id": None, "follows_until": None}
    tail = place.last_render_id if place.last_render_id != render.id else _last_of_the_others(session, place, render)
    if tail is not None and sessions.is_busy(session, place.id, but=render.id):
        values |= {"follows_id": tail, "follows_until": UNTIL, "ready_at": following.NOT_YET}
        values |= {"status": Status.WAITING.value, "reason": Reason.SESSION.value}
    if place.remote_session_id is not None and place.remote_session_id == render.remote_session_id:
        # Whose marks they are: should the session have moved on by then, the marks say nothing of the new place.
        values |= {"assets": render.assets, "remote_session_id": render.remote_session_id}
    sessions.change(session, place, last_render_id=render.id)
    return values


def _last_of_the_others(session: Session, place: EditingSession, render: Render) -> str | None:
    """The last one itself begins anew: it still comes after whoever is before it."""
    others = sessions.open_ones(place.id).where(Render.id != render.id)
    last = session.scalars(others.order_by(Render.queued_at.desc(), Render.id.desc()).limit(1)).one_or_none()
    return last.id if last is not None else None


def export(
    session: Session, place: EditingSession, source: Render, draft: Draft, request: NewRender, *, render_id: str
) -> Render:
    """A render that is nothing but one more export of a kept draft, which is free: no message, no turn of its own.

    Raises:
        sessions.Lost, sessions.Closed
    """
    sessions.demand_open(place)
    render = store.accept(session, place.owner_id, request, render_id=render_id)
    session.execute(
        insert(Draft).from_select(
            ["render_id", "run", "owner_id", "body", "created_at"],
            # With the time of the original: it is not a later word on the timeline.
            select(literal(render.id), literal(1), Draft.owner_id, Draft.body, Draft.created_at).where(
                Draft.render_id == draft.render_id, Draft.run == draft.run
            ),
        )
    )
    values = {
        "session_id": place.id,
        "stage": Stage.EXPORT.value,
        "status": Status.RUNNING.value,
        "started_at": func.now(),
        # Of the session, where every kept draft is: the source's row says it no longer once that is begun anew.
        "account_id": place.account_id,
        "remote_session_id": place.remote_session_id,
        "answer": source.answer,
        "timeline": source.timeline,
    }
    store.change(session, render, values, NewEvent(EventType.STARTED))
    notify_due(session)
    return render
