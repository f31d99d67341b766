"""What a call to a shop that did not end well means."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from tests.publishing.conftest import asked, at_address, at_shopify, change, published, settled, the, the_publisher
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import Shopify
from worker.addresses.errors import Busy
from worker.addresses.fetch import Guarded
from worker.database import transact
from worker.publishing import driving
from worker.publishing.driving import Tools
from worker.publishing.errors import PublishError
from worker.publishing.models import Publication

Make = Callable[..., str]


class _Crowded(Guarded):
    """No place for any look-up."""

    def open(self, *given: Any, **more: Any) -> Any:
        raise Busy(host="shop.example")


@pytest.fixture
def crowded(tools: Tools) -> Tools:
    return Tools(tools.storage, _Crowded())


def _facts(publication: str, publisher: str) -> list[Any]:
    row, place = the(publication), the_publisher(publisher)
    return [row.state, row.step, row.remote, row.tries, row.failing_since, place.failing_since, place.error_code]


def test_no_place_for_a_look_up_is_nobodys_fault(receiver: Receiver, tools: Tools, crowded: Tools, render: Make):
    """Neither the publisher's nor the publication's, however often; it is tried again in some seconds."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    query = select(Publication.ready_at - text("now()")).where(Publication.id == publication)
    for _ in range(2):
        driving.drive(publication, the(publication).lease, crowded)
        assert _facts(publication, publisher) == ["pending", "send", {}, 0, None, None, None]
        assert timedelta(seconds=10) < transact(lambda session: session.scalars(query).one()) < timedelta(seconds=20)
        change(publication, ready_at=text("now()"))
    settled(tools)
    published(publication)


def test_a_shop_that_was_failing_still_is(receiver: Receiver, tools: Tools, crowded: Tools, render: Make):
    """Nothing was learned of it."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    receiver.fails("POST", None, before=True)
    driving.drive(publication, 0, tools)
    before = _facts(publication, publisher)
    driving.drive(publication, 1, crowded)
    assert (the(publication).lease, before[3]) == (2, 1)
    assert _facts(publication, publisher) == before


def test_what_is_done_after_a_video_is_there_waits_too(shopify: Shopify, tools: Tools, crowded: Tools, render: Make):
    """It is no refusal that would be remarked."""
    shopify.has(7, "lamp")
    publisher = at_shopify(shopify)
    publication = asked(publisher, render(), handle="lamp")
    settled(tools)
    change(publication, state="pending", finished_at=None, step="tidy", tries=99)
    driving.drive(publication, the(publication).lease, crowded)
    assert (the(publication).state, the(publication).step) == ("pending", "tidy")


def test_a_check_says_that_it_is_no_fault_of_the_shop(receiver: Receiver, crowded: Tools):
    """With a code of its own."""
    with pytest.raises(PublishError) as told:
        driving.check(the_publisher(at_address(receiver)), crowded)
    assert told.value.code == "publish.busy"
