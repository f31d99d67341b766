"""When a batch will be over, from what stages took lately and how many renders come before its last one.

**Its turn.** Lanes that have work share the places by their weights. While this batch's `Q` queued renders are begun, a
lane with `q` queued ones gets `min(q, Q · w / W)` of its own in, `w` being its weight and `W` this batch's. So
`N = Q + Σ min(q, Q · w / W)` renders begin until the last of this batch does. They begin at the rate of the narrowest
of: places of stream workers by the seconds of a stream, places of the others by the seconds of their stages, slots of
the accounts by the seconds that a render holds one. Places that are free now are filled at once.

**Its end.** Then the last renders under way, `k` at once, run to their ends; the batch ends with the latest of them, of
which the normal distribution gives the quantile `q^(1/k)`. The time until the turn varies by `N · σ² / c²` (`c` places,
`σ` of the narrowest stage).

It knows nothing of failures, of balances that run out, and of what is asked for later. What has been measured of no
stream at all is not guessed.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from sqlalchemy.orm import Session

from api.progress import TYPICAL, least
from config.settings import settings
from worker.batches import pace
from worker.batches.pace import Pace, Spread
from worker.renders.states import ORDER, Stage

FRESH_SECONDS = 5.0
_STREAM = (Stage.GENERATE,)
_IO = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.VERIFY, Stage.EXPORT)
_MEDIA = (Stage.STORE,)
_SLOT = (Stage.SESSION, Stage.UPLOAD, Stage.GENERATE)
_NORMAL = NormalDist()
LATE = 0.9


@dataclass(frozen=True)
class Left:
    """What is still to come of a batch: queued renders that may begin, and those under way."""

    queued: int
    under_way: int


@dataclass(frozen=True)
class _Narrowest:
    """The resource that limits the rate: places, and the seconds one is held."""

    places: int
    held: Spread

    @property
    def rate(self) -> float:
        return self.places / max(self.held.mean, 1e-3)


class Paces:
    """The service's pace, looked at every few seconds at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._known: Pace | None = None

    def now(self, session: Session) -> Pace:
        """As it was a moment ago."""
        with self._lock:
            known = self._known
            if known is not None and time.monotonic() < self._until:
                return known
            self._until = time.monotonic() + FRESH_SECONDS  # the others go on with what is known meanwhile
        own = settings()
        found = pace.measure(session, lease=own.waits.lease_seconds, usual_slots=own.capacity.account_slots)
        with self._lock:
            self._known = found
        return found


paces = Paces()


def seconds(known: Pace, left: Left, batch_id: str | None) -> tuple[float, float] | None:
    """Seconds from now until the end, p50 and p90; None where nobody can say."""
    narrowest = _narrowest(known)
    if narrowest is None or not (left.queued or left.under_way):
        return None
    whole = _sum(known, ORDER)
    together = max(1, round(narrowest.rate * whole.mean))
    last = min(left.queued + left.under_way, together)
    turn = before_its_last(known, left.queued, batch_id)
    free = max(together - known.under_way, 0)
    until_turn = max(turn - free, 0) / narrowest.rate
    # Without a queue, those under way are anywhere on their way.
    run = whole.mean if left.queued else whole.mean * last / (last + 1)
    deviation = math.sqrt(whole.variance)
    usual, late = (deviation * _NORMAL.inv_cdf(share ** (1 / last)) for share in (0.5, LATE))
    doubt = _NORMAL.inv_cdf(LATE) * math.sqrt(turn * narrowest.held.variance) / narrowest.places
    p50 = until_turn + run + max(usual, 0.0)
    return p50, max(p50, until_turn + run + math.hypot(doubt, max(late, 0.0)))


def before_its_last(known: Pace, queued: int, batch_id: str | None) -> float:
    """How many renders begin until the last of this batch's queued ones does, itself included."""
    own = [one for one in known.queues if batch_id is not None and one.batch_id == batch_id]
    weight = sum(one.weight for one in own) or pace.PRIORITY_WEIGHT["normal"]
    others = (one for one in known.queues if one not in own)
    return queued + sum(min(one.waiting, queued * one.weight / weight) for one in others)


def _narrowest(known: Pace) -> _Narrowest | None:
    if Stage.GENERATE not in known.stages:
        return None
    kinds = {"stream": _STREAM, "io": _IO, "media": _MEDIA}
    if any(not known.places.get(kind) for kind in kinds):
        return None
    found = [_Narrowest(known.places[kind], _sum(known, stages)) for kind, stages in kinds.items()]
    if known.slots is not None:
        found.append(_Narrowest(known.slots, _sum(known, _SLOT)))
    return min(found, key=lambda one: one.rate)


def _sum(known: Pace, stages: Sequence[Stage]) -> Spread:
    each = [_of(known.stages, stage) for stage in stages]
    return Spread(sum(one.mean for one in each), sum(one.variance for one in each))


def _of(measured: Mapping[Stage, Spread], stage: Stage) -> Spread:
    found = measured.get(stage)
    if found is None:
        return Spread(TYPICAL[stage], 0.0)
    return Spread(max(found.mean, least(stage)), found.variance)
