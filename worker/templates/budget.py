"""What one filling may still do. Counted, not timed: the same filling always ends the same way."""

from worker.templates.errors import TooMuch
from worker.templates.limits import CHARACTERS, STEPS, VALUE_CHARACTERS


class Budget:
    """Steps and characters that are left."""

    __slots__ = ("characters", "steps")

    def __init__(self) -> None:
        self.steps, self.characters = STEPS, CHARACTERS

    def step(self, count: int) -> None:
        """About to carry out so many words. Raises TooMuch."""
        self.steps -= count
        if self.steps < 0:
            raise TooMuch(f"it takes more than {STEPS:,} steps: loop over less")

    def read(self, count: int) -> None:
        """About to read or write so many characters. Raises TooMuch."""
        self.characters -= count
        if self.characters < 0:
            raise TooMuch(f"it goes through more than {CHARACTERS:,} characters: repeat less")

    def make(self, count: int) -> None:
        """About to make a text of so many characters. Raises TooMuch, before there is one."""
        if count > VALUE_CHARACTERS:
            raise TooMuch(f"it makes a text of {count:,} characters on the way: at most {VALUE_CHARACTERS:,}")
        self.read(count)
