"""All scenarios. Of several that pass a point the first is the one to die in."""

from tests.chaos.points import batches, catalogs, scenarios
from tests.chaos.points.registry import Scenarios

SCENARIOS = Scenarios(scenarios.SCENARIOS | batches.SCENARIOS | catalogs.SCENARIOS)
