"""Tokens end, accounts are held: renders wait and go on."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select

from tests.journeys.conftest import Journey
from tests.stack import Stack, WarmStack, here, until
from worker.accounts import registry
from worker.accounts.models import Account
from worker.database import transact

PATIENT = {
    "VIVIDEO_STREAM_SILENCE_SECONDS": "60",
    "VIVIDEO_STREAM_MAX_SECONDS": "60",
    "VIVIDEO_CREDITS_SECONDS": "2",
    "VIVIDEO_RATE_LIMIT_SECONDS": "2",
}
"""Streams of a hundred renders open at once, and pauses that are seen, also on a busy machine."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    """As the journeys' own, more patient and with twice the streams."""
    folder = tmp_path_factory.mktemp("stack")
    with WarmStack(folder, database, broker_url, **PATIENT) as running, here(running.environment):
        running.start_all()
        running.start_worker("stream", 60, "stream2")
        yield running


def ended_well(journeys: list[Journey]) -> None:
    for journey in journeys:
        row = journey.end()
        assert row.status == "succeeded", (row.error_message, journey.types())


def counted(stack: Stack, what: str) -> int:
    """`tokens`: token calls that the backend answered; `streams`: those open now."""
    return httpx.get(f"{stack.sandbox}/_sandbox/ledger/summary").json()[what]


def expire(stack: Stack, *, registered: bool = False) -> None:
    httpx.post(f"{stack.sandbox}/_sandbox/expire-tokens", json={"registered": registered}).raise_for_status()


@pytest.mark.chaos
def test_a_hundred_renders_that_meet_1001_together_renew_the_token_once(stack: Stack):
    """All in their streams when every token ends: one token call more, each message once, all succeed."""
    prompt = "A 2 second clip, renewal number {}. [[sandbox: stream seconds=20]]"
    journeys = [Journey(stack, prompt.format(one)) for one in range(100)]
    until(lambda: counted(stack, "streams") >= 100, 60, what="a hundred streams")
    before = counted(stack, "tokens")
    expire(stack)
    for journey in journeys:
        row = journey.end(120)
        assert row.status == "succeeded", (row.error_message, journey.types())
    assert counted(stack, "tokens") == before + 1
    sent = [one["text"].partition("[[")[0].strip() for one in stack.ledger()["messages"]]
    assert all(sent.count(journey.words) == 1 for journey in journeys)


def test_a_held_account_sends_nothing_and_what_is_past_its_message_goes_on(stack: Stack):
    """One in its stream ends well meanwhile; one before its message waits (paused), and goes on once it is resumed."""
    streaming = Journey(stack, "A 2 second clip, held while it streams. [[sandbox: stream seconds=3]]")
    until(streaming.messages, what="its message")
    stack.rule(on="session", do="delay", seconds=1.5)
    before = Journey(stack, "A 2 second clip, held before its message.")
    until(lambda: before.row.account_id, what="admission")
    account = before.row.account_id
    transact(lambda session: registry.hold(session, session.get_one(Account, account)))
    row = until(lambda: (row := before.row).status == "waiting" and row, what="the wait")
    assert row.reason == "paused"
    ended_well([streaming])
    assert before.messages() == []
    assert transact(lambda session: registry.resume(session, session.get_one(Account, account))) == 1
    ended_well([before])


def test_a_refused_registered_token_is_waited_for_until_it_is_replaced(stack: Stack):
    """Added while the trial was in use, it takes the new renders; refused, they wait (token); with another token in its
    place they go on by themselves."""
    account = transact(
        lambda session: registry.add(session, "nmv_sandbox_first", name="shop", owner_id=None, slots=None).id
    )
    ended_well([first := Journey(stack, "A 2 second clip, by the registered account.")])
    assert first.row.account_id == account
    expire(stack, registered=True)
    refused = Journey(stack, "A 2 second clip, whose token is refused.")
    row = until(lambda: (row := refused.row).status == "waiting" and row, what="the wait")
    assert row.reason == "token"

    def put(session):
        registry.replace(session, session.scalars(select(Account).where(Account.id == account)).one(), "nmv_sandbox_2")

    transact(put)
    ended_well([refused])
    assert (refused.row.account_id, len(refused.messages())) == (account, 1)
