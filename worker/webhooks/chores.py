"""The dispatcher's part: deliveries are made of events, and workers are told of those that are due."""

from worker import app
from worker.database import transact
from worker.webhooks import due, redeliveries, relay


def make() -> bool:
    """Deliveries of the next events; whether there may be more."""
    return transact(relay.relay, retry_for=0)


def send_again() -> bool:
    """A piece of what somebody asked for since a time; whether there may be more."""
    return transact(redeliveries.go_on, retry_for=0)


def hand_out() -> bool:
    """Tell workers of deliveries that are due; whether there may be more. A message that the broker does not take is
    sent again like one that it loses."""
    found = transact(due.hand_out, retry_for=0)
    return all(app.send_deliver(one.id, one.lease) for one in found) and len(found) >= due.MOST
