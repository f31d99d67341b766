"""A reused video: the same file under two renders, which goes with the last of them."""

import threading

import pytest
from sqlalchemy import func, select, update

from tests.catalogs.conftest import Shop, counted, renders, the
from worker.catalogs import reuse
from worker.database import transact
from worker.renders import purge, store
from worker.renders.models import Event, Result


def purged(render_id: str) -> None:
    """Delete a render as its owner would."""

    def work(session):
        row = store.locked(session, the(render_id).owner_id, render_id)
        purge.purge(session, row)

    transact(work)


def key(render_id: str) -> str:
    return transact(
        lambda session: session.scalars(select(Result.storage_key).where(Result.render_id == render_id)).one()
    )


@pytest.fixture
def pair(shop: Shop) -> tuple[str, str]:
    """A render, and one that was reused from it."""
    shop.offers("a")
    shop.read(shop.catalog())
    shop.finish()
    shop.read(shop.catalog())
    first, second = renders()
    assert second.reused_from == first.id
    return first.id, second.id


def test_a_reused_render_is_complete(shop: Shop, pair: tuple[str, str]):
    """It has the file, its times, and an event that says where its video is from."""
    first, second = pair
    row = the(second)
    assert key(second) == key(first)
    assert row.started_at is not None
    assert row.finished_at is not None
    event = transact(lambda session: session.scalars(select(Event).where(Event.render_id == second)).one())
    assert (event.type, event.number, event.data) == ("render.succeeded", 1, {"reused_from": first})


def test_a_reused_video_keeps_what_its_examination_found(shop: Shop):
    """A flag is shown on every product that it serves."""
    shop.offers("a")
    shop.read(shop.catalog())
    shop.finish()
    flagged = {"verdict": "flagged", "findings": [{"code": "black"}]}
    transact(lambda session: session.execute(update(Result).values(quality=flagged)))
    read = shop.read(shop.catalog())
    (reused,) = renders(read.batch_id)
    found = select(Result.quality).where(Result.render_id == reused.id)
    assert transact(lambda session: session.scalar(found)) == flagged


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_shared_file_goes_with_the_last_of_its_renders(shop: Shop, pair: tuple[str, str], order: tuple[int, int]):
    """Whichever is deleted first."""
    file = key(pair[0])
    purged(pair[order[0]])
    purge.clear(shop.storage)
    assert shop.storage.exists(file)
    purged(pair[order[1]])
    purge.clear(shop.storage)
    assert not shop.storage.exists(file)


def test_two_deletions_at_once_leave_no_file(shop: Shop, pair: tuple[str, str]):
    """Each would spare the file for the other: one of them waits and sees."""
    file = key(pair[0])
    together = threading.Barrier(2)

    def delete(render_id: str) -> None:
        together.wait()
        purged(render_id)

    threads = [threading.Thread(target=delete, args=(one,)) for one in pair]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    purge.clear(shop.storage)
    assert not shop.storage.exists(file)


def test_a_deletion_waits_for_who_takes_the_video_over(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Begun while the video is being reused, it finds the file in use."""
    shop.offers("a")
    shop.read(shop.catalog())
    shop.finish()
    (first,) = renders()
    began = threading.Event()

    def delete() -> None:
        began.set()
        purged(first.id)

    deletion = threading.Thread(target=delete)
    taken = reuse.take_over

    def slowly(session, batch_id):
        count = taken(session, batch_id)
        deletion.start()
        began.wait()
        return count

    monkeypatch.setattr(reuse, "take_over", slowly)
    read = shop.read(shop.catalog())
    deletion.join()
    assert counted(read)["reused"] == 1
    purge.clear(shop.storage)
    assert shop.storage.exists(key(renders(read.batch_id)[0].id))


def test_a_deleted_video_is_not_reused(shop: Shop):
    """Its product is rendered again, by its own catalog when asked for too."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    purged(renders()[0].id)
    assert counted(shop.read(catalog)) == {"products": 1, "again": 1, "rendered": 1}


def test_one_reuse_leads_to_the_next(shop: Shop, pair: tuple[str, str]):
    """Whichever of the equal renders is there serves, the newest first."""
    purged(pair[0])
    read = shop.read(shop.catalog())
    assert [one.reused_from for one in renders(read.batch_id)] == [pair[1]]
    names = select(func.count()).select_from(Result).where(Result.storage_key == key(pair[1]))
    assert transact(lambda session: session.scalar(names)) == 3
