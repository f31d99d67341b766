"""The intake's verbs: accept, show, list, change, cancel. Every query names the owner it is for, and none finds a
render that was purged, or that was not promised yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import ColumnElement, Select, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from worker.batches.models import Batch, BatchState
from worker.database import new_id
from worker.metrics.commits import on_commit
from worker.metrics.declared import RENDERS_ACCEPTED, RUNS_ENDED
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Attempt, Draft, Export, Lane, Render, Result, UploadUse
from worker.renders.queue import DUE, notify_due
from worker.renders.states import Stage, Status

CANCEL = "vivideo_cancel"
"""NOTIFY channel: a render that a worker holds was asked to be cancelled."""


@dataclass(frozen=True)
class NewRender:
    """A validated request."""

    prompt: str
    language: str
    assets: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    output: dict[str, Any] = field(default_factory=lambda: {"format": "mp4", "quality": "high"})
    priority: str = "normal"
    on_unconfirmed: str = "fail"
    quality_gate: str = "report"
    expect: dict[str, Any] | None = None
    """What the video is compared with; None: what the prompt asks for in words."""
    external_ref: str | None = None
    revision: int | None = None
    """Of `external_ref`; see `revisions.py`."""
    tags: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    hints: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    api_key_id: str | None = None
    deadline_seconds: float | None = None
    template_version_id: str | None = None
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    webhook_endpoint_id: str | None = None
    """Where its own events go, by which address, and which of them."""
    webhook_url: str | None = None
    webhook_events: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Filter:
    """Which of an owner's renders; an empty field leaves none out."""

    status: Sequence[str] = ()
    tag: str | None = None
    external_ref: str | None = None
    priority: str | None = None
    batch: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    ids: Sequence[str] = ()


class Begun(Exception):
    """The render is no longer queued: what it was asked for stays as it is."""

    def __init__(self, render: Render) -> None:
        super().__init__(f"{render.id} is {render.status}, no longer queued")
        self.status = render.status


def lane(session: Session, owner_id: str, priority: str) -> int:
    """An owner's lane of a priority, for renders that are in no batch; made on first use."""
    where = (Lane.owner_id == owner_id, Lane.priority == priority, Lane.batch_id.is_(None))
    found = session.scalar(select(Lane.id).where(*where))
    if found is None:
        session.execute(pg_insert(Lane).values(owner_id=owner_id, priority=priority).on_conflict_do_nothing())
        found = session.scalar(select(Lane.id).where(*where))
    assert found is not None, "the insert above or the one it met made it"
    return found


def lane_beside(session: Session, own: Lane, priority: str) -> int:
    """The lane of another priority: of the same batch and part, standing still where that does."""
    same = {"owner_id": own.owner_id, "batch_id": own.batch_id, "part": own.part, "priority": priority}
    if own.batch_id is not None:
        # Who resumes or approves the batch writes on its row first: he waits for this transaction, and finds the lane.
        session.execute(select(Batch.id).where(Batch.id == own.batch_id).with_for_update(read=True))
        session.refresh(own)
    row = same | {"held": own.held, "paused_at": own.paused_at}
    session.execute(pg_insert(Lane).values(row).on_conflict_do_nothing())
    return session.scalars(select(Lane.id).filter_by(**same)).one()


def accept(session: Session, owner_id: str, request: NewRender, *, render_id: str | None = None) -> Render:
    """Take a render on: from this transaction's commit on it will end in exactly one final status."""
    given = {name: _stored(name, getattr(request, name)) for name in _GIVEN}
    given |= {"id": render_id or new_id("rnd"), "owner_id": owner_id}
    render = session.scalars(_ACCEPT, given).one_or_none()
    if render is None:
        lane(session, owner_id, request.priority)
        render = session.scalars(_ACCEPT, given).one()
    if uploads := {asset["upload"] for asset in request.assets if "upload" in asset}:
        session.execute(pg_insert(UploadUse), [{"upload_id": one, "render_id": render.id} for one in sorted(uploads)])
    on_commit(session, RENDERS_ACCEPTED.labels("new").inc)
    return render


