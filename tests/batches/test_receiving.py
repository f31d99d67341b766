"""A batch on its way in, on the real database: chunk by chunk, once each, and gone without a trace where it fails."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from tests.stack import here, until
from worker.batches import store
from worker.batches.models import Batch, BatchProblem
from worker.batches.store import Entry, Gone, NewBatch, NewProblem, Received
from worker.database import engine, new_id, transact
from worker.owners.store import owner
from worker.renders import deadlines, uploads
from worker.renders.models import Event, Lane, Render, Upload, UploadUse
from worker.renders.store import NewRender


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture
def batch() -> str:
    """One that is begun, of which two begin before an approval."""
    batch_id = new_id("bat")
    new = NewBatch("jsonl", first=2)
    transact(lambda session: store.begin(session, owner(session, "default").id, new, batch_id=batch_id))
    return batch_id


def _rows(count: int, **fields: object) -> list[Entry]:
    return [Entry(NewRender(f"a lamp {n}", "en", **fields)) for n in range(count)]  # pyright: ignore[reportArgumentType]


def _count(model: type, *where: object) -> int:
    return transact(lambda session: session.scalar(select(func.count()).select_from(model).where(*where)) or 0)  # pyright: ignore[reportArgumentType]


def test_beginning_again_after_a_lost_commit_is_the_same_batch(batch: str):
    """Its id names it."""
    new = NewBatch("csv", name="another")
    transact(lambda session: store.begin(session, owner(session, "default").id, new, batch_id=batch))
    assert transact(lambda session: session.get_one(Batch, batch)).name is None


def test_a_chunk_is_added_once_though_its_commit_was_not_answered(batch: str):
    """The transaction that is run again finds what it made; the next chunk goes on behind it."""
    wrong = [NewProblem(7, "row.invalid", "no", "ref", "raw")]
    for _ in range(2):
        after = transact(lambda session: store.add(session, batch, _rows(3), wrong, before=Received()))
        assert after == Received(3, 1)
    transact(lambda session: store.add(session, batch, _rows(2), before=after))
    query = select(Render.batch_position, Lane.part, Lane.held).join(Lane).where(Render.batch_id == batch)
    placed = transact(lambda session: session.execute(query.order_by(Render.batch_position)).all())
    assert [tuple(row) for row in placed] == [(n, 0 if n < 3 else 1, True) for n in range(1, 6)]
    assert _count(BatchProblem, BatchProblem.batch_id == batch) == 1


def test_a_chunk_is_written_at_once_whatever_its_rows(batch: str):
    """Fifty times the rows are no statement more."""

    def statements(count: int, before: Received) -> tuple[int, Received]:
        asked: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
            asked.append(statement)

        event.listen(engine(), "before_cursor_execute", note)
        try:
            after = transact(lambda session: store.add(session, batch, _rows(count), before=before))
        finally:
            event.remove(engine(), "before_cursor_execute", note)
        return len(asked), after

    few, after = statements(10, Received())
    many, after = statements(500, after)
    assert (few, after.total) == (many, 510)
    assert _count(Event, Event.render_id.in_(select(Render.id).where(Render.batch_id == batch))) == 0


def test_a_chunk_for_a_batch_that_was_thrown_away_is_not_added(batch: str):
    """Nor the acceptance: whoever was taken for dead has nothing to promise."""
    transact(lambda session: store.add(session, batch, _rows(5), before=Received()))
    assert transact(lambda session: store.discard(session, batch, limit=2)) is False
    for refused in (
        lambda session: store.add(session, batch, _rows(1), before=Received(5, 0)),
        lambda session: store.add(session, batch, [], before=Received(5, 0)),
    ):
        with pytest.raises(Gone):
            transact(refused)
    while not transact(lambda session: store.discard(session, batch, limit=2)):
        pass
    with pytest.raises(Gone):
        transact(lambda session: store.accept(session, batch))
    assert [_count(model, model.batch_id == batch) for model in (Render, Lane, BatchProblem)] == [0, 0, 0]
    assert _count(Batch, Batch.id == batch) == 0


def test_what_was_accepted_is_not_thrown_away(batch: str):
    """Not even by who believes that its intake died."""
    transact(lambda session: store.add(session, batch, _rows(3), before=Received()))
    transact(lambda session: store.accept(session, batch))
    assert transact(lambda session: store.discard(session, batch)) is True
    assert _count(Render, Render.batch_id == batch) == 3
    with pytest.raises(Gone):
        transact(lambda session: store.add(session, batch, _rows(1), before=Received(3, 0)))


def test_an_upload_of_a_discarded_batch_is_unused_again(batch: str):
    """It expires like any other; one that another render uses stays in use."""
    owner_id = transact(lambda session: owner(session, "default").id)
    facts = {
        "owner_id": owner_id,
        "name": "a",
        "media_type": "image/png",
        "bytes": 1,
        "sha256": "a",
        "storage_key": "a",
    }
    mine, shared = new_id("upl"), new_id("upl")
    transact(lambda session: session.add_all(Upload(id=id, used_at=func.now(), **facts) for id in (mine, shared)))
    assets = [{"upload": mine}, {"upload": shared}]
    transact(lambda session: store.add(session, batch, _rows(2, assets=assets), before=Received()))
    keeps = new_id("bat")
    transact(lambda session: store.begin(session, owner_id, NewBatch("jsonl"), batch_id=keeps))
    transact(lambda session: store.add(session, keeps, _rows(1, assets=assets[1:]), before=Received()))
    assert _count(UploadUse, UploadUse.upload_id.in_([mine, shared])) == 5
    transact(lambda session: store.discard(session, batch))
    used = transact(lambda session: {id: session.get_one(Upload, id).used_at is not None for id in (mine, shared)})
    assert used == {mine: False, shared: True}


def test_an_upload_taken_while_its_batch_is_discarded_stays(batch: str):
    """Whoever takes it has not committed when the batch is thrown away: its use counts all the same."""
    owner_id = transact(lambda session: owner(session, "default").id)
    upload = new_id("upl")
    facts = {
        "name": "a",
        "media_type": "image/png",
        "bytes": 1,
        "sha256": "a",
        "storage_key": "b",
        "owner_id": owner_id,
    }
    transact(lambda session: session.add(Upload(id=upload, used_at=func.now(), **facts)))
    assets = [{"upload": upload}]
    transact(lambda session: store.add(session, batch, _rows(1, assets=assets), before=Received()))
    keeps = new_id("bat")
    transact(lambda session: store.begin(session, owner_id, NewBatch("jsonl"), batch_id=keeps))
    discarding = threading.Thread(target=lambda: transact(lambda session: store.discard(session, batch)))
    with Session(engine()) as taking, taking.begin():
        uploads.take(taking, owner_id, [upload])
        store.add(taking, keeps, _rows(1, assets=assets), before=Received())
        discarding.start()
        until(_somebody_waits)
    discarding.join()
    assert transact(lambda session: session.get_one(Upload, upload)).used_at is not None


def _somebody_waits() -> bool:
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(transact(lambda session: session.scalar(text(waits))))


def test_a_deadline_of_a_row_stands_still_while_its_batch_does(batch: str):
    """Paused or behind an approval its clock is stopped, and goes on afterwards; the others' run."""
    transact(lambda session: store.add(session, batch, _rows(3, deadline_seconds=3600.0), before=Received()))
    transact(lambda session: store.accept(session, batch))

    def stopped() -> list[bool]:
        transact(deadlines.keep_clocks)
        query = select(Render.clock_stopped_at).where(Render.batch_id == batch).order_by(Render.batch_position)
        return transact(lambda session: [one is not None for one in session.scalars(query)])

    whole = text("SELECT max(deadline_at - created_at) FROM renders WHERE batch_id = :id")
    assert transact(lambda session: session.execute(whole, {"id": batch}).scalar_one()) == timedelta(hours=1)
    assert stopped() == [False, False, True]
    transact(lambda session: store.approve(session, session.get_one(Batch, batch)))
    assert stopped() == [False, False, False]
    transact(lambda session: store.pause(session, session.get_one(Batch, batch)))
    assert stopped() == [True, True, True]
