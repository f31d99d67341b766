"""A shop's message is taken; a trigger is taken on, changed, given another secret; a message is decided anew."""

import time
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
from api.rate_limits import Policy, budgets
from api.templating import resolved
from api.triggers.bodies import TakenBody, TrialBody, TriggerBody, TriggerDeliveryDetailBody, TriggerSecretBody
from api.triggers.busy import for_change, for_message
from api.triggers.door import door, unverified
from api.triggers.schemas import RotationRequest, TriggerChange, TriggerRequest
from api.triggers.views import detail_body, secret_body, taken_body, trial_body, trigger_body
from config.settings import settings
from worker.accounts import vault
from worker.catalogs.options import Options
from worker.database import new_id
from worker.metrics.declared import TRIGGER_MESSAGE_SECONDS
from worker.templates import store as templates
from worker.templates.filling import filler
from worker.templates.store import Found
from worker.triggers import acceptance, conditions, mapping, planning, secrets, store
from worker.triggers.acceptance import Arrived, Gone
from worker.triggers.models import Style, Trigger, TriggerDelivery, Verdict
from worker.triggers.planning import Said
from worker.triggers.secrets import BadSecret
from worker.triggers.signatures import unsigned_ping

ROUTE = "POST /v1/triggers"
GIVEN_BY_SOURCE = frozenset({Style.SHOPIFY, Style.STRIPE})
"""They make their secrets themselves: there is nothing to choose."""
COUNTED_BYTES = 256 * 1024
"""Of a body, for each of which a message counts once more: nearly all have less. A minute's are 1.5 GB by default."""
_REPLAY = "replay:"


@dataclass(frozen=True)
class Admitted:
    """A message that is its trigger's, and when it was read (`time.monotonic()`)."""

    trigger_id: str
    style: Style
    headers: Mapping[str, str]
    body: bytes
    began: float


@dataclass(frozen=True)
class Made:
    """What a request led to, and whether an earlier one with its key had."""

    body: TriggerSecretBody
    replayed: bool


def admit(trigger_id: str, peer: str, headers: Mapping[str, str], body: bytes) -> Admitted | None:
    """Verify a shop's message; None: a ping that nobody signed. Raises Problem `trigger.unverified`, `rate.limited`."""
    began = time.monotonic()
    if unsigned_ping(Style.WOOCOMMERCE, headers, body):
        return None  # whatever the address is: who guesses learns nothing
    known = door.admit(trigger_id, peer, headers, body)
    _demand_rate(trigger_id, len(body))
    return Admitted(trigger_id, known.style, headers, body, began)


def take(admitted: Admitted) -> TakenBody:
    """Put a shop's message on file and decide it. Raises Problem `trigger.unverified`, `trigger.busy`."""
    trigger_id, style = admitted.trigger_id, admitted.style
    said = Said.read(style, admitted.headers, admitted.body)
    arrived, delivery_id = Arrived(said.message.key, said), store.new_delivery_id()
    try:
        taken = for_message(trigger_id, lambda session: acceptance.receive(session, trigger_id, arrived, delivery_id))
    except Gone:
        raise unverified() from None
    TRIGGER_MESSAGE_SECONDS.labels(style.value).observe(time.monotonic() - admitted.began)
    return taken_body(taken)


