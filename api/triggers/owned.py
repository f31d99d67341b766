"""An owner's triggers and messages: found, or the problem of what is not there."""

from sqlalchemy.orm import Session

from api.auth import Caller
from api.problems import Problem
from api.triggers.bodies import TriggerDeliveryDetailBody
from api.triggers.views import detail_body
from worker.triggers import store
from worker.triggers.models import Trigger, TriggerDelivery


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
