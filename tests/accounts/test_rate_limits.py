"""429: the account is paused, once for calls in flight together, and longer where it comes again soon after."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.accounts.conftest import accounts, install, now
from worker.accounts import pauses
from worker.accounts.models import Account
from worker.database import ago, transact

FIRST = timedelta(seconds=30)


@pytest.fixture
def account() -> Account:
    install(NEMO_TOKEN="nmv_usr_limits")
    return accounts()[0]


def refused(account: Account, first: timedelta = FIRST, *, begun: timedelta = timedelta(0)) -> float:
    """A 429 to a work begun so long ago: seconds that the account stands still from now on."""
    asked_at = now() - begun
    stands = transact(lambda session: pauses.rate_limited(session, account.id, first, asked_at=asked_at))
    return round(stands.total_seconds())


def over(account: Account, since: timedelta) -> None:
    """The pause ended so long ago."""
    transact(lambda session: session.execute(update(Account).values(paused_until=ago(since))))


def test_calls_in_flight_together_count_once(account: Account):
    """Twenty 429 at the same moment: one pause of 30 s, of which all hear."""
    gate, heard = threading.Barrier(20), []

    def ask() -> None:
        gate.wait()
        heard.append(refused(account))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(heard) == {30}
    assert accounts()[0].pause_seconds == 30


def test_one_that_was_begun_before_the_pause_does_not_lengthen_it(account: Account):
    """Its answer took longer than the pause; it had not heard of it."""
    refused(account)
    over(account, timedelta(seconds=1))
    assert refused(account, begun=timedelta(seconds=60)) == 30


def test_soon_after_a_pause_the_next_is_twice_as_long_up_to_ten_minutes(account: Account):
    """30, 60, 120 … 600 s."""
    lengths = []
    for _ in range(8):
        lengths.append(refused(account))
        over(account, timedelta(seconds=1))
    assert lengths == [30, 60, 120, 240, 480, 600, 600, 600]


@pytest.mark.parametrize(("later", "length"), [(29, 60), (31, 30)])
def test_soon_is_within_the_last_pauses_length(account: Account, later: int, length: int):
    """Both sides of it."""
    refused(account)
    over(account, timedelta(seconds=later))
    assert refused(account) == length


def test_what_the_backend_asks_for_outranks_the_setting(account: Account):
    """A longer Retry-After prolongs a pause that stands, above ten minutes too; a shorter one does not end it."""
    assert refused(account, timedelta(seconds=5)) == 5
    assert refused(account, timedelta(seconds=900)) == 900
    assert refused(account, timedelta(seconds=5)) == 900


def test_a_pause_for_credits_before_does_not_lengthen(account: Account):
    """Only a rate limit's own pause counts towards the next."""
    from worker.renders.states import Reason

    transact(lambda session: pauses.pause(session, account.id, Reason.CREDITS, timedelta(seconds=60)))
    over(account, timedelta(seconds=1))
    assert refused(account) == 30
