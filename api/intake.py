"""A valid request becomes a render or its next run: with its key, in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from api import idempotency, templating
from api.auth import Caller
from api.bodies import DryRunBody, EstimateBody, HintBody, NormalisedBody, RenderBody, WebhookBody
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from api.progress import durations
from api.schemas import Asset, RenderRequest, RetryRequest, VideoRequest, Webhook
from api.templating import Words
from api.views import render_body, shown, shown_address
from worker.database import new_id
from worker.media.quality import words as asked_in_words
from worker.owners import limits
from worker.remote import hints, intents
from worker.renders import following, revisions, runs, store, uploads
from worker.renders.models import Render, Upload
from worker.renders.states import ORDER, Stage
from worker.renders.store import NewRender
from worker.sessions import store as sessions
from worker.webhooks import endpoints
from worker.webhooks.models import WebhookEndpoint

ROUTE = "POST /v1/renders"
LATER = ("template", "variables", "quality_gate", "expect", "revision", "webhook")
"""Fields that are younger than idempotency keys which may still come again."""


@dataclass(frozen=True)
class Answer:
    """The render that a request led to, and whether an earlier one with its key had."""

    body: RenderBody
    replayed: bool


def accept(caller: Caller, request: RenderRequest, key: Key) -> Answer:
    """Take the render on that is asked for.

    Raises Problem `idempotency.…`, `upload.unknown`, `template.…`, `webhook.too_many`, `render.deleted`,
    revisions.Stale, LimitReached.
    """
    hashed = idempotency.body_hash(_normalised(request))
    written = templating.written(request)
    render_id = new_id("rnd")

    def make(session: Session) -> Render:
        taken = uploads.take(session, caller.owner_id, wanted(request))
        words = written or _filled(session, caller, request)
        new = _single(caller, request, words, kept_assets(request.assets, taken))
        new = _announced(session, caller, request, new)
        # First: what it takes the place of no longer counts against the key.
        at_work = revisions.make_way(session, caller.owner_id, new.external_ref, new.revision, newer=render_id)
        limits.check(session, caller.key_id, caller.limits)
        render = store.accept(session, caller.owner_id, new, render_id=render_id)
        _follow(session, render, at_work)
        return render

    return _once(caller, ROUTE, key, hashed, render_id, make)


def retry(caller: Caller, render_id: str, request: RetryRequest, key: Key) -> Answer:
    """Start the render's next run.

    Raises Problem `idempotency.…`, `render.…`, revisions.Stale, LimitReached.
    """
    hashed = idempotency.body_hash(request.model_dump(mode="json"))

    def make(session: Session) -> Render:
        render = held(session, caller.owner_id, render_id)
        if render.session_id is not None:  # before the key: who says something in it locks them so
            sessions.held(session, caller.owner_id, render.session_id)
        sends = runs.first_stage(session, render, force=request.force) is Stage.TOKEN
        price = _price_of_next(session, render) if sends else 0
        # What is paid for is delivered, whatever is newer: nothing more is made for it.
        at_work = _make_way(session, render) if sends else None
        limits.check(session, caller.key_id, caller.limits, credits=price)
        if at_work is not None:
            following.leave(session, render.id)
        runs.retry(session, render, force=request.force, api_key_id=caller.key_id)
        _follow(session, render, at_work)
        return render

    return _once(caller, f"POST /v1/renders/{render_id}/retry", key, hashed, render_id, make)


def _follow(session: Session, render: Render, at_work: str | None) -> None:
    if at_work is not None:
        revisions.follow(session, {render.id: at_work})
        session.refresh(render)


def _make_way(session: Session, render: Render) -> str | None:
    return revisions.make_way(session, render.owner_id, render.external_ref, render.revision, newer=render.id)


def _price_of_next(session: Session, render: Render) -> float:
    if render.session_id is None:
        return intents.ABOUT_A_CLIP
    return sessions.price_of_next(session, render.session_id, but=render.id)


def _once(
    caller: Caller, route: str, key: Key, hashed: str, render_id: str, make: Callable[[Session], Render]
) -> Answer:
    """The render made under this key, now or before, as it stands; in one transaction."""

    def work(session: Session) -> Answer:
        made = idempotency.once(session, caller.owner_id, route, key, hashed, render_id, lambda: make(session))
        if not isinstance(made, Earlier):
            return Answer(render_body(session, made), replayed=False)
        render = store.get(session, caller.owner_id, made.resource_id)
        if render is None:
            raise Problem("render.deleted", f"{made.resource_id} was made with this key and deleted.")
        return Answer(render_body(session, render), replayed=key.given)

    return transact(work)


def rehearse(caller: Caller, request: RenderRequest) -> DryRunBody:
    """What `accept` would take on; writes nothing. Raises Problem `upload.unknown`, `template.…`, `webhook.too_many`,
    revisions.Stale."""
    written = templating.written(request)

    def work(session: Session) -> DryRunBody:
        found = {id: row for id in wanted(request) if (row := uploads.get(session, caller.owner_id, id))}
        words = written or _filled(session, caller, request)
        new = _single(caller, request, words, kept_assets(request.assets, found))
        revisions.refuse_stale(session, caller.owner_id, new.external_ref, new.revision)
        seconds = sum(durations.now(session)[stage] for stage in ORDER if stage is not Stage.UPLOAD or new.assets)
        endpoint = _endpoint(session, caller, request.webhook, endpoints.of_render_there)
        new = replace(new, hints=[*new.hints, *_of_endpoint(endpoint)])
        return _rehearsed(new, words.template, _webhook(request, endpoint), seconds)

    return transact(work)


def _filled(session: Session, caller: Caller, request: RenderRequest) -> Words:
    """Raises Problem `template.…`, Archived."""
    return templating.filled(request, templating.resolved(session, caller.owner_id, request.template or ""))


def _announced(session: Session, caller: Caller, request: RenderRequest, new: NewRender) -> NewRender:
    """With the endpoint of its own webhook, if it has one."""
    endpoint = _endpoint(session, caller, request.webhook, endpoints.of_render)
    if request.webhook is None or endpoint is None:
        return new
    return replace(
        new,
        webhook_endpoint_id=endpoint.id,
        webhook_url=request.webhook.url,
        webhook_events=request.webhook.events,
        hints=[*new.hints, *_of_endpoint(endpoint)],
    )


def _endpoint(
    session: Session,
    caller: Caller,
    asked: Webhook | None,
    found: Callable[[Session, str, str], WebhookEndpoint | None],
) -> WebhookEndpoint | None:
    """Raises Problem `webhook.too_many`."""
    try:
        return found(session, caller.owner_id, asked.url) if asked else None
    except endpoints.TooMany:
        words = f"Your renders name {endpoints.MOST_OF_RENDERS} hosts already."
        errors = [FieldError("/webhook/url", "one more host: name one that is known, or delete its endpoint")]
        raise Problem("webhook.too_many", words, errors=errors) from None


def _of_endpoint(endpoint: WebhookEndpoint | None) -> list[dict[str, Any]]:
    """A hint where nothing will come there."""
    if endpoint is None or endpoint.disabled_at is None:
        return []
    message = (
        f"Its webhook goes nowhere: {endpoint.id} is disabled ({endpoint.disabled_reason}). PATCH it with enabled."
    )
    return [{"code": "webhook.disabled", "message": message}]


def _webhook(request: RenderRequest, endpoint: WebhookEndpoint | None) -> WebhookBody | None:
    asked, enabled = request.webhook, endpoint is None or endpoint.disabled_at is None
    return asked and WebhookBody(endpoint_id=None, url=shown_address(asked.url), events=asked.events, enabled=enabled)


def _rehearsed(new: NewRender, template: str | None, webhook: WebhookBody | None, seconds: float) -> DryRunBody:
    found = {"assets": [shown(asset) for asset in new.assets], "template": template, "webhook": webhook}
    kept = {name: getattr(new, name) for name in NormalisedBody.model_fields.keys() - found.keys()}
    return DryRunBody(
        render=NormalisedBody(**found, **kept),
        hints=[HintBody(**hint) for hint in new.hints],
        estimate=EstimateBody(credits=intents.ABOUT_A_CLIP, seconds=round(seconds, 1)),
    )


def _normalised(request: RenderRequest) -> dict[str, Any]:
    """The request with its defaults filled in, those of the fields that came later apart: older keys stay valid."""
    return request.model_dump(mode="json", exclude={name for name in LATER if _is_default(request, name)})


def _is_default(request: RenderRequest, name: str) -> bool:
    return getattr(request, name) == RenderRequest.model_fields[name].get_default(call_default_factory=True)


def _single(caller: Caller, request: RenderRequest, words: Words, assets: list[dict[str, Any]]) -> NewRender:
    return replace(new_render(caller, request, words, assets), revision=request.revision)


def new_render(caller: Caller, request: VideoRequest, words: Words, assets: list[dict[str, Any]]) -> NewRender:
    """The request as it is kept, with its words."""
    names = [asset.get("name") or asset["url"] for asset in assets]
    return NewRender(
        prompt=words.prompt,
        language=words.language,
        template_version_id=words.version_id,
        variables=request.variables,
        assets=assets,
        output=request.output.model_dump(),
        priority=request.priority,
        on_unconfirmed=request.on_unconfirmed,
        quality_gate=request.quality_gate,
        expect=_expected(request, words),
        deadline_seconds=request.deadline_seconds,
        external_ref=request.external_ref,
        tags=list(dict.fromkeys(words.tags)),
        metadata=request.metadata,
        api_key_id=caller.key_id,
        hints=[{"code": hint.code, "message": hint.message} for hint in hints.hints(words.prompt, names)],
    )


def _expected(request: VideoRequest, words: Words) -> dict[str, Any] | None:
    """What the video will be compared with: as given, else as the prompt plainly says, or the template it is of."""
    if request.expect is not None:
        return request.expect.model_dump()
    if words.own is not None:
        return asked_in_words.read_filled(words.prompt, words.own, request.variables.values()).in_full()
    return asked_in_words.read(words.prompt).as_json()


def wanted(request: VideoRequest) -> list[str]:
    """The uploads that a request names."""
    return list(dict.fromkeys(asset.upload for asset in request.assets if asset.upload))


def kept_assets(assets: Sequence[Asset], found: dict[str, Upload], pointer: str = "/assets") -> list[dict[str, Any]]:
    """The assets as kept on a render, of those uploads. Raises Problem `upload.unknown`; `pointer` is where they
    stand in the request."""
    missing = [
        FieldError(f"{pointer}/{place}/upload", "there is no such upload")
        for place, asset in enumerate(assets)
        if asset.upload and asset.upload not in found
    ]
    if missing:
        raise Problem("upload.unknown", "Not every upload is there.", errors=missing)
    return [_kept(found[asset.upload]) if asset.upload else {"url": asset.url} for asset in assets]


def _kept(upload: Upload) -> dict[str, Any]:
    return {
        "upload": upload.id,
        "name": upload.name,
        "media_type": upload.media_type,
        "bytes": upload.bytes,
        "storage_key": upload.storage_key,
    }


def found(session: Session, owner_id: str, render_id: str) -> Render:
    """The owner's render. Raises Problem `render.unknown`."""
    render = store.get(session, owner_id, render_id)
    if render is None:
        raise unknown(render_id)
    return render


def held(session: Session, owner_id: str, render_id: str) -> Render:
    """The owner's render with its row locked. Raises Problem `render.unknown`."""
    render = store.locked(session, owner_id, render_id)
    if render is None:
        raise unknown(render_id)
    return render


def unknown(render_id: str) -> Problem:
    """The problem of a render that is not there, or somebody else's."""
    return Problem("render.unknown", f"You have no render {render_id[:64]}.")
