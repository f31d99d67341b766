"""How much a key may have at once and spend a day, checked inside the transaction that takes a render on.

How often it may ask is not counted here: requests come before any transaction, and most of them need none.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, Subquery, case, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.orm import Session

from worker.database import ago
from worker.owners.models import ApiKey
from worker.remote.intents import ABOUT_A_CLIP
from worker.renders.models import Render, Run
from worker.renders.states import Charge, Stage

DAY = timedelta(days=1)
IN_FLIGHT_RETRY_SECONDS = 30
"""A video takes minutes; with some in flight one ends about this often."""


@dataclass(frozen=True)
class Limits:
    """A key's own limits; None where it has none of its own."""

    requests_per_minute: int | None = None
    """Calls that change something. None: as the settings say; 0: no limit."""
    reads_per_minute: int | None = None
    """GET and HEAD, likewise."""
    renders_in_flight: int | None = None
    credits_per_day: float | None = None
    """Over the last 24 hours, whenever these are."""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """From a key's row."""
        return cls(**{field.name: kept[field.name] for field in fields(cls) if field.name in kept})

    def kept(self) -> dict[str, Any]:
        """As a key's row has them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


UNLIMITED = Limits(requests_per_minute=0, reads_per_minute=0)


class LimitReached(Exception):
    """The key has what it may have; `kind` is `in_flight` or `credits`."""

    def __init__(self, kind: str, retry_after_seconds: int, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.retry_after_seconds, self.detail = kind, retry_after_seconds, detail


def check(session: Session, key_id: str, limits: Limits, *, credits: float = ABOUT_A_CLIP, runs: int = 1) -> None:
    """Whether the key may have `runs` more runs, each of which will cost about `credits`; with 0, whether those it has
    are not too many already.

    To be called in the transaction that makes the run: simultaneous calls of one key go one after the other from here
    to their commit, so that none counts before its neighbour is counted. A key without such limits waits for nobody.

    Raises:
        LimitReached
    """
    if limits.renders_in_flight is None and limits.credits_per_day is None:
        return
    # Not FOR UPDATE: every render that names the key holds a share of its row, and need not wait.
    session.execute(select(ApiKey.id).where(ApiKey.id == key_id).with_for_update(key_share=True))
    if limits.renders_in_flight is not None:
        _check_in_flight(session, key_id, limits.renders_in_flight, runs)
    if limits.credits_per_day is not None and credits > 0:
        _check_credits(session, key_id, limits.credits_per_day, credits * runs)


def _check_in_flight(session: Session, key_id: str, limit: int, runs: int) -> None:
    # No more than the limit are counted, however many there are.
    some = select(literal(1)).where(Render.api_key_id == key_id, Render.finished_at.is_(None)).limit(limit + 1)
    in_flight = session.scalar(select(func.count()).select_from(some.subquery())) or 0
    if in_flight + runs > limit:
        raise LimitReached("in_flight", IN_FLIGHT_RETRY_SECONDS, f"This key may have {limit} renders in flight.")


def _check_credits(session: Session, key_id: str, limit: float, credits: float) -> None:
    runs = union_all(*(_runs(model, key_id) for model in (Render, Run))).subquery()
    spent = session.scalar(select(func.coalesce(func.sum(runs.c.credits), 0.0))) or 0.0
    if spent + credits <= limit:
        return
    words = f"This key may spend {limit:g} credits in 24 hours, has spent {spent:g}, and this costs {credits:g}."
    raise LimitReached("credits", _seconds_until(session, runs, spent + credits - limit), words)


def _seconds_until(session: Session, runs: Subquery, excess: float) -> int:
    """When so many credits of the key's runs are a day old that they no longer count; a day where that is never."""
    gone = func.sum(runs.c.credits).over(order_by=runs.c.queued_at).label("gone")
    days = select(runs.c.queued_at, gone).subquery()
    free_at = func.min(days.c.queued_at).filter(days.c.gone >= excess) + literal(DAY, INTERVAL)
    seconds = session.scalar(select(func.ceil(func.extract("epoch", free_at - func.now()))))
    return max(1, int(DAY.total_seconds() if seconds is None else seconds))


def _runs(model: type[Render] | type[Run], key_id: str) -> Select[*tuple[Any, ...]]:
    return select(model.queued_at, _cost(model).label("credits")).where(
        model.api_key_id == key_id, model.queued_at > ago(DAY)
    )


def _cost(model: type[Render] | type[Run]) -> ColumnElement[float]:
    """A run that ended without a charge was free; every other costs what is known, or about as much as one does."""
    free = (model.finished_at.is_not(None)) & (model.charge_state == Charge.NONE.value)
    if model is Render:
        # A retry that went on from a paid draft sends no message: `charge_state` is none at stages behind one.
        exporting = Render.stage.in_([Stage.EXPORT.value, Stage.POLL.value, Stage.STORE.value])
        free = free | (exporting & (Render.charge_state == Charge.NONE.value))
    return case((free, 0.0), else_=func.coalesce(model.charge_credits, ABOUT_A_CLIP))
