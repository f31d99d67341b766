"""The dispatcher's part: publications are made of what succeeded, and workers are told of those that are due."""

from worker import app
from worker.database import in_passing
from worker.publishing import due, relay


def make() -> bool:
    """Publications of the next renders that succeeded; whether there may be more."""
    return in_passing(relay.relay)


def hand_out() -> bool:
    """Tell workers of publications that are due; whether there may be more. The first that the broker does not take is
    the last: the others would each wait for the same time-out, and all of them are sent again once overdue."""
    found = in_passing(due.due)
    return all(app.send_publish(one.id, one.lease) for one in found) and len(found) >= due.AT_ONCE
