"""Renders by the thousand: one COPY, no event for each.

A batch's renders have no `render.queued` event of their own: that they are there is the batch's news. Their first event
is their beginning, or their end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg import Connection
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.metrics.commits import on_commit
from worker.metrics.declared import RENDERS_ACCEPTED
from worker.renders.models import UploadUse
from worker.renders.store import AS_JSON, NewRender

_REQUEST = tuple(field.name for field in fields(NewRender) if field.name != "priority")
_PLACE = ("batch_id", "batch_position", "fingerprint", "follows_id", "follows_until")
_COLUMNS = ("id", "owner_id", "lane_id", "priority", *_REQUEST, *_PLACE, "deadline_at", "ready_at")


@dataclass(frozen=True)
class Placed:
    """A validated request and its place in a batch. `lane_id` is a lane of that batch and the request's priority."""

    request: NewRender
    lane_id: int
    batch_id: str
    batch_position: int
    fingerprint: str | None = None
    follows_id: str | None = None
    """A render that it must not overtake; such a one is ready when the dispatcher sees that its turn has come."""
    follows_until: str | None = None


def insert(session: Session, owner_id: str, placed: Sequence[Placed]) -> list[str]:
    """Write the renders; their ids, in the order given.

    Run again after a COMMIT whose answer was lost it would write them twice under other ids: the caller's transaction
    guards itself, by a write on the batch that names what it leaves (`batches.total`).
    """
    ids = [new_id("rnd") for _ in placed]
    now = session.execute(select(func.now())).scalar_one()
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, Connection), "the engine's driver is psycopg"
    statement = f"COPY renders ({', '.join(_COLUMNS)}) FROM STDIN".encode()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for render_id, one in zip(ids, placed, strict=True):
            copy.write_row(tuple(_row(render_id, owner_id, one, now)))
    _note_uploads(session, ids, placed)
    on_commit(session, lambda: RENDERS_ACCEPTED.labels("new").inc(len(ids)))
    return ids


def _row(render_id: str, owner_id: str, one: Placed, now: datetime) -> Iterator[Any]:
    yield from (render_id, owner_id, one.lane_id, one.request.priority)
    for name in _REQUEST:
        value = getattr(one.request, name)
        yield _json(value) if name in AS_JSON and value is not None else value
    for name in _PLACE:
        yield getattr(one, name)
    seconds = one.request.deadline_seconds
    yield None if seconds is None else now + timedelta(seconds=seconds)
    yield "infinity" if one.follows_id else "now"


def _json(value: Any) -> str:
    """As jsonb reads it: a tenth of the time that the standard library takes, four times a row."""
    return msgspec.json.encode(value).decode()


def _note_uploads(session: Session, ids: Sequence[str], placed: Sequence[Placed]) -> None:
    uses = [
        {"upload_id": upload, "render_id": render_id}
        for render_id, one in zip(ids, placed, strict=True)
        for upload in sorted({asset["upload"] for asset in one.request.assets if "upload" in asset})
    ]
    if uses:
        session.execute(pg_insert(UploadUse), uses)
