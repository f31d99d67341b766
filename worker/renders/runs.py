"""A render's runs: a retry keeps the id and starts the next run on the render's row; the one before is kept as it was.

Where the draft of the run before is paid for and kept, the next run goes on from its export, which is free; where its
message was carried out and only the draft was not waited for, from reading it. Everything else starts from the
beginning and sends a new message: where that could be a second charge, it has to be asked for.

A run also starts by itself: where a message that nobody could know about turns out to have been carried out, its video
is delivered.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, exists, func, insert, literal, select
from sqlalchemy.orm import Session

from worker.accounts.models import RemoteSession
from worker.batches import steering
from worker.database import from_now
from worker.metrics.commits import on_commit
from worker.metrics.declared import RENDERS_ACCEPTED
from worker.remote.intents import WANTING, Intent, IntentState, followed, record_finding
from worker.renders import store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Draft, Event, Render, Result, Run
from worker.renders.queue import notify_due
from worker.renders.states import Charge, Stage, Status
from worker.sessions import order, place

RETRYABLE = frozenset({Status.FAILED, Status.CANCELED, Status.EXPIRED})

OF_THE_ACCOUNT = "account."
"""Hints of this kind spoke of a balance at the time."""


class NotFinal(Exception):
    """The run is not over: there is nothing to repeat, or to throw away, yet."""


class Succeeded(Exception):
    """There is a video: another one is another render."""


class ForceNeeded(Exception):
    """A message of an earlier run was, or may have been, charged, and a new one would be charged again."""

    def __init__(self, charge: str) -> None:
        super().__init__(f"the charge so far is {charge}")
        self.charge = charge


def retry(session: Session, render: Render, *, force: bool, api_key_id: str | None) -> None:
    """Start the next run of a locked render that ended without a video; `force` pays again. One of a session goes to
    the end of its order, where it sends a message.

    Raises:
        NotFinal, Succeeded, ForceNeeded, worker.sessions.store.Lost, worker.sessions.store.Closed
    """
    _hold_back_the_next(session, render)
    stage = first_stage(session, render, force=force)
    values: dict[str, Any] = {"api_key_id": api_key_id}
    if stage is Stage.EXPORT:
        _hand_draft_on(session, render)
    if stage is Stage.TOKEN and render.session_id is not None:
        values |= order.requeue(session, render)
    if stage is Stage.VERIFY and (intent := _draft_to_read(session, render)) is not None:
        values |= place_of(intent)
    _begin(session, render, stage, {"force": force}, values)


def since_force(session: Session, render_id: str) -> int:
    """The last run that was asked for with `force`, else the first: what was charged before it is paid again knowingly,
    from it on nothing is."""
    forced = select(func.max(Event.run)).where(
        Event.render_id == render_id, Event.type == EventType.QUEUED, Event.data.contains({"force": True})
    )
    return session.scalar(forced) or 1


def lacks_its_video(render: Render) -> bool:
    """Whether a video that turns up late is still wanted: the last run failed, and nobody called it off."""
    return render.status == Status.FAILED and render.purged_at is None and render.cancel_requested_at is None


def deliver(session: Session, render: Render, intent: Intent) -> None:
    """Start the next run of a locked, failed render at the reading of a draft that turned up late, in the session that
    it turned up in. Costs nothing more, and is done once for each message."""
    record_finding(session, intent, {"delivered": render.run + 1})
    _begin(session, render, Stage.VERIFY, {"late": True}, place_of(intent))


def deliver_late(session: Session, render_id: str) -> None:
    """A run has failed: deliver what turned up late in another session while it was under way."""
    late = Intent.evidence.contains([{"late": True}])
    delivered = Intent.evidence.path_exists("$[*].delivered")
    wanted = _drafts(render_id).where(late, ~delivered)
    if session.scalars(wanted).one_or_none() is None:
        return
    query = select(Render).where(Render.id == render_id).with_for_update()
    render = session.scalars(query.execution_options(populate_existing=True)).one()
    _hold_back_the_next(session, render)
    found = session.scalars(wanted).one_or_none()
    if found is not None and lacks_its_video(render):
        deliver(session, render, found)


def _hold_back_the_next(session: Session, render: Render) -> None:
    """Lock the session of a locked render: the next message there is on file by now, or comes after this run, whose
    draft it would change."""
    if render.session_id is not None:
        place.of(session, render.session_id, lock=True)


def place_of(intent: Intent) -> dict[str, Any]:
    """Where a message went, as a render's row says it."""
    return {"account_id": intent.account_id, "remote_session_id": intent.remote_session_id}


def _begin(session: Session, render: Render, stage: Stage, told: dict[str, Any], values: dict[str, Any]) -> None:
    """The next run, from `stage`. One that goes on from paid work waits for no free stream and no account's slot."""
    _keep(session, render)
    if render.batch_id is not None:
        steering.reopen(session, render.batch_id)
    events = [NewEvent(EventType.QUEUED, {"stage": stage.value} | told)]
    if stage is not Stage.TOKEN:
        events.append(NewEvent(EventType.STARTED))
    elif "reason" in values:
        events.append(NewEvent(EventType.WAITING, {name: values[name] for name in ("reason", "follows_id")}))
    store.change(session, render, _afresh(render, stage) | values, *events)
    if stage is not Stage.TOKEN and render.session_id is not None:
        place.look_again(session, render.session_id)
    notify_due(session)
    on_commit(session, RENDERS_ACCEPTED.labels("retry").inc)


