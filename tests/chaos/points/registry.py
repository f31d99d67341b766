"""Scenarios by name, in the order in which they were written down."""

from collections.abc import Callable

from tests.chaos.points.plays import Play

Scenario = Callable[[Play], None]


class Scenarios(dict[str, Scenario]):
    """Those of one file."""

    def add(self, function: Scenario) -> Scenario:
        """Known by its function's name."""
        self[function.__name__] = function
        return function
