"""How far a render is, derived when it is read: from its stage, the time in it, and what stages take lately."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from sqlalchemy.orm import Session

from config.settings import settings
from worker.renders import store
from worker.renders.models import Render
from worker.renders.states import FINAL, ORDER, Stage, Status

TYPICAL: dict[Stage, float] = {
    Stage.TOKEN: 1,
    Stage.SESSION: 1,
    Stage.UPLOAD: 5,
    Stage.GENERATE: 200,
    Stage.LOOKUP: 60,
    Stage.VERIFY: 10,
    Stage.EXPORT: 2,
    Stage.POLL: 60,
    Stage.STORE: 5,
}
"""Seconds a stage takes by the backend's contract, until there are own figures."""

SHORTEST = 0.05
FRESH_SECONDS = 30.0
ALMOST = 0.95
"""A stage that takes longer than usual creeps towards its end and never shows it."""


class Durations:
    """The medians of the last day, read every half minute at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._known = dict(TYPICAL)

    def now(self, session: Session) -> Mapping[Stage, float]:
        """Seconds by stage."""
        with self._lock:
            if time.monotonic() < self._until:
                return self._known
            self._until = time.monotonic() + FRESH_SECONDS  # the others go on with what is known meanwhile
        measured = store.stage_seconds(session)
        known = TYPICAL | {stage: max(seconds, least(stage)) for stage, seconds in measured.items()}
        with self._lock:
            self._known = known
        return known


def least(stage: Stage) -> float:
    """A stage that waits between its attempts lasts at least one wait: attempts alone are measured too short."""
    waits = settings().waits
    between = {
        Stage.VERIFY: waits.settle_seconds,
        Stage.POLL: waits.export_poll_seconds,
        Stage.LOOKUP: waits.lookup_first_seconds,
    }.get(stage)
    return max(between.total_seconds() if between else 0.0, SHORTEST)


def estimate(render: Render, elapsed: float, seconds: Mapping[Stage, float]) -> tuple[float, float | None]:
    """Progress from 0 to 1 and the seconds left (None where nobody can say); `elapsed` is the time in this stage."""
    if render.status == Status.SUCCEEDED:
        return 1.0, None
    if render.started_at is None:
        return 0.0, None
    stage = Stage(render.stage)
    way = _way(render, stage)
    at = way.index(stage)
    moving = render.status == Status.RUNNING
    usual = seconds[stage]
    done = max(render.fraction, (1 - math.exp(-elapsed / usual)) * ALMOST if moving else 0.0)
    total = sum(seconds[one] for one in way)
    progress = (sum(seconds[one] for one in way[:at]) + usual * done) / total
    if not moving:
        return progress, None
    # Past the usual time: a tenth of it more, again and again.
    left = max(usual * (1 - render.fraction) - elapsed, usual * 0.1) + sum(seconds[one] for one in way[at + 1 :])
    return progress, left


def _way(render: Render, stage: Stage) -> list[Stage]:
    """The stages this render passes."""
    way = [one for one in ORDER if one is not Stage.UPLOAD or render.assets or stage is Stage.UPLOAD]
    if stage is Stage.LOOKUP:
        way.insert(way.index(Stage.GENERATE) + 1, Stage.LOOKUP)
    return way


class HighWater:
    """The highest progress shown of each run: what was reached is not taken back when an export is made again."""

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._marks: OrderedDict[tuple[str, int], float] = OrderedDict()

    def raised(self, render: Render, progress: float) -> float:
        """The progress to show."""
        if render.status in FINAL and progress >= 1:
            return progress
        key = (render.id, render.run)
        with self._lock:
            mark = max(progress, self._marks.pop(key, 0.0))
            self._marks[key] = mark
            if len(self._marks) > self._size:
                self._marks.popitem(last=False)
        return mark


durations = Durations()
high_water = HighWater()
