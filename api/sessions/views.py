"""From rows to the answers of sessions."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api import limits, timelines
from api.bodies import CreditsBody, TimelineBody
from api.sessions.bodies import (
    Action,
    ChangeBody,
    MessageBody,
    SessionBody,
    SessionDetailBody,
    SessionRemoteBody,
    StateBody,
    TurnBody,
)
from api.views import render_bodies, render_body, shown
from worker.accounts.models import RemoteSession
from worker.remote import draft as drafts
from worker.renders import queue
from worker.renders.models import Draft, Render
from worker.sessions import store
from worker.sessions.models import EditingSession


def session_bodies(session: Session, places: Sequence[EditingSession]) -> list[SessionBody]:
    """The answers for some sessions of one owner: three queries, however many."""
    counts = store.counts(session, [place.id for place in places])
    remote = _remote(session, places)
    return [SessionBody(**_facts(place, counts.get(place.id, 0), remote[place.id])) for place in places]


def detail_body(session: Session, place: EditingSession) -> SessionDetailBody:
    """One session with its renders."""
    turns = store.renders(session, place.id)
    facts = _facts(place, len(turns), _remote(session, [place])[place.id])
    return SessionDetailBody(**facts, turns=render_bodies(session, turns[-limits.LONGEST_PAGE :]))


def state_body(session: Session, place: EditingSession) -> StateBody:
    """What a session shows."""
    found = store.latest_draft(session, place.id)
    turn = store.turn(session, place.id)
    return StateBody(
        session=place.id,
        timeline=timeline_body(found[1]) if found else None,
        drafted_by=found[0].id if found else None,
        changes=_changes(session, *found) if found else [],
        turn=_turn(turn) if turn else None,
        pending=[shown(one) for one in place.pending],
        remote=_remote(session, [place])[place.id],
    )


def message_body(
    session: Session,
    place: EditingSession,
    action: Action,
    render: Render | None,
    answer: str | None,
    credits: CreditsBody | None,
) -> MessageBody:
    """What a message led to, as it stands now."""
    found = store.latest_draft(session, place.id)
    mine = found is not None and render is not None and found[0].id == render.id
    return MessageBody(
        action=action,
        session=place.id,
        render=render_body(session, render) if render else None,
        timeline=timeline_body(found[1]) if found else None,
        changes=_changes(session, *found) if found and mine and action == "edit" else [],
        answer=answer if answer is not None or render is None else render.answer,
        credits=credits,
        pending=[shown(one) for one in place.pending],
    )


def timeline_body(draft: Draft) -> TimelineBody:
    """A kept draft's tracks."""
    line: dict[str, Any] = timelines.data(drafts.timeline(draft.body))
    return TimelineBody(**line, summary=drafts.summary(draft.body))


def _changes(session: Session, render: Render, draft: Draft) -> list[ChangeBody]:
    before = store.draft_before(session, render)
    if before is None:
        return []
    return [
        ChangeBody(what=one.what, name=one.name, timing=one.timing, text=one.text)
        for one in drafts.difference(before, draft.body)
    ]


def _turn(render: Render) -> TurnBody:
    return TurnBody(render=render.id, status=render.status, reason=render.reason, stage=render.stage)


def _facts(place: EditingSession, renders: int, remote: SessionRemoteBody) -> dict[str, Any]:
    at = f"/v1/sessions/{place.id}"
    status = "lost" if place.lost_at else "closed" if place.closed_at else "open"
    links = {"self": at, "state": f"{at}/state"}
    if status == "open":
        links |= {"messages": f"{at}/messages", "close": f"{at}/close"}
    return {
        "id": place.id,
        "name": place.name,
        "language": place.language,
        "status": status,
        "renders": renders,
        "pending": [shown(one) for one in place.pending],
        "remote": remote,
        "created_at": place.created_at,
        "links": links,
    }


def _remote(session: Session, places: Sequence[EditingSession]) -> dict[str, SessionRemoteBody]:
    """By the session's id."""
    wanted = {place.remote_session_id for place in places if place.remote_session_id}
    rows = session.scalars(select(RemoteSession).where(RemoteSession.id.in_(wanted))).all() if wanted else []
    now = queue.now(session) if rows else None
    found = {row.id: row for row in rows}

    def body(place: EditingSession) -> SessionRemoteBody:
        row = found.get(place.remote_session_id or "")
        ends = row.claim_expires_at if row else None
        link = row.claim_url if row and (ends is None or now is None or ends > now) else None
        return SessionRemoteBody(
            task_id=row.task_id if row else None, session_id=row.session_id if row else None, link=link
        )

    return {place.id: body(place) for place in places}
