"""The table of what reaches what: point → the scenario that a process dies in there, written by the recording run.

Of several scenarios that pass a point it holds the first in the list.
"""

import json
from pathlib import Path

from tests.chaos.points.enumeration import points
from tests.chaos.points.scenarios import SCENARIOS

TABLE = Path(__file__).with_name("reached.json")

UNREACHED = {
    "move worker.media.storage.Storage.open_to_file replace 1": "nothing of the service calls it",
}
"""Points that no scenario passes, each with the reason."""


def table() -> dict[str, str]:
    """Point → scenario."""
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def write(scenario: str, passed: set[str]) -> None:
    """Add what a scenario passed on both sides, unless an earlier one in the list did."""
    known = {point: name for point, name in table().items() if name != scenario}
    order = list(SCENARIOS)
    for point in map(str, points()):
        both = {f"before {point}", f"after {point}"} <= passed
        if both and (point not in known or order.index(scenario) < order.index(known[point])):
            known[point] = scenario
    names = {str(point) for point in points()}
    kept = {point: name for point, name in sorted(known.items()) if point in names and name in SCENARIOS}
    TABLE.write_text(json.dumps(kept, indent=1) + "\n")


def forget() -> None:
    """Begin the table anew."""
    TABLE.unlink(missing_ok=True)