def first_stage(session: Session, render: Render, *, force: bool) -> Stage:
    """Where the next run would begin: EXPORT or VERIFY, which are free, or TOKEN.

    Raises:
        NotFinal, Succeeded, ForceNeeded
    """
    if render.finished_at is None:
        raise NotFinal
    if Status(render.status) not in RETRYABLE:
        raise Succeeded
    if _is_only_an_export(session, render):
        return Stage.EXPORT
    if not force and _has_paid_draft(session, render):
        return Stage.EXPORT
    if not force and _draft_to_read(session, render) is not None:
        return Stage.VERIFY
    charged = _charged(session, render)
    if charged is not Charge.NONE and not force:
        raise ForceNeeded(charged.value)
    return Stage.TOKEN


def _is_only_an_export(session: Session, render: Render) -> bool:
    """A draft that no message of its own made, nor anybody paid for: there is nothing in its words to send, whatever is
    asked."""
    drafted = exists().where(Draft.render_id == render.id, Draft.run == render.run)
    said = exists().where(Intent.render_id == render.id)
    return bool(session.scalar(select(drafted & ~said))) and _charged(session, render) is Charge.NONE


def _charged(session: Session, render: Render) -> Charge:
    """Over all runs: one that only exported again was free, and what an earlier one paid is paid all the same."""
    states = {render.charge_state, *session.scalars(select(Run.charge_state).where(Run.render_id == render.id))}
    return next((one for one in (Charge.UNKNOWN, Charge.INCURRED) if one in states), Charge.NONE)


def _has_paid_draft(session: Session, render: Render) -> bool:
    """Whether the run's draft is kept and the session it belongs to still there: only the export is missing. Where the
    run failed although its video is there, another export would give the same one."""
    query = (
        select(Draft.run)
        .join(RemoteSession, RemoteSession.id == render.remote_session_id)
        .where(Draft.render_id == render.id, Draft.run == render.run, RemoteSession.lost_at.is_(None))
        .where(~exists().where(Result.render_id == render.id, Result.run == render.run))
    )
    return session.scalar(query) is not None


def _draft_to_read(session: Session, render: Render) -> Intent | None:
    """A message that was carried out and whose draft nobody read to its end: the run was called off, nobody could know,
    or the backend could not be asked."""
    return session.scalars(_drafts(render.id)).one_or_none()


def _drafts(render_id: str) -> Select[Intent]:
    """The last carried out message whose session is still there, and still as it left it, and whose draft was not found
    wanting."""
    return (
        select(Intent)
        .join(RemoteSession, RemoteSession.id == Intent.remote_session_id)
        .where(
            Intent.render_id == render_id,
            Intent.state == IntentState.APPLIED.value,
            RemoteSession.lost_at.is_(None),
            ~Intent.evidence.contains([WANTING]),
            ~followed(),
        )
        .order_by(Intent.created_at.desc(), Intent.id.desc())
        .limit(1)
    )


def refuse_draft(session: Session, render: Render) -> None:
    """The draft in the render's session gave a video that is not wanted: no later run goes on from it by itself."""
    mine = Intent.render_id == render.id, Intent.remote_session_id == render.remote_session_id
    for intent in session.scalars(select(Intent).where(*mine, Intent.state == IntentState.APPLIED.value)):
        record_finding(session, intent, WANTING)


def earlier(session: Session, render_ids: Sequence[str]) -> Sequence[Run]:
    """The earlier runs of some renders, in order."""
    return session.scalars(select(Run).where(Run.render_id.in_(render_ids)).order_by(Run.render_id, Run.run)).all()


_KEPT = (
    "run",
    "owner_id",
    "api_key_id",
    "status",
    "stage",
    "answer",
    "charge_state",
    "charge_credits",
    "cancel_effect",
    "error_code",
    "error_message",
    "queued_at",
    "started_at",
    "finished_at",
)


def _keep(session: Session, render: Render) -> None:
    session.execute(insert(Run).values(render_id=render.id, **{name: getattr(render, name) for name in _KEPT}))


def _hand_draft_on(session: Session, render: Render) -> None:
    """An export takes the draft of its own run."""
    names = ["render_id", "run", "owner_id", "body"]
    draft = select(Draft.render_id, literal(render.run + 1), Draft.owner_id, Draft.body).where(
        Draft.render_id == render.id, Draft.run == render.run
    )
    session.execute(insert(Draft).from_select(names, draft))


def _afresh(render: Render, stage: Stage) -> dict[str, Any]:
    """The row of a run that nobody began. The lease number goes on growing: whoever still works for the run before
    writes nothing any more."""
    values: dict[str, Any] = {
        "run": render.run + 1,
        "status": Status.QUEUED.value,
        "stage": stage.value,
        "fraction": 0,
        "tries": 0,
        "charge_state": Charge.NONE.value,
        "hints": [hint for hint in render.hints if not str(hint.get("code", "")).startswith(OF_THE_ACCOUNT)],
    }
    values |= dict.fromkeys(("ready_at", "stage_at", "queued_at"), func.now())
    values |= dict.fromkeys(
        ("reason", "cancel_requested_at", "cancel_effect", "sent_at", "failing_since", "export_id", "charge_credits")
    )
    values |= dict.fromkeys(("error_code", "error_message", "error_retryable", "error_help"))
    values |= {"started_at": None, "finished_at": None, "expiring": False, "clock_stopped_at": None}
    if render.deadline_seconds is not None:
        values["deadline_at"] = from_now(timedelta(seconds=render.deadline_seconds))
    if stage is not Stage.TOKEN:
        values |= {"status": Status.RUNNING.value, "started_at": func.now()}
    else:
        values |= dict.fromkeys(("account_id", "remote_session_id", "answer", "timeline"))
        values |= {"sessions": 0, "assets": unsent(render.assets)}
    return values


def unsent(assets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The assets with their marks taken off: a new session has none of them."""
    return [{name: value for name, value in asset.items() if name not in ("begun", "sent")} for asset in assets]
