"""What a video is compared with: the length and the shape that were asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Aspect = Literal["9:16", "16:9", "1:1", "4:5", "5:4", "3:4", "4:3", "2:3", "3:2", "21:9", "portrait", "landscape"]
"""Width to height; or only which of the two is longer, as `vertical` in a prompt says no more than that."""
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)


@dataclass(frozen=True, slots=True)
class Asked:
    """None: nothing was asked for, or nothing that can be held against a video."""

    duration_seconds: float | None = None
    aspect: Aspect | None = None
    silent: bool = False
    """A video without sound was asked for."""

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> "Asked":
        """From what a render keeps; what is missing was not asked for."""
        kept = kept or {}
        return cls(kept.get("duration_seconds"), kept.get("aspect"), bool(kept.get("silent")))

    def as_json(self) -> dict[str, Any] | None:
        """As a render keeps it; None where nothing was asked for."""
        return None if self == Asked() else self.in_full()

    def in_full(self) -> dict[str, Any]:
        """The same where nothing asked for is said too: then a prompt's words are not asked any more."""
        return asdict(self)
