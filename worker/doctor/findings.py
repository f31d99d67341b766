"""What a check says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from config.settings import Settings
from worker.remote.record import Recorder
from worker.remote.surprises import Seen


class Level(StrEnum):
    """How bad it is: nothing runs without what has failed; a warning is worth a look."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was seen, and what to do about it."""

    check: str
    level: Level
    seen: str
    remedy: str = ""


def ok(check: str, seen: str) -> Finding:
    return Finding(check, Level.OK, seen)


def warn(check: str, seen: str, remedy: str) -> Finding:
    return Finding(check, Level.WARN, seen, remedy)


def fail(check: str, seen: str, remedy: str) -> Finding:
    return Finding(check, Level.FAIL, seen, remedy)


@dataclass
class Case:
    """What is examined. `stack` are the notes of a local stack, empty where the servers are the owner's."""

    read_settings: Callable[[], Settings]
    stack: dict[str, Any] = field(default_factory=dict[str, Any])
    recorder: Recorder | None = None
    failed: set[str] = field(default_factory=set[str])
    """Names of the checks in which something failed."""
    surprises: list[Seen] = field(default_factory=list[Seen])
    """What was ever met and unknown, once it has been looked up."""

    @property
    def settings(self) -> Settings:
        return self.read_settings()


Check = Callable[[Case], Iterator[Finding]]
