"""What the routes share: checked parameters, no parameter ignored."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Path, Query, Request

from api import intake, limits, templating
from api.moments import Moment as Moment
from api.problems import FieldError, Problem
from api.schemas import Plain
from api.triggers.door import unverified

ULID_LENGTH = 26
_TEMPLATE = r"^(tpl_[0-9a-z]{26}|[a-z0-9][a-z0-9.-]{0,63})$"
NAMED = 20
"""Wrong fields named in one answer."""


async def json_only(request: Request) -> None:
    """Raises Problem `request.media_type` for a body that is not declared as JSON: a form of another site could not be
    told from one of ours. None at all is no body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    if kind or await request.body():
        raise Problem("request.media_type", f"The body is declared as {kind[:80] or 'nothing'}.")


async def only_known(request: Request) -> None:
    """Raises Problem `request.invalid` for a parameter the address does not have: one that is ignored (a `dry_run`, a
    mistyped filter) would do something else than was meant."""
    _check_utf8(request.scope["query_string"])
    known = dict(_parameters(request.scope["route"].dependant))
    counts = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [
        FieldError(f"?{name}", "given more than once" if name in known else "unknown, or does nothing yet")
        for name, count in counts.items()
        if name not in known or (count > 1 and not known[name])
    ]
    if wrong:
        raise Problem("request.invalid", f"Not valid: {wrong[0].pointer}", errors=wrong[:NAMED])


def _check_utf8(query: bytes) -> None:
    """What is no text would become a text with replacement characters: another one than was meant."""
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise Problem("request.invalid", "The address's parameters are no UTF-8.") from None


def _parameters(dependant: Any) -> Iterable[tuple[str, bool]]:
    """The names of an address's parameters, and whether each may be repeated."""
    for parameter in dependant.query_params:
        taken: Any = parameter.field_info.annotation
        yield parameter.alias, any(get_origin(one) is list for one in (taken, *get_args(taken)))
    for inner in dependant.dependencies:
        yield from _parameters(inner)


def _id(prefix: str, unknown: Callable[[str], Problem], name: str = "id") -> Any:
    """An id in a path. What cannot be one is not found, rather than not valid."""
    pattern = f"^{prefix}[0-9a-z]{{{ULID_LENGTH}}}$"
    place = Path(alias=name, description=f"`{prefix}…`", json_schema_extra={"pattern": pattern})

    async def checked(id: Annotated[str, place]) -> str:
        if not _can_be(id, prefix):
            raise unknown(_printable(id))
        return id

    return Depends(checked)


def _none(code: str, noun: str) -> Callable[[str], Problem]:
    return lambda id: Problem(code, f"You have no {noun} {id}.")


async def _template_id(
    id: Annotated[str, Path(description="`tpl_…`, or its name.", json_schema_extra={"pattern": _TEMPLATE})],
) -> str:
    if not re.fullmatch(_TEMPLATE, id):
        raise templating.not_found(_printable(id))
    return id


def _no_reading(id: str) -> Problem:
    return Problem("catalog.read_unknown", f"The catalog has no reading {id}.")


def _can_be(id: str, prefix: str) -> bool:
    """Whether a text can be an id at all: what cannot is not asked for (a NUL would be an error of the database)."""
    return len(id) == len(prefix) + ULID_LENGTH and id.startswith(prefix) and id.isascii() and id[4:].isalnum()


def _printable(id: str) -> str:
    return id.encode("utf-8", "replace").decode()[:64]


RenderId = Annotated[str, _id("rnd_", intake.unknown)]
UploadId = Annotated[str, _id("upl_", _none("upload.not_found", "upload"))]
SessionId = Annotated[str, _id("ssn_", _none("session.unknown", "session"))]
AccountId = Annotated[str, _id("acc_", _none("account.unknown", "account"))]
BatchId = Annotated[str, _id("bat_", _none("batch.unknown", "batch"))]
EndpointId = Annotated[str, _id("whe_", _none("webhook.unknown", "webhook endpoint"))]
DeliveryId = Annotated[str, _id("msg_", _none("webhook.delivery_unknown", "delivery"))]
CatalogId = Annotated[str, _id("cat_", _none("catalog.unknown", "catalog"))]
PublisherId = Annotated[str, _id("pub_", _none("publisher.unknown", "publisher"))]
PublicationId = Annotated[str, _id("pbn_", _none("publication.unknown", "publication"))]
ReadId = Annotated[str, _id("crd_", _no_reading, "read_id")]
ShopsTriggerId = Annotated[str, _id("trg_", lambda _: unverified())]
"""In the address that a shop calls: raises Problem `trigger.unverified`, as for a signature that is wrong."""
TriggerId = Annotated[str, _id("trg_", _none("trigger.unknown", "trigger"))]
TriggerDeliveryId = Annotated[str, _id("tdl_", _none("trigger.delivery_unknown", "delivery"))]
TemplateId = Annotated[str, Depends(_template_id)]
"""Raise Problem `….unknown` (`upload.not_found`, `template.not_found`) for what is no id."""
Limit = Annotated[int, Query(ge=1, le=limits.LONGEST_PAGE, description="Entries in one answer.")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
Words = Annotated[
    str | None, Query(min_length=1, max_length=limits.REFERENCE_CHARACTERS, description="Exactly this."), Plain
]
"""A filter's text."""
