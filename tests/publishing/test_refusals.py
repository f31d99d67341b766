"""Refused credentials hold a publisher's publications until somebody looks at them; none fails for it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, text

from tests.publishing.conftest import (
    asked,
    at_address,
    at_shopify,
    change,
    change_publisher,
    events_of,
    io_worker,
    published,
    settled,
    the,
    the_publisher,
)
from tests.publishing.receiver_standin import SECRET, Receiver
from tests.publishing.shopify_standin import Shopify
from tests.publishing.standin import Reply
from worker.database import transact
from worker.publishing import claims, driving, due, outcomes
from worker.publishing.driving import Tools
from worker.publishing.settings import HttpCredentials

Make = Callable[..., str]

CREDENTIALS = HttpCredentials.model_validate({"secret": SECRET})
"""Encrypted anew they are others."""


def _due() -> set[str]:
    return {one.id for one in transact(due.due)}


def test_one_refusal_holds_the_others(receiver: Receiver, tools: Tools, render: Make):
    """For an hour, when one is tried; new credentials let all of them go on at once."""
    publisher, made = at_address(receiver), render()
    receiver.fails("POST", Reply(401), before=True, times=2)
    first, second = (asked(publisher, made, ref=ref) for ref in ("lamp", "chair"))
    driving.drive(first, 0, tools)
    with io_worker(capacity=100):
        assert _due() == set()
        assert transact(lambda session: claims.claim(session, second, lease=0)) is None
        assert the_publisher(publisher).error_code == "publish.refused"
        past = text("UPDATE publishers SET quiet_until = now()")
        transact(lambda session: session.execute(past))
        [probe] = _due()
        driving.drive(probe, the(probe).lease, tools)
        assert _due() == set()
        assert {the(one).state for one in (first, second)} == {"pending"}
        change_publisher(publisher, credentials=CREDENTIALS)
        assert (the(first).tries, the(first).failing_since, the_publisher(publisher).quiet_until) == (0, None, None)
        settled(tools)
    assert published(first)
    assert published(second)
    assert "render.publish_failed" not in [name for name, _ in events_of(made)]


def test_a_refusal_of_earlier_credentials_holds_nothing(receiver: Receiver, tools: Tools, render: Make):
    """They were replaced while its call was under way."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())

    def replaced(request: Any) -> Reply:
        receiver.answer = answer
        assert request.method == "POST"
        change_publisher(publisher, credentials=CREDENTIALS)
        return Reply(401)

    answer, receiver.answer = receiver.answer, replaced
    driving.drive(publication, 0, tools)
    row = the_publisher(publisher)
    assert (row.quiet_until, row.failing_since, row.error_code) == (None, None, None)
    assert _due() == {publication}
    driving.drive(publication, the(publication).lease, tools)
    published(publication)


def test_who_is_refused_while_others_go_through_fails_alone(receiver: Receiver, tools: Tools, render: Make):
    """A right is missing for its product."""
    publisher, made = at_address(receiver), render()
    receiver.fails("POST", Reply(403), before=True, times=2)
    alone, other = (asked(publisher, made, ref=ref) for ref in ("lamp", "chair"))
    driving.drive(alone, 0, tools)
    receiver.faults.clear()
    transact(lambda session: session.execute(text("UPDATE publishers SET quiet_until = now()")))
    driving.drive(other, 0, tools)
    published(other)
    receiver.fails("POST", Reply(403), before=True)
    driving.drive(alone, the(alone).lease, tools)
    assert (the(alone).state, the(alone).error_code) == ("failed", "publish.refused")
    assert the_publisher(publisher).quiet_until is None


