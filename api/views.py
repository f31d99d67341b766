"""From rows to answers: six queries for a page of renders, however long."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from api import bodies, cursors
from api.progress import durations, estimate, high_water
from worker.accounts.models import RemoteSession
from worker.renders import runs, uploads
from worker.renders.events import FINAL, Cursor
from worker.renders.models import Attempt, Event, Render, Result, Run, Upload
from worker.renders.states import Charge
from worker.templates import store as templates
from worker.webhooks.models import WebhookEndpoint

FINAL_EVENTS = frozenset(type.value for type in FINAL)
ASSET_FIELDS = ("url", "upload", "name", "media_type", "bytes")
"""What is shown of an asset; where it is stored is not."""


@dataclass
class _Related:
    """What belongs to the renders of one answer."""

    now: datetime
    results: dict[str, Result] = field(default_factory=dict[str, Result])
    runs: dict[str, list[Run]] = field(default_factory=dict[str, list[Run]])
    attempts: dict[str, list[Attempt]] = field(default_factory=dict[str, list[Attempt]])
    sessions: dict[str, RemoteSession] = field(default_factory=dict[str, RemoteSession])
    templates: dict[str, str] = field(default_factory=dict[str, str])
    """`name@3` by the version's id."""
    webhooks: dict[str, bool] = field(default_factory=dict[str, bool])
    """Whether they are enabled, by their endpoints' ids."""


def render_bodies(session: Session, renders: Sequence[Render]) -> list[bodies.RenderBody]:
    """The answers for some renders of one owner."""
    if not renders:
        return []
    related = _related(session, renders)
    if versions := {render.template_version_id for render in renders if render.template_version_id}:
        related.templates = templates.refs(session, versions)
    if endpoints := {render.webhook_endpoint_id for render in renders if render.webhook_endpoint_id}:
        there = WebhookEndpoint.id.in_(endpoints), WebhookEndpoint.deleted_at.is_(None)
        enabled = WebhookEndpoint.disabled_at.is_(None)
        found = select(WebhookEndpoint.id, enabled).where(*there)
        related.webhooks = dict(session.execute(found).tuples().all())
    seconds = durations.now(session)
    return [_render(render, related, seconds) for render in renders]


def render_body(session: Session, render: Render) -> bodies.RenderBody:
    """The answer for one render."""
    return render_bodies(session, [render])[0]


def shown(asset: dict[str, Any]) -> dict[str, Any]:
    """What an answer says of an asset."""
    return {name: asset[name] for name in ASSET_FIELDS if name in asset}


def event_body(event: Event) -> bodies.EventBody:
    """The answer for one event."""
    return bodies.EventBody(
        render_id=event.render_id,
        batch_id=event.batch_id,
        endpoint_id=event.endpoint_id,
        run=event.run,
        number=event.number,
        type=event.type,
        data=event.data,
        final=event.type in FINAL_EVENTS,
        at=event.created_at,
    )


def feed_bodies(session: Session, found: Sequence[Event]) -> list[bodies.FeedEventBody]:
    """The answers for events of the feed, with what their renders are called."""
    ids = {event.render_id for event in found if event.render_id}
    named = select(Render.id, Render.external_ref, Render.batch_id).where(Render.id.in_(ids))
    renders = {id: (reference, batch) for id, reference, batch in session.execute(named)} if ids else {}
    return [_feed_body(event, *renders.get(event.render_id or "", (None, event.batch_id))) for event in found]


def _feed_body(event: Event, external_ref: str | None, batch_id: str | None) -> bodies.FeedEventBody:
    subjects = {
        "renders": event.render_id,
        "batches": event.batch_id,
        "webhook-endpoints": event.endpoint_id,
    }
    at = next(f"/v1/{name}/{id}" for name, id in subjects.items() if id)
    return bodies.FeedEventBody(
        **event_body(event).model_dump(exclude={"batch_id"}),
        batch_id=batch_id,
        external_ref=external_ref,
        cursor=cursors.pack_feed(Cursor(event.transaction, event.id)),
        links={"self": at},
    )


def upload_body(row: Upload) -> bodies.UploadBody:
    """The answer for one upload."""
    return bodies.UploadBody(
        id=row.id,
        name=row.name,
        media_type=row.media_type,
        bytes=row.bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.created_at + uploads.KEPT if row.used_at is None else None,
    )


def _related(session: Session, renders: Sequence[Render]) -> _Related:
    if all(_is_fresh(render) for render in renders):
        return _Related(renders[0].created_at)
    ids = [render.id for render in renders]
    related = _Related(session.execute(select(func.now())).scalar_one())
    ended = [(render.id, render.run) for render in renders if render.finished_at is not None]
    if ended:
        found = session.scalars(select(Result).where(tuple_(Result.render_id, Result.run).in_(ended)))
        related.results = {row.render_id: row for row in found}
    if retried := [render.id for render in renders if render.run > 1]:
        for run in runs.earlier(session, retried):
            related.runs.setdefault(run.render_id, []).append(run)
    for row in session.scalars(select(Attempt).where(Attempt.render_id.in_(ids)).order_by(Attempt.lease)):
        related.attempts.setdefault(row.render_id, []).append(row)
    if remote := {render.remote_session_id for render in renders if render.remote_session_id}:
        found = session.scalars(select(RemoteSession).where(RemoteSession.id.in_(remote)))
        related.sessions = {row.id: row for row in found}
    return related


def _is_fresh(render: Render) -> bool:
    """Nobody has claimed it, and nothing was there before it: it has nothing beside its row yet."""
    return render.lease == 0 and render.run == 1 and render.remote_session_id is None


