"""Check the checker: each promise is broken on purpose in one process, and the right invariant says so.

One stack for all: for each fault the process that makes it is exchanged for a planted one, and the scenario is also
run without the plant, where every invariant holds.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import redis

from tests.chaos import gathering
from tests.chaos.invariants import check
from tests.chaos.planting import FAULTS
from tests.journeys.conftest import Journey
from tests.stack import Stack, WarmStack, here, until

pytestmark = pytest.mark.chaos

START_SECONDS = 120
"""Five Python programs on two cores that run other tests at the same time."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    quick = {"VIVIDEO_LEASE_SECONDS": "2", "VIVIDEO_REDISPATCH_SECONDS": "1", "VIVIDEO_STREAM_MAX_SECONDS": "6"}
    with WarmStack(tmp_path_factory.mktemp("s"), database, broker_url, **quick) as running, here(running.environment):
        running.start_all()
        Journey(running, "A 2 second clip, first of all.").end(START_SECONDS)
        yield running


def start(stack: Stack, name: str, *before: str) -> None:
    """A process of the stack, as it is or (with words before) planted."""
    if name == "dispatcher":
        stack.start(name, *before, "-m", "worker.dispatch")
        return
    places = {"stream": 60, "io": 30, "media": 2}[name]
    stack.start_worker(name, places, before=before)


@contextmanager
def planted(stack: Stack, name: str, fault: str | None) -> Iterator[None]:
    """With the fault in this process; a healthy one is back afterwards."""
    if fault is None:
        yield
        return
    stack.kill(name)
    start(stack, name, "-m", "tests.chaos.planting", fault)
    try:
        yield
    finally:
        stack.kill(name)
        start(stack, name)


def a_stream_is_cut(stack: Stack, words: str, redis_url: str) -> Journey:
    """The turn was done, its end was not seen."""
    stack.rule(do="cut_after", match=words)  # a rule, not a directive: that would come again with the message
    journey = Journey(stack, f"A 2 second clip, {words}.")
    journey.end(START_SECONDS)
    return journey


def a_worker_wakes_late(stack: Stack, words: str, redis_url: str) -> Journey:
    """Frozen with a stream in hand until another has taken over and is looking; then it writes what it has."""
    journey = Journey(stack, f"A 2 second clip, {words}. [[sandbox: stream seconds=1.5]]")
    until(journey.messages, what="its message")
    stream = stack.running["stream"]
    stream.send_signal(signal.SIGSTOP)
    try:
        until(journey.recoveries, what="the takeover")
    finally:
        stream.send_signal(signal.SIGCONT)
    journey.end(START_SECONDS)
    return journey


def the_broker_forgets(stack: Stack, words: str, redis_url: str) -> Journey:
    """Emptied while the message is in it, or in the socket of a worker that does not read; another render has come and
    gone in the meantime. Frozen, not killed: the dispatcher sends nothing to a place that is gone."""
    before = Journey(stack, f"A 2 second clip, before {words}.")
    until(lambda: before.row.started_at, what="the dispatcher's first look")
    stack.running["io"].send_signal(signal.SIGSTOP)
    try:
        journey = Journey(stack, f"A 2 second clip, {words}.")
        until(lambda: journey.row.sent_at is not None, what="its message to the broker")
        with redis.Redis.from_url(redis_url) as broker:
            broker.flushdb()
    finally:
        stack.kill("io")
        start(stack, "io")
    after = Journey(stack, f"A 2 second clip, after {words}.")

    def over() -> object:
        return journey.row.finished_at or (after.row.finished_at and journey.row.started_at is None)

    until(over, START_SECONDS, what="its end, or the other's")
    return journey


def it_is_done_late(stack: Stack, words: str, redis_url: str) -> Journey:
    """The stream breaks off, and the turn is done after the first read, well before the last one."""
    journey = Journey(stack, f"A 2 second clip, {words}. [[sandbox: cut_then_apply seconds=3.5]]")
    journey.end(START_SECONDS)
    until(lambda: stack.ledger()["summary"]["streams"] == 0, what="the turn's end")
    return journey


def half_a_file_comes(stack: Stack, words: str, redis_url: str) -> Journey:
    """With a length that says that this is all."""
    journey = Journey(stack, f"A 2 second clip, {words}. [[sandbox: download_short]]")
    journey.end(START_SECONDS)
    return journey


@dataclass(frozen=True)
class Scenario:
    """Where a fault is planted, what then happens, and which invariant has to notice."""

    fault: str
    process: str
    happen: Callable[[Stack, str, str], Journey]
    noticed: str


SCENARIOS = (
    Scenario("blind_resend", "stream", a_stream_is_cut, "once"),
    Scenario("no_fence", "stream", a_worker_wakes_late, "takeover"),
    Scenario("sent_once", "dispatcher", the_broker_forgets, "final"),
    Scenario("first_read", "io", it_is_done_late, "charge"),
    Scenario("no_probe", "media", half_a_file_comes, "file"),
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.fault)
@pytest.mark.parametrize("fault", [False, True], ids=["sound", "planted"])
def test_a_planted_fault_is_noticed(stack: Stack, redis_url: str, scenario: Scenario, fault: bool):
    """With the fault the right invariant is broken; without it the same scenario breaks none."""
    words = f"{scenario.fault} {'planted' if fault else 'sound'}"
    with planted(stack, scenario.process, scenario.fault if fault else None):
        journey = scenario.happen(stack, words, redis_url)
        found = check(gathering.books(stack, only=[journey.id]))
    if fault:
        assert scenario.noticed in {one.invariant for one in found}, [str(one) for one in found]
    else:
        assert [str(one) for one in found] == []


def test_every_fault_has_a_scenario():
    """None is there without being shown to be noticed."""
    assert {one.fault for one in SCENARIOS} == set(FAULTS)