def test_refused_for_three_days_is_given_up(receiver: Receiver, tools: Tools, render: Make):
    """The one that was tried all the time; the next one's three days begin with it."""
    publisher = at_address(receiver)
    receiver.fails("POST", Reply(401), before=True)
    publication = asked(publisher, render())
    long_ago = func.now() - timedelta(days=3, seconds=1)
    change(publication, step="send", failing_since=long_ago, refused_at=long_ago)
    driving.drive(publication, 0, tools)
    assert (the(publication).state, the(publication).error_code) == ("failed", "publish.refused")


def test_a_fault_of_before_is_no_refusal(receiver: Receiver, tools: Tools, render: Make):
    """The shop was down, came back for the others, then the token expired: what had waited is held like all others,
    and tried alone once others have gone through since."""
    publisher, made = at_address(receiver), render()
    waiting, other, third = (asked(publisher, made, ref=ref) for ref in ("lamp", "chair", "table"))
    receiver.fails("POST", Reply(503), before=True)
    driving.drive(waiting, 0, tools)
    driving.drive(other, 0, tools)
    published(other)
    for status in (401, 503, 401):  # a fault in between says nothing of it
        receiver.fails("POST", Reply(status), before=True)
        _loud(publisher)
        driving.drive(waiting, the(waiting).lease, tools)
        assert (the(waiting).state, the_publisher(publisher).quiet_until is None) == ("pending", status == 503)
    _loud(publisher)
    driving.drive(third, 0, tools)
    published(third)
    receiver.fails("POST", Reply(401), before=True)
    driving.drive(waiting, the(waiting).lease, tools)
    assert the(waiting).state == "failed"


def test_a_refusal_after_three_days_of_other_faults_is_the_first(receiver: Receiver, tools: Tools, render: Make):
    """Its own three days begin with it."""
    publisher = at_address(receiver)
    receiver.fails("POST", Reply(401), before=True)
    publication = asked(publisher, render())
    change(publication, step="send", tries=70, failing_since=func.now() - timedelta(days=3, seconds=1))
    driving.drive(publication, 0, tools)
    assert (the(publication).state, the(publication).error_code) == ("pending", "publish.refused")


def test_what_passes_has_its_whole_time_after_a_refusal(receiver: Receiver, tools: Tools, render: Make):
    """For days nobody was let in; then the first answer is a 503."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    long_ago = func.now() - timedelta(days=4)
    change(publication, step="send", failing_since=long_ago)
    for status in (401, 503):
        receiver.fails("POST", Reply(status), before=True)
        _loud(publisher)
        change(publication, ready_at=func.now())
        driving.drive(publication, the(publication).lease, tools)
        assert the(publication).state == "pending"
    change(publication, failing_since=func.now() - timedelta(days=3, seconds=1), ready_at=func.now())
    receiver.fails("POST", Reply(503), before=True)
    driving.drive(publication, the(publication).lease, tools)
    assert the(publication).state == "failed"


def test_what_began_before_a_refusal_proves_nothing_against_it(receiver: Receiver, tools: Tools, render: Make):
    """The token ends while another's last answer is being written: the publisher stays held, the refused one waits."""
    publisher, made = at_address(receiver), render()
    refused, other = (asked(publisher, made, ref=ref) for ref in ("lamp", "chair"))
    held = transact(lambda session: claims.claim(session, other, lease=0))
    assert held is not None
    receiver.fails("POST", Reply(401), before=True, times=2)
    driving.drive(refused, 0, tools)
    transact(lambda session: outcomes.published(session, held, {}, ()))
    row = the_publisher(publisher)
    assert row.quiet_until is not None
    assert row.error_code == "publish.refused"
    _loud(publisher)
    driving.drive(refused, the(refused).lease, tools)
    assert the(refused).state == "pending"


