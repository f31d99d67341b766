"""A message is put on file under the key that tells its duplicates; the same again finds the first."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.triggers import store
from worker.triggers.models import Trigger, TriggerDelivery, Verdict
from worker.triggers.planning import Said


@dataclass(frozen=True)
class Arrived:
    """A message whose signature is right, as it is put on file; `key` tells its duplicates."""

    key: str
    said: Said
    replay_of: str | None = None
    force: bool = False


class Vanished(Exception):
    """What tells the message's duplicates came and went, twice in this moment."""


def put(session: Session, trigger: Trigger, arrived: Arrived, delivery_id: str) -> tuple[TriggerDelivery, bool]:
    """Put the message on file; it, or the first with its key, and whether it is that first one that was there before
    (also as `delivery_id` itself). One that is coming in at this moment is waited for. Raises Vanished."""
    row = _put(session, trigger, arrived, delivery_id)
    if row is None and store.let_go(session, trigger, arrived.key):
        row = _put(session, trigger, arrived, delivery_id)
    if row is not None:
        return row, False
    if (first := _first(session, trigger, arrived.key)) is not None:
        return first, True
    row = _put(session, trigger, arrived, delivery_id)  # housekeeping took the first in this moment
    if row is None:
        raise Vanished
    return row, False


def count_again(session: Session, first: TriggerDelivery) -> None:
    """One more duplicate of a message."""
    session.execute(
        update(TriggerDelivery)
        .where(TriggerDelivery.id == first.id)
        .values(duplicates=TriggerDelivery.duplicates + 1)
        .execution_options(synchronize_session=False)
    )


def _put(session: Session, trigger: Trigger, arrived: Arrived, delivery_id: str) -> TriggerDelivery | None:
    row = {
        "id": delivery_id,
        "trigger_id": trigger.id,
        "owner_id": trigger.owner_id,
        "key": arrived.key,
        "topic": arrived.said.message.topic,
        "headers": dict(arrived.said.message.kept),
        "body": arrived.said.body,
        "sent_at": arrived.said.message.sent_at,
        "replay_of": arrived.replay_of,
        "force": arrived.force,
        "verdict": Verdict.IGNORED.value,  # until it is decided, in this transaction
    }
    add = insert(TriggerDelivery).values(row).on_conflict_do_nothing()
    return session.scalars(add.returning(TriggerDelivery)).one_or_none()


def _first(session: Session, trigger: Trigger, key: str) -> TriggerDelivery | None:
    its = TriggerDelivery.trigger_id == trigger.id, TriggerDelivery.key == key
    return session.scalars(select(TriggerDelivery).where(*its)).one_or_none()