def _demand_rate(trigger_id: str, length: int) -> None:
    """Raises Problem `rate.limited`, behind the signature alone: nobody else can use a trigger's messages up. A long
    one counts as several: each is on disk until housekeeping has seen how many there are."""
    if not (amount := settings().rates.messages_per_minute):
        return
    cost = min(1 + length // COUNTED_BYTES, amount)
    standing = budgets().spend(Policy("messages", amount), trigger_id, cost=cost)
    if not standing.allowed:
        words = f"A trigger takes {amount} messages a minute."
        raise Problem("rate.limited", words, headers={"Retry-After": str(max(1, standing.seconds))})


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
        row = found(session, caller, made.resource_id) if isinstance(made, Earlier) else made
        # Whoever repeats the call never saw the answer: the secret is in it still.
        return Made(secret_body(row, vault.unlock(row.secret_encrypted)), replayed=row.id != trigger_id)

    return transact(work)


def change(caller: Caller, trigger_id: str, given: TriggerChange) -> TriggerBody:
    """Change a trigger. Raises Problem `trigger.unknown`, `template.unknown`, `publisher.unknown`, `request.invalid`,
    Archived."""
    _check(given.mapping or {}, given.conditions or [])

    def work(session: Session) -> TriggerBody:
        row = locked(session, caller, trigger_id)
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
    style = Style(transact(lambda session: found(session, caller, trigger_id)).style)
    secret, overlap = _secret(style, request.secret), timedelta(seconds=request.overlap_seconds)

    def work(session: Session) -> TriggerSecretBody:
        row = store.rotate(session, locked(session, caller, trigger_id), secret, overlap)
        return secret_body(row, secret)

    body = for_change(trigger_id, work)
    door.forget(trigger_id)
    return body


def tried(caller: Caller, trigger_id: str, headers: Mapping[str, str], body: bytes, topic: str | None) -> TrialBody:
    """What would become of a message; nothing is kept. Raises Problem `trigger.unknown`."""

    def work(session: Session) -> TrialBody:
        row = found(session, caller, trigger_id)
        said = Said.read(Style(row.style), headers, body).about(topic)
        return trial_body(planning.plan(session, row, said), said.message.topic)

    return transact(work)


def rehearsed(caller: Caller, delivery_id: str, *, force: bool) -> TrialBody:
    """What would become of a message that was kept, now. Raises Problem `trigger.delivery_…`."""

    def work(session: Session) -> TrialBody:
        row, said = _kept(session, caller, delivery_id)
        return trial_body(planning.plan(session, row, said, force=force), said.message.topic)

    return transact(work)


def replay(caller: Caller, delivery_id: str, key: Key, *, force: bool) -> TriggerDeliveryDetailBody:
    """Decide a kept message anew, as a message of its own. Raises Problem `trigger.delivery_…`, `idempotency.…`."""
    hashed = idempotency.body_hash({"force": force})
    new, route = store.new_delivery_id(), f"POST /v1/trigger-deliveries/{delivery_id}/replay"

    def make(session: Session) -> None:
        row, said = _kept(session, caller, delivery_id)
        arrived = Arrived(f"{_REPLAY}{new}", said, replay_of=delivery_id, force=force)
        try:
            acceptance.receive(session, row.id, arrived, new)
        except Gone:
            raise unknown(row.id) from None

    def work(session: Session) -> TriggerDeliveryDetailBody:
        made = idempotency.once(session, caller.owner_id, route, key, hashed, new, lambda: make(session))
        return detail(session, caller, made.resource_id if isinstance(made, Earlier) else new)

    return for_message(delivery_id, work)


def _kept(session: Session, caller: Caller, delivery_id: str) -> tuple[Trigger, Said]:
    kept = delivery(session, caller, delivery_id)
    if not kept.body and kept.verdict == Verdict.IGNORED:
        raise Problem("trigger.delivery_emptied", "Of a message that was ignored only the headers are kept.")
    if not kept.body and not kept.headers:
        raise Problem("trigger.delivery_emptied", "What it said was deleted with its render.")
    if not kept.body:
        raise Problem(
            "trigger.delivery_emptied", "It has no body, or none any more: so much is kept of the newest alone."
        )
    row = found(session, caller, kept.trigger_id)
    return row, Said.read(Style(row.style), kept.headers, kept.body)


def found(session: Session, caller: Caller, trigger_id: str) -> Trigger:
    """The owner's trigger. Raises Problem `trigger.unknown`."""
    row = store.get(session, caller.owner_id, trigger_id)
    if row is None:
        raise unknown(trigger_id)
    return row


def locked(session: Session, caller: Caller, trigger_id: str) -> Trigger:
    """As `found`, locked. Raises Problem `trigger.unknown`."""
    row = store.locked(session, caller.owner_id, trigger_id)
    if row is None:
        raise unknown(trigger_id)
    return row


def delivery(session: Session, caller: Caller, delivery_id: str) -> TriggerDelivery:
    """The owner's message. Raises Problem `trigger.delivery_unknown`."""
    row = store.delivery(session, caller.owner_id, delivery_id)
    if row is None:
        raise Problem("trigger.delivery_unknown", f"You have no delivery {delivery_id[:64]}.")
    return row


def detail(session: Session, caller: Caller, delivery_id: str) -> TriggerDeliveryDetailBody:
    """The answer for the owner's message. Raises Problem `trigger.delivery_unknown`."""
    row = delivery(session, caller, delivery_id)
    return detail_body(row, found(session, caller, row.trigger_id))


def unknown(trigger_id: str) -> Problem:
    """The problem of a trigger that is not there, or somebody else's."""
    return Problem("trigger.unknown", f"You have no trigger {trigger_id[:64]}.")


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