def test_who_got_on_since_its_refusal_was_not_refused_twice(shopify: Shopify, tools: Tools, render: Make):
    """It was let in, went on, and was refused at a later call: that is the first time."""
    shopify.has(7, "lamp")
    publisher = at_shopify(shopify)
    refused, other = (asked(publisher, render(), ref=ref, handle="lamp") for ref in ("lamp", "chair"))
    shopify.lacks.add("read_products")
    driving.drive(refused, 0, tools)
    shopify.lacks.clear()
    _loud(publisher)
    driving.drive(other, 0, tools)
    driving.drive(other, the(other).lease, tools)
    published(other)
    shopify.lacks.add("write_products")
    driving.drive(refused, the(refused).lease, tools)
    assert (the(refused).state, the(refused).error_code) == ("pending", "publish.refused")


def test_a_hold_is_twice_as_long_each_time(receiver: Receiver, tools: Tools, render: Make):
    """From a quarter of a minute to an hour: a right that is missing for one product alone costs the others little."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    since = text(
        "UPDATE publishers SET failing_since = now() - CAST(:borne AS interval), error_code = :code,"
        " quiet_until = now()"
    )
    refused, other = "publish.refused", "publish.no_product"
    steps = ((None, None, 15), (3600, other, 15), (64, refused, 64), (3 * 3600, refused, 3600))
    for borne, code, hold in steps:
        given = {"borne": borne and timedelta(seconds=borne), "code": code}
        transact(lambda session, given=given: session.execute(since, given))
        receiver.fails("POST", Reply(401), before=True)
        driving.drive(publication, the(publication).lease, tools)
        row = the_publisher(publisher)
        assert row.quiet_until is not None
        assert (row.quiet_until - the(publication).ready_at).total_seconds() == pytest.approx(hold, rel=0.2)


def test_a_worker_that_died_was_no_refusal(receiver: Receiver, tools: Tools, render: Make):
    """A claim that ended by itself is a fault, but none of the credentials."""
    publisher, made = at_address(receiver), render()
    died, other = (asked(publisher, made, ref=ref) for ref in ("lamp", "chair"))
    transact(lambda session: claims.claim(session, died, lease=0))
    change(died, lease_until=func.now() - timedelta(minutes=5), failing_since=func.now() - timedelta(minutes=5))
    driving.drive(other, 0, tools)
    receiver.fails("POST", Reply(401), before=True)
    driving.drive(died, the(died).lease, tools)
    assert (the(died).state, the(died).error_code) == ("pending", "publish.refused")
    assert the_publisher(publisher).quiet_until is not None
    change_publisher(publisher, credentials=CREDENTIALS)
    assert the(died).refused_at is None


def _loud(publisher: str) -> None:
    """Its hour is over."""
    past = text("UPDATE publishers SET quiet_until = NULL WHERE id = :id")
    transact(lambda session: session.execute(past, {"id": publisher}))


@pytest.mark.parametrize("closed", ["quiet_until = now() + interval '1 hour'", "disabled_at = now()"])
def test_what_was_sent_to_a_publisher_that_is_closed_since_gives_its_place_back(
    receiver: Receiver, tools: Tools, render: Make, closed: str
):
    """It would count as in flight until it is taken for lost, also once the publisher is open again."""
    publisher, made = at_address(receiver), render()
    ids = {asked(publisher, made, ref=ref) for ref in ("lamp", "chair")}
    with io_worker(capacity=100):
        assert _due() == ids
        shut = text(f"UPDATE publishers SET {closed}")  # noqa: S608 - own words
        transact(lambda session: session.execute(shut))
        for one in ids:
            driving.drive(one, 0, tools)
        assert _due() == set()
        change_publisher(publisher, credentials=CREDENTIALS, enabled=True)
        assert _due() == ids


def test_a_place_is_not_given_back_by_a_message_that_came_twice(receiver: Receiver, render: Make):
    """Somebody works on it."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    _due()
    assert transact(lambda session: claims.claim(session, publication, lease=0)) is not None
    transact(lambda session: session.execute(text("UPDATE publishers SET disabled_at = now()")))
    for lease in (0, 1):
        assert transact(lambda session, lease=lease: claims.claim(session, publication, lease=lease)) is None
    assert the(publication).sent_at is not None