def _render(render: Render, related: _Related, seconds: Any) -> bodies.RenderBody:
    elapsed = max((related.now - render.stage_at).total_seconds(), 0.0)
    progress, left = estimate(render, elapsed, seconds)
    result = related.results.get(render.id)
    return bodies.RenderBody(
        id=render.id,
        run=render.run,
        status=render.status,
        reason=render.reason,
        stage=render.stage,
        progress=round(high_water.raised(render, progress), 4),
        eta=related.now + timedelta(seconds=left) if left is not None else None,
        prompt=render.prompt,
        template=related.templates.get(render.template_version_id or ""),
        variables=render.variables,
        language=render.language,
        assets=[shown(asset) for asset in render.assets],
        output=render.output,
        priority=render.priority,
        on_unconfirmed=render.on_unconfirmed,
        quality_gate=render.quality_gate,
        expect=bodies.ExpectBody.model_validate(render.expect) if render.expect is not None else None,
        deadline_seconds=render.deadline_seconds,
        external_ref=render.external_ref,
        revision=render.revision,
        reused_from=render.reused_from,
        tags=render.tags,
        metadata=render.meta,
        webhook=_webhook(render, related),
        batch=render.batch_id,
        position=render.batch_position,
        answer=render.answer,
        timeline=render.timeline,
        result=_result(result) if result else None,
        charge=_charge([*related.runs.get(render.id, ()), render]),
        hints=[
            bodies.HintBody(code=str(one.get("code", "")), message=str(one.get("message", ""))) for one in render.hints
        ],
        cancel_effect=render.cancel_effect,
        error=_error(render),
        attempts=[_attempt(row) for row in related.attempts.get(render.id, ())],
        runs=[_run(row) for row in related.runs.get(render.id, ())],
        remote=_remote(render, related),
        session=render.session_id,
        created_at=render.created_at,
        queued_at=render.queued_at,
        started_at=render.started_at,
        deadline_at=render.deadline_at,
        updated_at=render.updated_at,
        finished_at=render.finished_at,
        links=_links(render, result),
    )


def _webhook(render: Render, related: _Related) -> bodies.WebhookBody | None:
    if not render.webhook_events:
        return None
    if (enabled := related.webhooks.get(render.webhook_endpoint_id or "")) is None:
        return bodies.WebhookBody(endpoint_id=None, url=None, events=render.webhook_events, enabled=False)
    url = shown_address(render.webhook_url) if render.webhook_url is not None else None
    return bodies.WebhookBody(
        endpoint_id=render.webhook_endpoint_id, url=url, events=render.webhook_events, enabled=enabled
    )


def shown_address(url: str) -> str:
    """An address without what may be a secret in it."""
    return url.partition("?")[0]


def _result(row: Result) -> bodies.ResultBody:
    at = f"/v1/renders/{row.render_id}"
    return bodies.ResultBody(
        url=f"{at}/video",
        sha256=row.sha256,
        bytes=row.bytes,
        duration=row.duration_seconds,
        width=row.width,
        height=row.height,
        codec=row.video_codec,
        poster=f"{at}/poster" if row.poster_key else None,
        quality=bodies.QualityBody.model_validate(row.quality) if row.quality else None,
    )


def _charge(charged: Sequence[Render | Run]) -> bodies.ChargeBody:
    """Over all runs: one that nobody can know makes the whole unknown, beside what is known."""
    states = {one.charge_state for one in charged}
    state = next((one for one in (Charge.UNKNOWN, Charge.INCURRED) if one in states), Charge.NONE)
    known = [one.charge_credits for one in charged if one.charge_credits is not None]
    return bodies.ChargeBody(state=state.value, credits=sum(known) if known else None)


def _run(row: Run) -> bodies.RunBody:
    error = bodies.RunErrorBody(code=row.error_code, message=row.error_message) if row.error_code else None
    return bodies.RunBody(
        run=row.run,
        status=row.status,
        stage=row.stage,
        answer=row.answer,
        charge=_charge([row]),
        cancel_effect=row.cancel_effect,
        error=error,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _error(render: Render) -> bodies.ErrorBody | None:
    if render.error_code is None:
        return None
    return bodies.ErrorBody(
        code=render.error_code,
        message=render.error_message or "",
        retryable=bool(render.error_retryable),
        help=render.error_help or "",
    )


def _attempt(row: Attempt) -> bodies.AttemptBody:
    return bodies.AttemptBody(
        run=row.run,
        stage=row.stage,
        worker=row.worker_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        error_code=row.error_code,
        error_message=row.error_message,
    )


def _remote(render: Render, related: _Related) -> bodies.RemoteBody:
    row = related.sessions.get(render.remote_session_id or "")
    open_still = row is not None and (row.claim_expires_at is None or row.claim_expires_at > related.now)
    return bodies.RemoteBody(
        task_id=row.task_id if row else None,
        session_id=row.session_id if row else None,
        export_id=render.export_id,
        link=row.claim_url if row and open_still else None,
    )


def _links(render: Render, result: Result | None) -> dict[str, str]:
    """Where to go from here: only what answers."""
    at = f"/v1/renders/{render.id}"
    links = {"self": at, "events": f"{at}/events"}
    if render.finished_at is None:
        links["cancel"] = f"{at}/cancel"
    if render.status in runs.RETRYABLE:
        links["retry"] = f"{at}/retry"
    if result is not None:
        links["video"] = f"{at}/video"
    if result is not None and result.poster_key:
        links["poster"] = f"{at}/poster"
    if render.session_id is not None:
        links["session"] = f"/v1/sessions/{render.session_id}"
    if render.session_id is not None or (render.timeline is not None and render.remote_session_id is not None):
        links["edits"] = f"{at}/edits"
    if render.timeline is not None:
        links["timeline"] = f"{at}/timeline"
    return links
