"""What an examination came to, as it is kept with a result and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Name = Literal["length", "aspect", "black", "frozen", "silence", "ends_early"]
Verdict = Literal["passed", "flagged", "not_asked"]
Stretch = tuple[float, float]
"""From and to, in seconds from the video's beginning."""

MOST_STRETCHES = 20
"""Told of one check: who has watched these knows enough."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `measured` and `asked` are seconds or words, where the check compares any."""

    check: Name
    verdict: Verdict
    detail: str
    stretches: Sequence[Stretch] = ()
    measured: float | str | None = None
    asked: float | str | None = None

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "check": self.check,
            "verdict": self.verdict,
            "detail": self.detail,
            "stretches": [[round(since, 2), round(to, 2)] for since, to in self.stretches[:MOST_STRETCHES]],
            "measured": round(self.measured, 2) if isinstance(self.measured, float) else self.measured,
            "asked": self.asked,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one video; without any where it could not be examined, which `why` says."""

    checks: tuple[Check, ...] = ()
    why: str | None = None

    @property
    def verdict(self) -> Literal["passed", "flagged", "unknown"]:
        """`flagged` by a single check; `unknown` where nothing could be looked at."""
        if not self.checks:
            return "unknown"
        return "flagged" if self.flagged else "passed"

    @property
    def flagged(self) -> list[Check]:
        """The checks that found something."""
        return [check for check in self.checks if check.verdict == "flagged"]

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"verdict": self.verdict, "detail": self.why, "checks": [check.as_json() for check in self.checks]}
