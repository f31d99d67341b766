"""The table of what reaches what: point → the scenario that a process dies in there, written by the recording run.

Of several scenarios that pass a point it holds the first in the list.
"""

import json
from pathlib import Path

from tests.chaos.points.enumeration import points
from tests.chaos.points.every import SCENARIOS

TABLE = Path(__file__).with_name("reached.json")

UNREACHED = dict.fromkeys(
    (
        "send worker.pipeline.drive send 1",
        "send worker.pipeline.drive_cancel send_cancel 1",
        "send worker.pipeline.drive_polls send_poll 1",
        "send worker.tasks.read_catalog send_read 1",
        "send worker.tasks.deliver send_deliver 1",
        "send worker.tasks.publish send_publish 1",
    ),
    "a message that was taken in the very moment of leaving: tests/stages/test_leaving.py makes that moment",
) | {
    "commit worker.triggers.holding._put_aside in_passing 1": "a trigger that somebody changes in the moment in which"
    " what it kept is due: tests/triggers/test_going_on.py makes that moment",
}
"""Points that no scenario passes, each with the reason."""

MEANT = {
    "call worker.accounts.tokens._renew anonymous_token 1": "token_refused",
    "commit worker.accounts.tokens._renew transact 3": "token_refused",
    "commit worker.accounts.tokens.bearer transact 1": "token_refused",
    "commit api.app._install transact 1": "begun_anew",
    "commit api.auth.look_up transact 1": "begun_anew",
    "commit worker.publishing.chores.make in_passing 1": "published",
    "commit worker.publishing.chores.hand_out in_passing 1": "published",
    "commit worker.triggers.holding.go_on in_passing 1": "message_held",
    "commit worker.webhooks.chores.make in_passing 1": "announced",
    "commit worker.webhooks.chores.send_again in_passing 1": "announced_again",
    "commit worker.webhooks.chores.send_again in_passing 2": "announced_again",
    "commit worker.webhooks.chores.hand_out in_passing 1": "announced",
    "commit worker.dispatch.Dispatcher._listen_and_look execute 1": "begun_anew",
    "commit worker.dispatch.Dispatcher._expire transact 1": "held",
    "commit worker.dispatch.Dispatcher._expire transact 2": "expired",
    "commit worker.dispatch.Dispatcher._take_over transact 1": "sender_killed",
    "commit worker.dispatch.Dispatcher._take_over transact 2": "sender_killed",
    "commit worker.metrics.depths._read execute 1": "measured",
    "commit worker.liveness._beat_for_ever execute 1": "begun_anew",
    "commit worker.liveness._let_go transact 1": "stray",
    "commit worker.liveness._stop_cancelled execute 1": "cancelled_in_stream",
    "commit worker.liveness.goodbye execute 1": "workers_leave",
    "commit worker.remote.surprises.flush transact 1": "surprised",
    "commit worker.stages.generate._refused transact 1": "no_credits",
}
"""Points that other scenarios pass too, by chance or after another's end."""


def table() -> dict[str, str]:
    """Point → scenario."""
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def write(scenario: str, passed: set[str]) -> None:
    """Add what a scenario passed on both sides, unless an earlier one in the list did."""
    known = {point: name for point, name in table().items() if name != scenario and name in SCENARIOS}
    order = list(SCENARIOS)
    for point in map(str, points()):
        both = {f"before {point}", f"after {point}"} <= passed and MEANT.get(point, scenario) == scenario
        if both and (point not in known or order.index(scenario) < order.index(known[point])):
            known[point] = scenario
    names = {str(point) for point in points()}
    kept = {point: name for point, name in sorted(known.items()) if point in names}
    TABLE.write_text(json.dumps(kept, indent=1) + "\n")


def forget() -> None:
    """Begin the table anew."""
    TABLE.unlink(missing_ok=True)
