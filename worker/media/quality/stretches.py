"""For how long something holds without a break."""

from dataclasses import dataclass, field

from worker.media.quality.report import Stretch


@dataclass(slots=True)
class Stretches:
    """Stretches of at least so many seconds in which something held; told of moments in order."""

    at_least: float
    found: list[Stretch] = field(default_factory=list[Stretch])
    since: float | None = None
    """Where the stretch under way began."""

    def tell(self, holds: bool, at: float) -> None:
        """Whether it holds from `at` on (seconds)."""
        if not holds:
            self.end(at)
        elif self.since is None:
            self.since = at

    def end(self, at: float) -> None:
        """It does not hold from `at` on."""
        if self.since is not None and at - self.since >= self.at_least - 1e-6:
            self.found.append((self.since, at))
        self.since = None
