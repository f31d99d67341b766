"""What a picture's server said of its version, and when that is another picture.

A server may say an ETag today and, from another of its machines, only a Last-Modified tomorrow: what it says of one
kind tells nothing about the other, and a whole shop would be paid for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Version:
    """As far as it is known; neither: the server never said anything."""

    etag: str | None = None
    """Without the `W/` of a weak one, which compression adds."""
    modified: str | None = None

    @classmethod
    def told(cls, headers: Mapping[str, str]) -> "Version":
        """By an answer's headers."""
        etag, modified = headers.get("etag", "").strip(), headers.get("last-modified", "").strip()
        return cls(etag.removeprefix("W/")[:MOST_CHARACTERS] or None, modified[:MOST_CHARACTERS] or None)

    @classmethod
    def read(cls, kept: Mapping[str, str] | None) -> "Version":
        """As it was kept."""
        return cls(**kept) if kept else cls()

    def kept(self) -> dict[str, str] | None:
        """As JSON; None: nothing is known."""
        known = {"etag": self.etag, "modified": self.modified}
        return {name: value for name, value in known.items() if value is not None} or None

    @property
    def counts(self) -> str | None:
        """What a fingerprint covers of it."""
        return f"etag {self.etag}" if self.etag else f"modified {self.modified}" if self.modified else None

    def differs(self, now: "Version") -> bool:
        """Whether what is said now is of another picture: by what was told both times, the ETag before the time."""
        if self.etag and now.etag:
            return self.etag != now.etag
        return bool(self.modified and now.modified) and self.modified != now.modified

    def after(self, now: "Version") -> "Version":
        """What is known behind another answer: of the same picture both stand, of another one the answer alone."""
        if self.differs(now):
            return now
        return Version(now.etag or self.etag, now.modified or self.modified)
