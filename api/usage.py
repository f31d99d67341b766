"""What an owner's renders came to: runs by how they ended, credits, seconds and bytes of video. Purged ones count too:
what they cost stays in the books."""

from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import DateTime, Select, String, cast, func, literal, select, union_all
from sqlalchemy.orm import Session

from api.bodies import UsageBody
from worker.renders.models import Render, Result, Run
from worker.renders.states import FINAL, Charge

By = Literal["day"]


def totals(session: Session, owner_id: str, since: datetime, until: datetime, by: By | None) -> list[UsageBody]:
    """The runs that ended from `since` to `until`: one total, or one for each day in which any did (UTC)."""
    rows = session.execute(_totals(owner_id, since, until, by)).mappings().all()
    return [_body(dict(row), since, until, by) for row in rows]


Rows = Select[*tuple[Any, ...]]


def _ended(model: type[Render] | type[Run], owner_id: str, since: datetime, until: datetime) -> Rows:
    id = Render.id if model is Render else Run.render_id
    return select(
        id.label("render_id"), model.run, model.status, model.charge_state, model.charge_credits, model.finished_at
    ).where(model.owner_id == owner_id, model.finished_at >= since, model.finished_at < until)


def _totals(owner_id: str, since: datetime, until: datetime, by: By | None) -> Rows:
    runs = union_all(*(_ended(model, owner_id, since, until) for model in (Render, Run))).subquery()
    counts = [func.count().filter(runs.c.status == status.value).label(status.value) for status in sorted(FINAL)]
    day = func.date_trunc("day", runs.c.finished_at, "UTC") if by else cast(literal(None, String), DateTime(True))
    query = select(
        day.label("day"),
        *counts,
        func.coalesce(func.sum(runs.c.charge_credits), 0.0).label("credits"),
        func.count().filter(runs.c.charge_state == Charge.UNKNOWN.value).label("unknown"),
        func.coalesce(func.sum(Result.duration_seconds), 0.0).label("video_seconds"),
        func.coalesce(func.sum(Result.bytes), 0).label("video_bytes"),
    ).join_from(runs, Result, (Result.render_id == runs.c.render_id) & (Result.run == runs.c.run), isouter=True)
    return query.group_by("day").order_by("day") if by else query


def _body(row: dict[str, Any], since: datetime, until: datetime, by: By | None) -> UsageBody:
    day = row.pop("day")
    if by:
        since, until = max(since, day), min(until, day + timedelta(days=1))
    return UsageBody(since=since, until=until, **row)
