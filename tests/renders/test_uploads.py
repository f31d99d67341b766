"""Files that were given, and what becomes of them where nobody seems to use them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from tests.renders.conftest import a_render
from worker.database import ago, new_id, transact
from worker.owners.store import owner
from worker.renders import uploads
from worker.renders.models import Upload, UploadUse
from worker.sessions.models import EditingSession


def an_old_upload() -> str:
    """One that says of itself that nobody used it in its time."""

    def work(session: Any) -> str:
        id = new_id("upl")
        row = {"id": id, "owner_id": owner(session, "default").id, "storage_key": "k", "name": "a.png"}
        facts = {"sha256": "0" * 64, "media_type": "image/png", "bytes": 1}
        session.execute(insert(Upload).values(created_at=ago(uploads.KEPT + timedelta(minutes=1)), **row, **facts))
        return id

    return transact(work)


def by_a_render(session: Any, upload: str) -> None:
    session.execute(insert(UploadUse).values(upload_id=upload, render_id=session.info["render"]))


def by_a_session(session: Any, upload: str) -> None:
    mine = {"id": new_id("edt"), "owner_id": owner(session, "default").id, "language": "en"}
    session.add(EditingSession(pending=[{"upload": upload}], **mine))


def test_what_nobody_used_in_its_time_goes():
    """Its row, and its file after the commit."""
    gone = an_old_upload()
    transact(lambda session: uploads.expire(session, gone))
    assert transact(lambda session: session.get(Upload, gone)) is None


@pytest.mark.parametrize("used", [by_a_render, by_a_session])
def test_what_is_used_stays_whatever_its_mark_says(used: Any):
    """Who gave it up took the mark off while another was just taking it: the use counts, and is marked again."""
    kept, render = an_old_upload(), a_render()

    def work(session: Any) -> None:
        session.info["render"] = render
        used(session, kept)

    transact(work)
    transact(lambda session: uploads.expire(session, kept))
    assert transact(lambda session: session.get_one(Upload, kept)).used_at is not None
