"""A kept draft of a session is exported once more, wherever the render it belongs to stands by then."""

import pytest
from sqlalchemy import func

from tests.sessions.rows import a_draft, a_message, a_place, a_session, a_turn, set_render, the_session
from tests.stages.driving import the
from worker.database import transact
from worker.owners.store import owner
from worker.renders import runs, store
from worker.renders.models import Render
from worker.renders.store import NewRender
from worker.sessions import order
from worker.sessions import store as sessions

pytestmark = pytest.mark.usefixtures("empty")

FAILED = {"status": "failed", "stage": "export", "error_code": "export.failed", "charge_state": "incurred"}
FAILED |= {"started_at": func.now(), "finished_at": func.now()}


def exported(session_id: str) -> Render:
    """The render of the message "export"."""

    def work(session):
        place = sessions.locked(session, owner(session, "default").id, session_id)
        source, draft = sessions.latest_draft(session, session_id)
        request = NewRender(prompt="export", language="en")
        return order.export(session, place, source, draft, request, render_id=store.new_id("rnd")).id

    return the(transact(work))


def test_a_paid_draft_is_exported_although_its_render_was_begun_anew_and_called_off():
    """The row of the render says no longer where its draft is; the session does."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **FAILED)
    a_message(first)
    a_draft(first)

    def again(session):
        runs.retry(session, store.locked(session, the(first).owner_id, first), force=True, api_key_id=None)

    transact(again)
    set_render(first, status="canceled", finished_at=func.now())
    assert the(first).account_id is None
    row, place = exported(session_id), the_session(session_id)
    assert place.account_id is not None
    assert (row.stage, row.account_id, row.remote_session_id) == ("export", place.account_id, place.remote_session_id)
