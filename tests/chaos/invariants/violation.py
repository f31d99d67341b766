"""One place where an invariant does not hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """Which invariant, of which render ("-" where it is of none), and what was found."""

    invariant: str
    render: str
    facts: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.render}: {self.facts}"
