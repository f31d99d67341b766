"""The dispatcher's part: deliveries are made of events, and workers are told of those that are due."""

from worker import app
from worker.database import in_passing
from worker.webhooks import due, redeliveries, relay


def make() -> bool:
    """Deliveries of the next events; whether there may be more."""
    return in_passing(relay.relay)


def send_again() -> bool:
    """A piece of what somebody asked for since a time; whether there may be more."""
    return in_passing(redeliveries.go_on)


def hand_out() -> bool:
    """Tell workers of deliveries that are due; whether there may be more. A message that the broker does not take is
    sent again like one that it loses."""
    found = in_passing(due.hand_out)
    return all(app.send_deliver(one.id, one.lease) for one in found) and len(found) >= due.MOST
