"""How a catalog's products are rendered, as its owner asked for it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

Include = Literal["draft", "archived", "out_of_stock"]


@dataclass(frozen=True)
class Options:
    """Kept as JSON with the catalog; what is missing there has its default."""

    include: list[Include] = field(default_factory=list[Include])
    """Products that are left out otherwise."""
    ref_prefix: str = ""
    """Before each product's ref in its renders' `external_ref`: two shops may number their products alike."""
    language: str | None = None
    """Of the videos; None: as the template says, or else detected from each prompt."""
    output: dict[str, Any] = field(default_factory=lambda: {"format": "mp4", "quality": "high"})
    priority: str = "normal"
    on_unconfirmed: str = "fail"
    tags: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    first: int | None = None
    """So many of a reading's renders begin, the others wait for an approval."""
    max_credits: float | None = None
    max_failure_rate: float | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """From a catalog's row."""
        return cls(**{one.name: kept[one.name] for one in fields(cls) if one.name in kept})

    def kept(self) -> dict[str, Any]:
        """As a catalog's row has them."""
        return asdict(self)