AS_JSON = frozenset({"assets", "output", "expect", "metadata", "hints", "variables"})
_GIVEN = tuple(field.name for field in fields(NewRender))
"""Each is a column of its own name."""
_COPIED = tuple(name for name in _GIVEN if name != "priority")
"""The lane gives the priority."""


def _stored(name: str, value: Any) -> Any:
    return Jsonb(value) if name in AS_JSON and value is not None else value


def _value(name: str) -> str:
    """A parameter whose NULL would have no type."""
    typed = {"expect": "jsonb", "deadline_seconds": "float8", "revision": "bigint"}
    return f"CAST(:{name} AS {typed[name]})" if name in typed else f":{name}"


_ACCEPT = select(Render).from_statement(
    text(
        f"""
        WITH made AS (INSERT INTO renders (id, owner_id, lane_id, priority, {", ".join(_COPIED)}, deadline_at,
                event_number)
            SELECT :id, lanes.owner_id, lanes.id, lanes.priority, {", ".join(map(_value, _COPIED))},
                now() + CAST(:deadline_seconds AS float8) * interval '1 second', 1
            FROM lanes WHERE owner_id = :owner_id AND priority = :priority AND batch_id IS NULL
            RETURNING *),
        told AS (INSERT INTO events (owner_id, render_id, run, number, type)
            SELECT owner_id, id, run, event_number, '{EventType.QUEUED.value}' FROM made)
        SELECT made.*, pg_notify('{DUE}', '') FROM made"""  # noqa: S608 - own names
    )
)
"""The row, its first event and the dispatcher's wake-up in one statement; no row where the lane is not there yet."""


def get(session: Session, owner_id: str, render_id: str) -> Render | None:
    """The owner's render, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, render_id)).one_or_none()


def locked(session: Session, owner_id: str, render_id: str) -> Render | None:
    """As `get`, with the row locked until the transaction ends: nobody claims or changes it meanwhile."""
    query = _owned(owner_id, render_id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _owned(owner_id: str, render_id: str) -> Select[Render]:
    return select(Render).where(Render.id == render_id, Render.owner_id == owner_id, *_shown(owner_id))


def _shown(owner_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Neither purged nor of a batch that is still coming in: such a one was promised to nobody."""
    coming = select(Batch.id).where(Batch.owner_id == owner_id, Batch.state == BatchState.RECEIVING.value)
    return Render.purged_at.is_(None), or_(Render.batch_id.is_(None), Render.batch_id.not_in(coming))


