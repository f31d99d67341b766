"""A shop's message is verified and taken; one that was kept is tried out, and decided anew."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import Problem
from api.rate_limits import Policy, budgets
from api.triggers import owned
from api.triggers.bodies import TakenBody, TrialBody, TriggerDeliveryDetailBody
from api.triggers.busy import for_message
from api.triggers.door import door, unverified
from api.triggers.views import taken_body, trial_body
from config.settings import settings
from worker.metrics.declared import TRIGGER_MESSAGE_SECONDS
from worker.triggers import acceptance, planning, store
from worker.triggers.acceptance import Arrived, Gone
from worker.triggers.models import Style, Trigger, Verdict
from worker.triggers.planning import Said
from worker.triggers.signatures import unsigned_ping

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


def tried(caller: Caller, trigger_id: str, headers: Mapping[str, str], body: bytes, topic: str | None) -> TrialBody:
    """What would become of a message; nothing is kept. Raises Problem `trigger.unknown`."""

    def work(session: Session) -> TrialBody:
        row = owned.found(session, caller, trigger_id)
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
            raise owned.unknown(row.id) from None

    def work(session: Session) -> TriggerDeliveryDetailBody:
        made = idempotency.once(session, caller.owner_id, route, key, hashed, new, lambda: make(session))
        return owned.detail(session, caller, made.resource_id if isinstance(made, Earlier) else new)

    return for_message(delivery_id, work)


def _kept(session: Session, caller: Caller, delivery_id: str) -> tuple[Trigger, Said]:
    kept = owned.delivery(session, caller, delivery_id)
    if not kept.body and kept.verdict == Verdict.IGNORED:
        raise Problem("trigger.delivery_emptied", "Of a message that was ignored only the headers are kept.")
    if not kept.body and not kept.headers:
        raise Problem("trigger.delivery_emptied", "What it said was deleted with its render.")
    if not kept.body:
        raise Problem(
            "trigger.delivery_emptied", "It has no body, or none any more: so much is kept of the newest alone."
        )
    row = owned.found(session, caller, kept.trigger_id)
    return row, Said.read(Style(row.style), kept.headers, kept.body)
