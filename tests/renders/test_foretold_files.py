"""Files that are stored before anything names them: found and deleted if whoever stored them died."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from tests.emptying import empty_tables
from tests.renders.conftest import a_render, the
from worker.database import transact
from worker.media.storage import Storage, open_storage
from worker.renders import purge
from worker.renders.models import Result
from worker.renders.states import Status

KEY = "somewhere/video.mp4"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A directory, and an empty outbox."""
    transact(lambda session: empty_tables(session, "doomed_files"))
    return open_storage((tmp_path / "results").as_uri())


def a_day_later() -> None:
    """Everything in the outbox is a day older, and a little more."""
    transact(
        lambda session: session.execute(
            text("UPDATE doomed_files SET doomed_at = doomed_at - CAST('24:00:01' AS interval)")
        )
    )


def test_a_file_that_nobody_named_is_deleted_a_day_later(storage: Storage):
    """Foretold and stored, and the worker died: kept while it may still be named, then gone."""
    transact(lambda session: purge.foretell(session, [KEY]))
    storage.put_bytes(KEY, b"video")
    assert (purge.clear(storage), storage.exists(KEY)) == (0, True)
    a_day_later()
    assert (purge.clear(storage), storage.exists(KEY)) == (1, False)


def test_a_named_file_stays(storage: Storage):
    """The commit that names it takes it out of the outbox."""
    transact(lambda session: purge.foretell(session, [KEY]))
    storage.put_bytes(KEY, b"video")
    transact(lambda session: purge.name(session, [KEY]))
    a_day_later()
    assert (purge.clear(storage), storage.exists(KEY)) == (0, True)


def test_deletion_takes_what_nobody_named_along(storage: Storage):
    """A render that was cancelled after its worker had stored the file: deleting it deletes the file at once, and no
    other render's."""
    mine, other = (a_render(status=Status.CANCELED.value, finished_at=text("now()")) for _ in range(2))
    keys = [f"{the(one).owner_id}/{one}/1/abc.mp4" for one in (mine, other)]
    transact(lambda session: purge.foretell(session, keys))
    for key in keys:
        storage.put_bytes(key, b"video")
    transact(lambda session: purge.purge(session, session.merge(the(mine))))
    assert purge.clear(storage) == 1
    assert [storage.exists(key) for key in keys] == [False, True]


def test_a_file_whose_storing_outlasts_the_deletion_goes_too(storage: Storage):
    """A frozen worker lost the render and wakes after the deletion: what it puts there is deleted at its own time."""
    mine = a_render(status=Status.CANCELED.value, finished_at=text("now()"))
    key = f"{the(mine).owner_id}/{mine}/1/abc.mp4"
    transact(lambda session: purge.foretell(session, [key]))
    transact(lambda session: purge.purge(session, session.merge(the(mine))))
    assert purge.clear(storage) == 1
    storage.put_bytes(key, b"video")
    assert (purge.clear(storage), storage.exists(key)) == (0, True)
    a_day_later()
    assert (purge.clear(storage), storage.exists(key)) == (1, False)
    assert transact(lambda session: session.scalar(text("SELECT count(*) FROM doomed_files"))) == 0


def test_a_file_that_its_successor_stored_and_named_is_deleted_twice(storage: Storage):
    """The frozen worker's file has the same content, and so the same key, as the one that was named, and deleted."""
    mine, key = _stored(storage)
    transact(lambda session: purge.purge(session, session.merge(the(mine))))
    assert (purge.clear(storage), storage.exists(key)) == (1, False)
    storage.put_bytes(key, b"video")
    assert purge.clear(storage) == 0
    a_day_later()
    assert (purge.clear(storage), storage.exists(key)) == (1, False)


def test_an_old_file_is_deleted_once(storage: Storage):
    """Nobody stores for longer than a day."""
    mine, key = _stored(storage, finished_at=text("now() - interval '25 hours'"))
    transact(lambda session: purge.purge(session, session.merge(the(mine))))
    assert (purge.clear(storage), storage.exists(key)) == (1, False)
    assert transact(lambda session: session.scalar(text("SELECT count(*) FROM doomed_files"))) == 0


def _stored(storage: Storage, **columns: Any) -> tuple[str, str]:
    """A render that succeeded, and its file's key."""
    mine = a_render(**{"status": Status.SUCCEEDED.value, "finished_at": text("now()")} | columns)
    key = f"{the(mine).owner_id}/{mine}/1/abc.mp4"
    storage.put_bytes(key, b"video")
    result = {"render_id": mine, "run": 1, "owner_id": the(mine).owner_id, "storage_key": key, "bytes": 5}
    result |= {"sha256": "0" * 64, "duration_seconds": 2.0, "width": 64, "height": 64}
    result |= {"video_codec": "h264", "pixel_format": "yuv420p"}
    transact(lambda session: session.execute(insert(Result).values(**result)))
    return mine, key


def test_a_deletion_done_twice_leaves_the_second_one_to_its_time(storage: Storage):
    """The answer to a commit was lost, or two delete at once: the file is deleted again a day later all the same."""
    mine = a_render(status=Status.CANCELED.value, finished_at=text("now()"))
    key = f"{the(mine).owner_id}/{mine}/1/abc.mp4"
    transact(lambda session: purge.foretell(session, [key]))
    transact(lambda session: purge.purge(session, session.merge(the(mine))))
    for _ in range(2):
        transact(lambda session: purge._gone(session, key))
    a_day_later()
    assert purge.clear(storage) == 1
