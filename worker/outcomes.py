"""What a stage's work came to. The pipeline acts on it: one transaction, then the next message.

Outcome      `also` runs first in that transaction, then `changes` and `events` are written under the lease
├── Advance  to another stage, now or after `wait`
├── Snooze   the same stage again after `wait`; not a failure, spends nothing
├── Wait     the same, and the outside is told what for
├── Fault    the same after a growing pause; counted, and given up after `retry_for_seconds`
├── Done     succeeded
├── Failed   a final status with a stable code and a remedy
└── Canceled as asked, with what that achieved
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from worker.failures import Failure
from worker.renders.events import NewEvent
from worker.renders.states import Reason, Stage


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Base: what is written along with the move."""

    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    events: tuple[NewEvent, ...] = ()
    also: tuple[Callable[[Session], None], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Advance(Outcome):
    """To another stage."""

    to: Stage
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Snooze(Outcome):
    """The same stage again."""

    wait: timedelta
    ends_faults: bool = True
    """The stage got as far as it could: faults before and after this are not in a row."""


@dataclass(frozen=True, kw_only=True)
class Wait(Outcome):
    """The same stage again, once what it waits for may be there."""

    reason: Reason
    wait: timedelta
    ends_faults: bool = True


@dataclass(frozen=True, kw_only=True)
class Fault(Outcome):
    """The same stage again after a pause that grows with each fault in a row."""

    failure: Failure
    """What the render fails with if the fault does not pass."""
    detail: str
    most: int | None = None
    """Give up after so many in a row; None: only after `retry_for_seconds`."""
    reason: Reason = Reason.BACKEND
    at_least: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Done(Outcome):
    """Succeeded."""


@dataclass(frozen=True, kw_only=True)
class Failed(Outcome):
    """Over, with a reason."""

    failure: Failure
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Canceled(Outcome):
    """Over, as asked."""

    effect: str
    """`prevented`: nothing paid was sent. `stopped`: the work at the backend was begun, its result is not fetched."""
