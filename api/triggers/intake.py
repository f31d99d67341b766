"""A trigger is taken on, changed, given another secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from api.publishers import check_publisher
from api.templating import resolved
from api.triggers import owned
from api.triggers.bodies import TriggerBody, TriggerSecretBody
from api.triggers.busy import for_change
from api.triggers.door import door
from api.triggers.schemas import RotationRequest, TriggerChange, TriggerRequest
from api.triggers.views import secret_body, trigger_body
from worker.accounts import vault
from worker.catalogs.options import Options
from worker.database import new_id
from worker.templates import store as templates
from worker.templates.filling import filler
from worker.templates.store import Found
from worker.triggers import conditions, mapping, secrets, store
from worker.triggers.models import Style, Trigger
from worker.triggers.secrets import BadSecret

ROUTE = "POST /v1/triggers"
GIVEN_BY_SOURCE = frozenset({Style.SHOPIFY, Style.STRIPE})
"""They make their secrets themselves: there is nothing to choose."""


@dataclass(frozen=True)
class Made:
    """What a request led to, and whether an earlier one with its key had."""

    body: TriggerSecretBody
    replayed: bool


def accept(caller: Caller, key: Key, request: TriggerRequest) -> Made:
    """Take a trigger on. Raises Problem `template.unknown`, `publisher.unknown`, `request.invalid`, `idempotency.…`,
    Archived, SecretKeyMissing."""
    _check(request.mapping, request.conditions)
    secret = _secret(request.style, request.secret)
    # Sealed: it may hold a secret of eight characters, which a hash alone would let be guessed.
    hashed = vault.seal(idempotency.body_hash(request.model_dump(mode="json")))
    trigger_id = new_id("trg")

    def make(session: Session) -> Trigger:
        check_variables(resolved(session, caller.owner_id, request.template), request.mapping)
        check_publisher(session, caller.owner_id, request.publisher_id)
        _check_loop(request.mapping, request.publisher_id, at="/mapping/external_ref")
        _check_place(session, caller, request.template, request.publisher_id, request.options.options())
        row = store.create(
            session,
            caller.owner_id,
            trigger_id=trigger_id,
            api_key_id=caller.key_id,
            style=request.style.value,
            secret=secret,
            template=request.template,
            options=request.options.options(),
            name=request.name,
            topics=request.topics,
            mapping=request.mapping,
            conditions=request.conditions,
            publisher_id=request.publisher_id,
        )
        return store.pause(session, row) if request.paused else row

    def work(session: Session) -> Made:
        made = idempotency.once(session, caller.owner_id, ROUTE, key, hashed, trigger_id, lambda: make(session))
        row = owned.found(session, caller, made.resource_id) if isinstance(made, Earlier) else made
        # Whoever repeats the call never saw the answer: the secret is in it still.
        return Made(secret_body(row, vault.unlock(row.secret_encrypted)), replayed=row.id != trigger_id)

    return transact(work)


def change(caller: Caller, trigger_id: str, given: TriggerChange) -> TriggerBody:
    """Change a trigger. Raises Problem `trigger.unknown`, `template.unknown`, `publisher.unknown`, `request.invalid`,
    Archived."""
    _check(given.mapping or {}, given.conditions or [])

    def work(session: Session) -> TriggerBody:
        row = owned.locked(session, caller, trigger_id)
        if given.template is not None or given.mapping:
            template = resolved(session, caller.owner_id, given.template or row.template)
            check_variables(template, (given.mapping or {}) if "mapping" in given.model_fields_set else row.mapping)
        check_publisher(session, caller.owner_id, given.publisher_id)
        changes = _changes(given)
        then: dict[str, Any] = {"mapping": row.mapping, "publisher_id": row.publisher_id, **changes}
        at = "/mapping/external_ref" if "mapping" in changes else "/publisher_id"
        _check_loop(then["mapping"], then["publisher_id"], at=at)
        if changes.keys() & {"template", "publisher_id", "options"}:
            template, options = changes.get("template", row.template), Options.read(changes.get("options", row.options))
            _check_place(session, caller, template, then["publisher_id"], options, but=row.id)
        before = _counting(row)
        store.change(session, row, changes)
        if _counting(row) != before:
            store.count_anew(session, row)
        if store.key_ended(session, row):
            row = store.take_over(session, row, caller.key_id)
        if given.paused is not None:
            row = store.pause(session, row) if given.paused else store.resume(session, row)
        return trigger_body(row)

    return for_change(trigger_id, work)


def _counting(row: Trigger) -> tuple[str, bool, str | None]:
    """Which revisions of a trigger's can be compared: of one template, read in one way."""
    return row.template.partition("@")[0], bool(row.mapping), row.mapping.get("revision")


