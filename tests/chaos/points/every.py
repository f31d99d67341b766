"""All scenarios. Of several that pass a point the first is the one to die in."""

from tests.chaos.points import batches, catalogs, publishing, scenarios, triggers, webhooks
from tests.chaos.points.registry import Scenarios

SCENARIOS = Scenarios(
    scenarios.SCENARIOS
    | batches.SCENARIOS
    | catalogs.SCENARIOS
    | webhooks.SCENARIOS
    | triggers.SCENARIOS
    | publishing.SCENARIOS
)
