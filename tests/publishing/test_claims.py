"""A claim ends in time, and a publication that no worker comes back from ends as well."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.addresses.servers import dripping, serving
from tests.publishing.conftest import a_publisher, asked, at_address, change, events_of, owner_id, the
from tests.publishing.receiver_standin import SECRET, Receiver
from tests.stack import here
from worker.database import transact
from worker.publishing import claims, driving, due, outcomes, publications
from worker.publishing.claims import LeaseLost
from worker.publishing.driving import Tools
from worker.publishing.errors import GivenUp

Make = Callable[..., str]

LONG_AGO = timedelta(minutes=5)


def _due() -> set[str]:
    return {one.id for one in transact(due.due)}


def _lapses(publication: str) -> None:
    """A worker claims it and is never heard of again."""
    held = transact(lambda session: claims.claim(session, publication, lease=the(publication).lease))
    assert held is not None
    change(publication, lease_until=func.now() - LONG_AGO, sent_at=func.now() - LONG_AGO)


def test_a_receiver_that_drips_its_answer_holds_a_worker_no_longer_than_a_claim(tools: Tools, render: Make):
    """The call is over before another worker may send the same, and is a fault like any other."""
    with serving() as server, here({"VIVIDEO_PUBLISH_LEASE_SECONDS": "2"}):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        server.answers["/videos"] = dripping(server, head, 0.1)
        publication = asked(a_publisher("http", {"url": server.url("/videos")}, {"secret": SECRET}), render())
        began = time.monotonic()
        driving.drive(publication, 0, tools)
        took = time.monotonic() - began
    row = the(publication)
    assert (row.state, row.tries, row.lease, row.error_code) == ("pending", 1, 1, "publish.unavailable")
    assert 1 < took < 3


def test_a_claim_that_ended_by_itself_was_a_fault(receiver: Receiver, render: Make):
    """It counts, and the time that faults are borne with begins."""
    publication = asked(at_address(receiver), render())
    _lapses(publication)
    assert (the(publication).tries, the(publication).failing_since) == (0, None)
    _lapses(publication)
    assert the(publication).tries == 1
    assert the(publication).failing_since is not None


def test_who_ends_workers_is_tried_again_after_growing_pauses(receiver: Receiver, render: Make):
    """At once the first time, as after a restart."""
    publication = asked(at_address(receiver), render())
    _lapses(publication)
    assert _due() == {publication}
    with here({"VIVIDEO_RETRY_FIRST_SECONDS": "60"}):
        _lapses(publication)
        assert _due() == set()
        pause = the(publication).ready_at - transact(lambda session: session.scalars(select(func.now())).one())
        assert timedelta(seconds=110) < pause <= timedelta(seconds=120)


def test_who_ends_workers_for_three_days_is_given_up(receiver: Receiver, tools: Tools, render: Make):
    """And what only failed as long is tried: somebody did come back from it."""
    made = render()
    lost, failing = (asked(at_address(receiver), made, ref=ref) for ref in ("lamp", "chair"))
    _lapses(lost)
    for one in (lost, failing):
        change(one, failing_since=func.now() - timedelta(days=3, seconds=1))
        driving.drive(one, the(one).lease, tools)
    assert (the(lost).state, the(lost).error_code) == ("failed", "publish.internal")
    assert the(failing).state == "published"
    assert "render.publish_failed" in [name for name, _ in events_of(made)]


def test_who_gave_up_writes_nothing_after_a_retry(receiver: Receiver, render: Make):
    """Its end was committed, the answer was lost: the same once more is not the retried one's."""
    publication = asked(at_address(receiver), render())
    held = transact(lambda session: claims.claim(session, publication, lease=0))
    assert held is not None

    def end(session: Any) -> None:
        outcomes.end(session, held, GivenUp("publish.rejected"))

    transact(end)
    transact(lambda session: publications.retry(session, owner_id(), publication))
    with pytest.raises(LeaseLost):
        transact(end)
    assert the(publication).state == "pending"