def page(
    session: Session, owner_id: str, wanted: Filter, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[Render]:
    """Up to `limit` of the owner's renders, newest first, behind `after` (keyset: creation time and id)."""
    query = select(Render).where(Render.owner_id == owner_id, *_shown(owner_id), *_conditions(wanted))
    if after is not None:
        query = query.where(tuple_(Render.created_at, Render.id) < tuple_(*after))
    return session.scalars(query.order_by(Render.created_at.desc(), Render.id.desc()).limit(limit)).all()


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.status:
        yield Render.status.in_(wanted.status)
    if wanted.tag is not None:
        yield Render.tags.contains([wanted.tag])
    if wanted.external_ref is not None:
        yield Render.external_ref == wanted.external_ref
    if wanted.priority is not None:
        yield Render.priority == wanted.priority
    if wanted.created_after is not None:
        yield Render.created_at >= wanted.created_after
    if wanted.created_before is not None:
        yield Render.created_at < wanted.created_before
    if wanted.batch is not None:
        yield Render.batch_id == wanted.batch
    if wanted.ids:
        yield Render.id.in_(wanted.ids)


def amend(
    session: Session, render: Render, *, priority: str | None = None, metadata: dict[str, Any] | None = None
) -> None:
    """Change a locked render that is still queued.

    Raises:
        Begun: a worker has it, had it, or it is over.
    """
    waits_for_its_turn = render.status == Status.WAITING and render.started_at is None
    if not (render.status == Status.QUEUED or waits_for_its_turn) or render.started_at or render.worker_id:
        raise Begun(render)
    changes: dict[str, Any] = {}
    if priority is not None:
        own = session.get_one(Lane, render.lane_id)
        changes |= {"priority": priority, "lane_id": lane_beside(session, own, priority)}
    if metadata is not None:
        changes["meta"] = metadata
    if changes:
        told = NewEvent(
            EventType.UPDATED,
            {"fields": sorted({"meta": "metadata"}.get(name, name) for name in changes if name != "lane_id")},
        )
        change(session, render, changes, told)


def change(session: Session, render: Render, values: dict[str, Any], *told: NewEvent) -> None:
    """Write on a locked render on its owner's behalf, with the events that tell of it."""
    last = session.execute(
        update(Render)
        .where(Render.id == render.id)
        .values(**values, event_number=Render.event_number + len(told))
        .returning(Render.event_number)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    run = values.get("run", render.run)
    events.append(session, render_id=render.id, owner_id=render.owner_id, run=run, last=last, events=told)
    session.refresh(render)


def result(session: Session, render: Render) -> Result | None:
    """The file of the render's current run."""
    return session.get(Result, (render.id, render.run))


def draft(session: Session, render: Render) -> Draft | None:
    """The draft kept with the render's current run."""
    return session.get(Draft, (render.id, render.run))


def attempts(session: Session, render_id: str) -> Sequence[Attempt]:
    """Every attempt at every stage, in order."""
    return session.scalars(select(Attempt).where(Attempt.render_id == render_id).order_by(Attempt.lease)).all()


def exports(session: Session, render_id: str) -> Sequence[Export]:
    """Every export of a render, in order."""
    return session.scalars(select(Export).where(Export.render_id == render_id).order_by(Export.created_at)).all()


def cancel(session: Session, owner_id: str, render_id: str) -> Render | None:
    """Ask for a render to be cancelled; None when the owner has no such render.

    One that nobody began is canceled at once (`prevented`). One under way is `canceling` until a worker has undone
    what can be undone and says what that was. One that is final stays as it is.
    """
    render = locked(session, owner_id, render_id)
    if render is None or render.finished_at is not None or render.cancel_requested_at is not None:
        return render
    if render.started_at is None:
        _close_unbegun(session, render)
    else:
        _ask_to_cancel(session, render)
    return render


def _close_unbegun(session: Session, render: Render) -> None:
    closed = {
        "status": Status.CANCELED.value,
        "reason": None,
        "cancel_requested_at": func.now(),
        "cancel_effect": "prevented",
        "finished_at": func.now(),
        "sent_at": None,
    }
    change(session, render, closed, NewEvent(EventType.CANCELED, {"effect": "prevented"}))
    on_commit(session, RUNS_ENDED.labels(Status.CANCELED.value, "").inc)


def _ask_to_cancel(session: Session, render: Render) -> None:
    asked = {
        "status": Status.CANCELING.value,
        "reason": None,
        "cancel_requested_at": func.now(),
        "sent_at": None,
    }
    change(session, render, asked, NewEvent(EventType.CANCELING, {"stage": render.stage}))
    notify_due(session)
    session.execute(text(f"NOTIFY {CANCEL}"))


def stage_seconds(session: Session) -> dict[Stage, float]:
    """Median seconds of each stage over the last day's finished attempts, for estimates."""
    rows = session.execute(
        text(
            "SELECT stage, percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - started_at))"
            " FROM (SELECT stage, started_at, ended_at, row_number() OVER (PARTITION BY stage ORDER BY ended_at DESC) n"
            "       FROM attempts WHERE outcome = 'advance' AND ended_at > now() - interval '1 day') recent"
            " WHERE n <= 200 GROUP BY stage"
        )
    ).all()
    return {Stage(stage): float(seconds) for stage, seconds in rows}
