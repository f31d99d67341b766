"""Every problem the service answers with: its stable code, HTTP status, title, and what to do about it.

Answers are `application/problem+json` (RFC 9457). Codes never change their meaning; programs branch on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
CATALOGUE_PATH = "/docs/errors"


@dataclass(frozen=True)
class Kind:
    """One entry of the catalogue."""

    status: int
    title: str
    help: str


KINDS: dict[str, Kind] = {
    "request.malformed": Kind(400, "The body is no JSON", "Send one JSON object encoded as UTF-8."),
    "request.invalid": Kind(422, "The request is not valid", "Change what `errors` names; /docs shows every field."),
    "request.media_type": Kind(415, "The body is not declared as JSON", "Send `Content-Type: application/json`."),
    "request.too_large": Kind(
        413, "The body is too large", "`detail` says how much is taken; files go to POST /v1/uploads."
    ),
    "request.header": Kind(400, "A header cannot be taken", "Send what `errors` names once, and as HTTP has it."),
    "request.encoding": Kind(415, "The body is compressed", "Send it as it is, without `Content-Encoding`."),
    "request.cut": Kind(400, "The body ended early", "Send it again, whole; nothing of it was kept."),
    "request.timeout": Kind(408, "The body came too slowly", "Send it again in one go; nothing of it was kept."),
    "route.unknown": Kind(404, "There is nothing at this address", "Look the address up at /docs."),
    "route.method": Kind(405, "This address does not take this method", "The `Allow` header names the right ones."),
    "auth.missing": Kind(401, "No API key", "Send `Authorization: Bearer vv_…`."),
    "auth.invalid": Kind(401, "The API key is not valid", "Check for a typing mistake, a revoked or an expired key."),
    "auth.scope": Kind(403, "The API key may not do this", "Use a key with the scope that `detail` names."),
    "metrics.closed": Kind(
        401, "The metrics are not for everybody", "Ask on the service's own machine, or with VIVIDEO_METRICS_TOKEN."
    ),
    "rate.limited": Kind(429, "Too many requests", "Wait for `Retry-After` seconds; `RateLimit` tells what is left."),
    "limit.in_flight": Kind(
        429, "This key has its renders in flight", "Wait until some are final, or have the key's limit raised."
    ),
    "limit.credits": Kind(
        429, "This key's credits of the day are spent", "Wait for `Retry-After`, or have the key's limit raised."
    ),
    "idempotency.invalid": Kind(422, "The Idempotency-Key is not valid", "Send 1 to 255 visible ASCII characters."),
    "idempotency.mismatch": Kind(
        422,
        "This Idempotency-Key was used for another request",
        "Use a new key for a new request, and the same body when repeating one.",
    ),
    "idempotency.in_flight": Kind(
        409,
        "A request with this Idempotency-Key is under way",
        "Send it again after `Retry-After` seconds: it then finds what the other one made.",
    ),
    "cursor.invalid": Kind(422, "The cursor is not one of ours", "Pass `next_cursor` on unchanged, or start without."),
    "render.unknown": Kind(404, "There is no such render", "Check the id; renders of other owners are not shown."),
    "render.deleted": Kind(410, "The render was deleted", "Use a new Idempotency-Key to have it made again."),
    "render.begun": Kind(
        409, "The render is no longer queued", "Only what is queued can be changed; cancel it instead."
    ),
    "render.changed": Kind(412, "The render has changed since", "Read it again; its new tag is in the `ETag` header."),
    "render.stale_revision": Kind(
        409,
        "A newer revision of the reference is known",
        "`detail` names it: send one that is not older, or leave `revision` out.",
    ),
    "render.not_final": Kind(409, "The render is still at work", "Wait until it is final, or cancel it first."),
    "render.succeeded": Kind(409, "The render has its video", "For another video send a new render."),
    "render.force_needed": Kind(
        409,
        "Another run could be charged a second time",
        'The run before was charged, or may have been. Send `{"force": true}` if you want to pay again.',
    ),
    "render.no_session": Kind(
        409,
        "The render cannot be gone on with",
        "Edit one that is at its export or past it; where that failed before, send a new render.",
    ),
    "render.no_video": Kind(409, "The render has no video", "Wait until its status is `succeeded`."),
    "render.no_poster": Kind(409, "The render has no poster", "Wait until its status is `succeeded`."),
    "render.no_timeline": Kind(409, "The render has no draft yet", "Wait until it has passed the stage `verify`."),
    "result.gone": Kind(410, "The file is no longer in storage", "It was deleted there; send the render again."),
    "range.unsatisfiable": Kind(416, "No such bytes", "The file's size is in `Content-Range` and in `result.bytes`."),
    "upload.unknown": Kind(422, "There is no such upload", "Upload the file first; unused uploads expire."),
    "upload.not_found": Kind(404, "There is no such upload", "Check the id; unused uploads expire after a day."),
    "upload.in_use": Kind(
        409, "A render uses the upload", "Delete the renders that use it; the file goes with the last."
    ),
    "upload.empty": Kind(422, "The upload is empty", "Send the file's bytes as the body, or as one multipart file."),
    "upload.malformed": Kind(400, "The multipart body is broken", "Send one file part, or the bytes as the body."),
    "upload.cut": Kind(400, "The upload ended early", "Send it again; nothing of it was kept."),
    "upload.format": Kind(415, "The file's format is not taken", "Convert it to one of the accepted formats."),
    "upload.too_large": Kind(413, "The file is too large", "At most 200 MB: compress it, trim it, or split it."),
    "template.unknown": Kind(
        422, "There is no such template", "GET /v1/templates lists yours; `name@3` needs a version 3."
    ),
    "template.not_found": Kind(
        404, "There is no such template", "Check the id or name; GET /v1/templates lists yours."
    ),
    "template.invalid": Kind(
        422, "The template is not in the language", "Change the line that `errors` names; docs/templates.md has it all."
    ),
    "template.variables": Kind(
        422,
        "The template cannot be filled with these variables",
        "Change what `errors` names; the template declares it.",
    ),
    "template.exists": Kind(
        409, "You have a template of this name", "Choose another name, or POST its next version to /versions."
    ),
    "template.archived": Kind(409, "The template is archived", "Use another; its name is free for a new one."),
    "batch.unknown": Kind(404, "There is no such batch", "Check the id; batches of other owners are not shown."),
    "batch.empty": Kind(422, "No row of the batch is good", "Mend the rows that `errors` names, and send it again."),
    "batch.header": Kind(
        422, "The first row is no header", "Name the columns as the fields of a render; docs/batches.md lists them."
    ),
    "batch.receiving": Kind(409, "The batch is still coming in", "Wait for the answer to the call that sends it."),
    "batch.finished": Kind(409, "The batch is finished", "Send another one, or begin its failed renders anew."),
    "batch.canceling": Kind(409, "The batch is being cancelled", "Wait until its status is `finished`."),
    "batch.max_credits": Kind(409, "The batch has no credits left", "Raise `max_credits` by PATCH, then resume it."),
    "batch.lost": Kind(503, "The batch took too long to come in", "Send it again; nothing of it was kept."),
    "publisher.unknown": Kind(404, "There is no such publisher", "GET /v1/publishers lists yours."),
    "publisher.moved": Kind(
        409,
        "The publisher belongs to its shop",
        "Make a publisher for the other shop, and point the trigger or catalog to it.",
    ),
    "publication.unknown": Kind(404, "There is no such publication", "GET /v1/publications lists yours."),
    "publication.not_failed": Kind(409, "The publication did not fail", "It is under way, done, or superseded."),
    "catalog.unknown": Kind(404, "There is no such catalog", "Check the id; catalogs of other owners are not shown."),
    "catalog.read_unknown": Kind(404, "There is no such reading", "GET its catalog's /reads lists them."),
    "catalog.reading": Kind(409, "The catalog is being read", "Wait until that reading is over; `detail` names it."),
    "catalog.no_source": Kind(422, "There is nothing to be read", "Send a file, or make a catalog with an address."),
    "catalog.refused": Kind(422, "The file is no product feed", "`detail` says what was found, and what helps."),
    "catalog.unreachable": Kind(422, "The address gives no feed", "`errors` has the reason; docs/errors.md the codes."),
    "trigger.unknown": Kind(404, "There is no such trigger", "Check the id; triggers of other owners are not shown."),
    "trigger.unverified": Kind(
        401, "The message is not its trigger's", "Give the shop the trigger's secret and its address; check its clock."
    ),
    "trigger.crowded": Kind(503, "Too many messages come in at once", "Send it again a little later."),
    "trigger.busy": Kind(503, "The trigger is busy", "Send it again after `Retry-After` seconds."),
    "trigger.delivery_unknown": Kind(
        404, "There is no such delivery", "GET its trigger's /deliveries lists them; old ones are thrown away."
    ),
    "trigger.delivery_emptied": Kind(
        410, "The delivery's words are gone", "`detail` says why; have the shop send it again."
    ),
    "webhook.unknown": Kind(404, "There is no such webhook endpoint", "GET /v1/webhook-endpoints lists yours."),
    "webhook.delivery_unknown": Kind(
        404, "There is no such delivery", "GET /v1/webhook-deliveries lists yours; old ones are thrown away."
    ),
    "webhook.disabled": Kind(
        409, "The endpoint is disabled", 'Mend what `disabled` names, then PATCH it with `{"enabled": true}`.'
    ),
    "webhook.too_many": Kind(
        409,
        "You have as many webhook endpoints as you may",
        "Delete one, or let one get more events; in renders, let what differs stand behind one host.",
    ),
    "webhook.redelivering": Kind(
        409,
        "The endpoint is being sent again what it missed",
        "`redelivery` of the endpoint says how far it is; ask again once that is `done`.",
    ),
    "webhook.of_renders": Kind(
        409,
        "The endpoint belongs to the renders that name its address",
        "Its address and events are theirs: name another in the next render, or make an endpoint of your own.",
    ),
    "webhook.no_secret_key": Kind(
        503, "The service can keep no secret", "Who runs it sets VIVIDEO_SECRET_KEY, as it was when secrets were kept."
    ),
    "session.unknown": Kind(404, "There is no such session", "Check the id; sessions of other owners are not shown."),
    "session.lost": Kind(
        409,
        "The backend forgot the session",
        "What was made in it stands. Begin another session, with the files it needs, to go on.",
    ),
    "session.closed": Kind(409, "The session is closed", "Begin another one; an edit of a render cannot reopen it."),
    "session.no_draft": Kind(
        409, "There is nothing to export yet", "Say what the video should show; its export comes by itself."
    ),
    "account.unknown": Kind(404, "There is no such account", "GET /v1/accounts lists those that you may use."),
    "database.unavailable": Kind(503, "The database is away", "Send the request again; with its key nothing doubles."),
    "storage.unavailable": Kind(503, "The file storage is away", "Send the request again a little later."),
    "internal": Kind(500, "A fault in this service", "Send it again; if it repeats, the logs name the request id."),
}

RETRY_AFTER_SECONDS = 2
"""With every 503: a database restarts in one to ten seconds."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer into the body, `?name` for a parameter, or a header's name."""

    pointer: str
    detail: str


class Problem(Exception):
    """Ends a request with this answer. Raised anywhere below the handlers."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.errors = code, detail, tuple(errors)
        self.headers = dict(headers or {})
        self.kind = KINDS[code]


def body(problem: Problem, request_id: str) -> dict[str, Any]:
    """The problem's JSON."""
    kind = problem.kind
    return {
        "type": f"{CATALOGUE_PATH}#{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "code": problem.code,
        "detail": _fit(problem.detail or f"{kind.title}."),
        "errors": [{"pointer": _fit(error.pointer), "detail": _fit(error.detail)} for error in problem.errors],
        "request_id": request_id,
        "help": kind.help,
    }


def response(problem: Problem, request_id: str) -> JSONResponse:
    """The problem's answer."""
    headers = dict(problem.headers)
    if problem.kind.status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if problem.kind.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return JSONResponse(
        body(problem, request_id), status_code=problem.kind.status, headers=headers, media_type=MEDIA_TYPE
    )


def _fit(text: str) -> str:
    """Bounded, and without the lone surrogates that a refused field's name may hold: UTF-8 has no bytes for them."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= 500 else text[:499] + "…"
