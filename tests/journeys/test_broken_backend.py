"""A backend that answers nothing but 5xx for a while: it is left alone, renders wait, and go on once it heals."""

import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from tests.journeys.conftest import Journey
from tests.stack import Stack, WarmStack, here, until
from worker.database import transact
from worker.remote import circuit
from worker.renders import store

pytestmark = pytest.mark.chaos

POINTS = ("token", "session", "upload", "state", "message", "export", "poll", "credits", "claim", "fallback")
MANY = 100_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    """A circuit that probes every few seconds; a stage gives up after ten seconds of faults: waiting must not count."""
    waits = {
        "VIVIDEO_CIRCUIT_SECONDS": "1",
        "VIVIDEO_RETRY_LONGEST_SECONDS": "4",
        "VIVIDEO_RETRY_FOR_SECONDS": "10",
    }
    with (
        WarmStack(tmp_path_factory.mktemp("stack"), database, broker_url, **waits) as running,
        here(running.environment),
    ):
        running.start_all()
        yield running


def break_it(stack: Stack) -> None:
    """Everything answers 503, until `heal`."""
    rules = [{"on": point, "do": "http_status", "status": 503, "times": MANY} for point in POINTS]
    httpx.post(f"{stack.sandbox}/_sandbox/rules", json=rules).raise_for_status()


def heal(stack: Stack) -> None:
    httpx.delete(f"{stack.sandbox}/_sandbox/rules").raise_for_status()


def refused_calls(stack: Stack) -> int:
    """Calls that the broken backend received since it broke, by how often its rules were used."""
    rules = httpx.get(f"{stack.sandbox}/_sandbox/rules").json()
    return sum(MANY - rule["times"] for rule in rules)


def open_since() -> object:
    opened = transact(circuit.standing)
    return opened and opened.opened_at


def all_wait(journeys: list[Journey]) -> bool:
    rows = transact(lambda s: s.execute(text("SELECT status, reason FROM renders WHERE finished_at IS NULL")).all())
    return len(rows) == len(journeys) and all(row == ("waiting", "backend") for row in rows)


def test_a_broken_backend_is_left_alone_and_nothing_fails(stack: Stack):
    """Fifty renders before their message: all wait for the backend, which hears of a handful of probes in twelve
    seconds, longer than a stage goes on failing; then all succeed, each message once."""
    break_it(stack)
    journeys = [Journey(stack, f"A 2 second clip, broken number {one}.") for one in range(50)]
    until(open_since, what="the circuit's opening")
    until(lambda: all_wait(journeys), what="fifty renders that wait")
    before, began = refused_calls(stack), time.monotonic()
    until(lambda: time.monotonic() - began > 12, 13, what="twelve seconds")
    probes = refused_calls(stack) - before
    assert 1 <= probes <= 8, probes  # pauses of 1, 2, 4, 4 … seconds
    assert open_since()
    heal(stack)
    for journey in journeys:
        row = journey.end(90)
        assert row.status == "succeeded", (row.error_message, journey.types())
        assert (len(journey.messages()), journey.executed()) == (1, 1)
    assert open_since() is None


def test_it_breaks_while_exports_are_polled(stack: Stack):
    """Polls are held back too, as are the look-ups of streams that end meanwhile; no message goes twice."""
    stack.rule(on="export", do="export_slow", times=10, seconds=1.5)
    journeys = [Journey(stack, f"A 2 second clip, polled number {one}.") for one in range(10)]
    until(lambda: any(journey.row.stage == "poll" for journey in journeys), what="a poll")
    break_it(stack)
    until(open_since, what="the circuit's opening")
    until(lambda: all_wait(journeys), what="renders that wait")
    heal(stack)
    for journey in journeys:
        row = journey.end(90)
        assert row.status == "succeeded", (row.error_message, journey.types())
        assert (len(journey.messages()), journey.executed()) == (1, 1)
    assert stack.ledger()["violations"] == []


def test_a_cancellation_does_not_wait_for_a_broken_backend(stack: Stack):
    """It ends within seconds, while the circuit is open, and says what is known."""
    break_it(stack)
    journeys = [Journey(stack, f"A 2 second clip, cancelled number {one}.") for one in range(6)]
    until(lambda: open_since() and all_wait(journeys), what="renders that wait")
    began = time.monotonic()
    transact(lambda session: store.cancel(session, journeys[0].row.owner_id, journeys[0].id))
    row = journeys[0].end(10)
    assert (row.status, row.cancel_effect) == ("canceled", "prevented")
    assert time.monotonic() - began < 5
    assert open_since()
    heal(stack)
    for journey in journeys[1:]:
        assert journey.end(90).status == "succeeded"
