"""A database of a module's own, and renders in any state."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, text, update
from sqlalchemy.orm import Session

from tests.emptying import empty_tables
from tests.stack import here
from worker.batches.models import Batch
from worker.database import new_id, transact
from worker.owners.store import owner
from worker.renders import bulk, leases, store
from worker.renders.bulk import Placed
from worker.renders.leases import Held
from worker.renders.models import Lane, Render
from worker.renders.states import Stage
from worker.renders.store import NewRender


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture(autouse=True)
def _empty(_settings: None) -> None:
    transact(lambda session: empty_tables(session, "renders, workers, lanes, accounts, owners"))


def a_render(owner_name: str = "default", **columns: Any) -> str:
    """Accept a render and put it into the state given by its columns; its id."""
    priority = columns.get("priority", "normal")

    def make(session):
        row = store.accept(
            session, owner(session, owner_name).id, NewRender(prompt="a lamp", language="en", priority=priority)
        )
        if columns:
            session.execute(update(Render).where(Render.id == row.id).values(**columns))
        return row.id

    return transact(make)


def a_batch(renders: int, owner_name: str = "default", **columns: Any) -> str:
    """A batch that was accepted, with so many renders queued; its id. `part` and `held` are its lane's, `priority` is
    both's."""
    lane = {name: columns.pop(name) for name in ("part", "held") if name in columns}

    def make(session: Session) -> str:
        mine = owner(session, owner_name).id
        batch = new_id("bat")
        given = {"source": "inline", "state": "open", "accepted_at": func.now(), "total": renders} | columns
        session.execute(insert(Batch).values(id=batch, owner_id=mine, **given))
        priority = columns.get("priority", "normal")
        row = {"owner_id": mine, "batch_id": batch, "priority": priority} | lane
        lane_id = session.scalars(insert(Lane).values(**row).returning(Lane.id)).one()
        request = NewRender(prompt="a lamp", language="en", priority=priority)
        bulk.insert(session, mine, [Placed(request, lane_id, batch, place + 1) for place in range(renders)])
        return batch

    return transact(make)


def the(render_id: str) -> Render:
    """The row as it is now."""
    return transact(lambda session: session.get_one(Render, render_id))


def claimed(render_id: str, worker: str = "io-1", stage: Stage = Stage.TOKEN, lease: int = 0) -> Held | None:
    """Claim it."""
    return transact(lambda session: leases.claim(session, render_id, lease=lease, stage=stage, worker=worker))


def a_worker(
    identity: str = "io-1", kind: str = "io", capacity: int = 10, *, silent_for: timedelta = timedelta(0)
) -> str:
    """Register a worker that was last seen so long ago."""
    transact(
        lambda session: session.execute(
            text(
                "INSERT INTO workers (id, kind, hostname, pid, version, capacity, seen_at)"
                " VALUES (:id, :kind, 'here', 1, '1', :capacity, now() - CAST(:silent AS interval))"
            ),
            {"id": identity, "kind": kind, "capacity": capacity, "silent": f"{silent_for.total_seconds()} seconds"},
        )
    )
    return identity
