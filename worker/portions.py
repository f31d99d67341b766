"""How much a chore does at once: less where a statement of it was ended for its length, or it would meet the same at
every tick, for ever.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from worker.database import ended

SMALLEST = 12
"""Halvings: of all that is done at once one remains."""
WELL, LONGEST_WELL = 20, 20 * 2**8
"""Pieces that went well, after which twice as much is tried again: twice as many after each such try that did not
go well, as what makes a statement slow may be there to stay, and each costs all that a statement may last."""


@dataclass
class Portion:
    """Of one chore of this process."""

    halved: int = 0
    well: int = 0
    wanted: int = WELL
    """Pieces in a row."""
    grown: bool = False
    """It is more again than what went well for long."""

    def of(self, whole: int) -> int:
        """What is done at once of that which is done at once where all is well."""
        return max(1, whole >> self.halved)

    @contextmanager
    def taken(self) -> Generator[None]:
        """Around a piece. Raises what it raises."""
        try:
            yield
        except DBAPIError as error:
            if ended(error):
                self.halved, self.well = min(self.halved + 1, SMALLEST), 0
                self.wanted = min(2 * self.wanted, LONGEST_WELL) if self.grown else self.wanted
                self.grown = False
            raise
        self.well += 1
        if self.well >= self.wanted:
            self.wanted = self.wanted if self.halved else WELL
            self.grown = self.halved > 0
            self.halved, self.well = max(0, self.halved - 1), 0


WHOLE = Portion()
"""Never taken: everything."""
