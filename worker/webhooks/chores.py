"""The dispatcher's part: deliveries are made of events, and workers are told of those that are due."""

from worker import app
from worker.database import in_passing
from worker.portions import Portion
from worker.webhooks import due, redeliveries, relay

_MADE, _SENT_AGAIN, _LOOKED = Portion(), Portion(), Portion()


def make() -> bool:
    """Deliveries of the next events; whether there may be more."""
    with _MADE.taken():
        return in_passing(lambda session: relay.relay(session, _MADE))


def send_again() -> bool:
    """A piece of what somebody asked for since a time; whether there may be more. The turn is on file before the piece,
    so that one which fails keeps no other waiting."""
    with _SENT_AGAIN.taken():
        mine = in_passing(redeliveries.next_turn)
        return bool(mine) and in_passing(lambda session: redeliveries.go_on(session, mine, _SENT_AGAIN))


def hand_out() -> bool:
    """Tell workers of deliveries that are due; whether there may be more. A message that the broker does not take is
    sent again like one that it loses."""
    with _LOOKED.taken():
        found = in_passing(lambda session: due.hand_out(session, _LOOKED))
    return all(app.send_deliver(one.id, one.lease) for one in found) and len(found) >= due.MOST