_MAY_BE_NULL = ("name", "topics", "publisher_id")


def _changes(given: TriggerChange) -> dict[str, Any]:
    """The columns that are asked for: null takes back what may be without, and says nothing of the rest."""
    values: dict[str, Any] = {name: getattr(given, name) for name in _MAY_BE_NULL if name in given.model_fields_set}
    for name, empty in (("mapping", {}), ("conditions", [])):
        if name in given.model_fields_set:
            values[name] = getattr(given, name) or empty
    if given.template is not None:
        values["template"] = given.template
    if given.options is not None:
        values["options"] = given.options.options().kept()
    return values


def rotate(caller: Caller, trigger_id: str, request: RotationRequest) -> TriggerSecretBody:
    """Give a trigger another secret. Raises Problem `trigger.unknown`, `request.invalid`, SecretKeyMissing."""
    style = Style(transact(lambda session: owned.found(session, caller, trigger_id)).style)
    secret, overlap = _secret(style, request.secret), timedelta(seconds=request.overlap_seconds)

    def work(session: Session) -> TriggerSecretBody:
        row = store.rotate(session, owned.locked(session, caller, trigger_id), secret, overlap)
        return secret_body(row, secret)

    body = for_change(trigger_id, work)
    door.forget(trigger_id)
    return body


def check_variables(template: Found, given: Mapping[str, Any]) -> None:
    """Raises Problem `request.invalid`."""
    _refuse(
        [FieldError(f"/mapping{at}", why) for at, why in mapping.undeclared(given, filler(template.version).variables)]
    )


def _check(given: Mapping[str, Any], listed: list[dict[str, Any]]) -> None:
    """Raises Problem `request.invalid`."""
    wrong = [FieldError(f"/mapping{at}", why) for at, why in mapping.wrong(dict(given))]
    wrong += [FieldError(f"/conditions{at}", why) for at, why in conditions.valid(listed)]
    _refuse(wrong)


def _refuse(wrong: list[FieldError]) -> None:
    if wrong:
        raise Problem("request.invalid", f"Not valid: {wrong[0].pointer}", errors=wrong[:20])


def _check_loop(given: Mapping[str, Any], publisher_id: str | None, *, at: str) -> None:
    """A video on a product is an edit of it, of which the shop sends a message: where nothing tells that its product is
    unchanged, that makes another video, and so on. Raises Problem `request.invalid`."""
    if publisher_id is not None and given and given.get("external_ref") is None:
        why = "with a publisher a mapping needs `external_ref`: by it an unchanged thing is told, and its product found"
        raise Problem("request.invalid", f"Not valid: {at}", errors=[FieldError(at, why)])


def _check_place(
    session: Session, caller: Caller, template: str, publisher_id: str | None, options: Options, *, but: str = ""
) -> None:
    """A thing has one place at a publisher, which the videos of two templates would take from each other. Raises
    Problem `request.invalid`."""
    if publisher_id is None:
        return
    for other in store.of_publisher(session, caller.owner_id, publisher_id, but=but):
        alike = Options.read(other.options).ref_prefix == options.ref_prefix
        if alike and not templates.same(session, caller.owner_id, other.template, template):
            why = (
                f"{other.id} brings another template's videos to the same products there: give a publisher of its own,"
                " or another `options.ref_prefix`"
            )
            raise Problem("request.invalid", "Not valid: /publisher_id", errors=[FieldError("/publisher_id", why)])


def _secret(style: Style, given: str | None) -> str:
    """Raises Problem `request.invalid`."""
    try:
        if given is not None:
            return secrets.checked(style, given)
        if style in GIVEN_BY_SOURCE:
            raise BadSecret("this source makes its secret itself: give the one that it shows")
    except BadSecret as why:
        raise Problem("request.invalid", "Not valid: /secret", errors=[FieldError("/secret", str(why))]) from None
    return secrets.made(style)
