"""The circuit on a real database: it opens on calls that fail in a row, lets one probe, closes on an answer."""

import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from config.settings import Waits
from tests.emptying import empty_tables
from tests.renders.conftest import _empty, _settings, a_render, the  # noqa: F401 - fixtures, used by their names
from tests.stack import ROOT, until
from worker.database import ago, from_now, transact
from worker.remote import circuit
from worker.remote.circuit import Breaker, Circuit, HeldBack
from worker.remote.errors import Rejected, TryAgain
from worker.renders import leases, queue
from worker.renders.models import Export
from worker.renders.states import Stage

SECONDS = timedelta(seconds=5)


@pytest.fixture(autouse=True)
def _closed(_empty: None) -> None:  # noqa: F811 - the fixture of that name
    transact(lambda session: empty_tables(session, "circuits"))


def breaker(**waits: object) -> Breaker:
    """Another process's part."""
    return Breaker(Waits(**{"circuit_failures": 3, "circuit_seconds": SECONDS, **waits}))


def fail(one: Breaker, times: int = 1, call: str = "create_session") -> None:
    for _ in range(times):
        with pytest.raises(TryAgain), one.feel(call):
            raise TryAgain(call, "down", status=503)


def answer(one: Breaker) -> None:
    with one.feel("credits"):
        pass


def now() -> datetime:
    return transact(queue.now)


def row() -> Circuit | None:
    return transact(circuit.standing)


def enter(one: Breaker, **more: bool) -> bool:
    """Whether a call may be made now."""
    opened = row()
    try:
        one.enter(opened.open_until if opened else None, now(), **more)
    except HeldBack:
        return False
    return True


def due() -> None:
    """The pause is over."""
    transact(lambda session: session.execute(update(Circuit).values(open_until=ago(timedelta(seconds=1)))))


def test_calls_that_fail_in_a_row_open_it_for_all_processes():
    """Two are chance, three are not; from then on nobody calls, in no process."""
    mine, other = breaker(), breaker()
    fail(mine, 2)
    assert row() is None
    fail(mine)
    opened = row()
    assert opened is not None
    assert opened.open_until is not None
    assert timedelta(seconds=3) < opened.open_until - now() < timedelta(seconds=7)
    assert (enter(mine), enter(other)) == (False, False)
    assert mine.open_for() > timedelta(0)


def test_one_failing_endpoint_among_healthy_ones_never_opens_it():
    """An answer between, a refusal too, says that the backend is there."""
    one = breaker()
    for _ in range(20):
        fail(one, 2)
        with one.feel("credits"):
            pass
        fail(one, 2)
        with pytest.raises(Rejected), one.feel("export"):
            raise Rejected("export", "no")
    assert row() is None


@pytest.mark.parametrize("call", ["state", "poll_export", "open_fallback_download"])
def test_calls_about_one_session_or_export_leave_it_in_doubt(call: str):
    """However often they fail: it may be that one that is broken. A call that concerns none tells."""
    one = breaker()
    fail(one, 20, call)
    assert row() is None
    one.settle(lambda: answer(one))
    fail(one, 2, call)
    one.settle(lambda: pytest.fail("there is no doubt"))
    fail(one, 1, call)
    one.settle(lambda: fail(one, 1, "credits"))
    assert row() is not None


def test_of_a_batch_in_doubt_one_asks():
    """The others do not wait for the answer, and ask nothing themselves."""
    one = breaker()
    fail(one, 3, "poll_export")
    asked = []

    def ask() -> None:
        asked.append(1)
        one.settle(lambda: asked.append(2))

    one.settle(ask)
    assert asked == [1]


@pytest.mark.parametrize("answers", [True, False], ids=["answered", "failed"])
def test_a_probe_that_meets_one_broken_session_asks_before_it_tells(answers: bool):
    """The session's fault is not the backend's: an answer to the other call closes the circuit."""
    one = breaker()
    fail(one, 3)
    due()
    assert enter(one)
    fail(one, 1, "state")
    opened = row()
    assert opened is not None
    assert opened.failures == 1  # nothing is decided yet
    one.settle(lambda: answer(one) if answers else fail(one, 1, "credits"))
    opened = row()
    assert (opened is None) if answers else (opened is not None and opened.failures == 2)


def test_a_doubtful_probe_that_asks_nobody_has_failed():
    """Its work ended without a second opinion: the pause is doubled, as for any failed probe."""
    one = breaker()
    fail(one, 3)
    due()
    assert enter(one)
    fail(one, 1, "state")
    one.leave()
    opened = row()
    assert opened is not None
    assert (opened.failures, opened.pause_seconds, opened.probing_until) == (2, 10, None)


def test_a_late_failure_does_not_open_a_healed_circuit():
    """What was in flight at the opening fails after the closing: the count began anew, for who opened it too."""
    mine, other = breaker(circuit_seconds=0.5), breaker()
    fail(mine, 3)
    fail(mine, 5)  # those in flight
    due()
    assert enter(other)
    answer(other)
    until(lambda: not mine.open_for(), what="the end of the pause that it knows of")
    fail(mine, 2)
    assert row() is None


def test_of_many_that_may_probe_one_does():
    """Thirty threads of three processes' breakers at the same moment."""
    fail(breaker(), 3)
    due()
    breakers = [breaker() for _ in range(3)]
    gate, won = threading.Barrier(30), []

    def ask(one: Breaker) -> None:
        gate.wait()
        if enter(one):
            won.append(one)

    threads = [threading.Thread(target=ask, args=(breakers[n % 3],)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_of_processes_that_race_one_probes(database: str):
    """Real processes, started on one mark."""
    fail(breaker(), 3)
    due()
    program = (
        "import sys, time\nfrom worker.database import transact\nfrom worker.remote import circuit\n"
        "from datetime import timedelta\ntransact(circuit.standing)\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        "print(transact(lambda s: circuit.begin_probe(s, timedelta(seconds=30))) is not None)"
    )
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for one in racing:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    told = [one.communicate("go\n", timeout=30)[0].strip() for one in racing]
    assert sorted(told) == ["False", "False", "False", "True"]


def test_an_answer_to_the_probe_closes_it_and_wakes_who_waits():
    """Spread over a few seconds; who waits for something else, or is held, keeps its time."""
    wait = {"status": "waiting", "started_at": from_now(timedelta(0)), "ready_at": from_now(timedelta(hours=1))}
    mine = a_render(reason="backend", stage="session", **wait)
    other = a_render(reason="credits", stage="session", **wait)
    polled = a_render(reason="backend", stage="poll", export_id="e1", **wait)

    def export(session):
        kept = the(polled)
        session.add(Export(id="e1", owner_id=kept.owner_id, render_id=polled, run=1, answered_at=now()))

    transact(export)
    one = breaker(export_poll_seconds=60)
    fail(one, 3)
    due()
    assert enter(one)
    with one.feel("state"):
        pass
    assert (row(), one.open_for()) == (None, timedelta(0))
    assert the(mine).ready_at < now() + timedelta(seconds=5)
    assert the(other).ready_at > now() + timedelta(minutes=50)
    assert timedelta(seconds=50) < the(polled).ready_at - now() < timedelta(seconds=61)


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_longest():
    """5, 10, 20, 40, 60, 60 s, about; a single failure is enough while it is open."""
    one, pauses = breaker(), []
    fail(one, 3)
    for _ in range(6):
        opened = row()
        assert opened is not None
        pauses.append(opened.pause_seconds)
        due()
        assert enter(one)
        fail(one)
    assert pauses == [5, 10, 20, 40, 60, 60]
    opened = row()
    assert opened is not None
    assert opened.open_until is not None
    assert timedelta(seconds=45) < opened.open_until - now() < timedelta(seconds=75)


def test_a_probe_that_dies_is_survived():
    """Until its time is over nobody else probes; then the next does."""
    fail(breaker(), 3)
    due()
    assert enter(breaker())  # never heard of again
    assert not enter(breaker())
    transact(lambda session: session.execute(update(Circuit).values(probing_until=ago(timedelta(seconds=1)))))
    assert enter(breaker())


def test_a_probe_that_asked_nothing_is_given_back():
    """Its stage ended before any call: nothing is learned, the next probes at once."""
    fail(breaker(), 3)
    due()
    one = breaker()
    assert enter(one)
    one.leave()
    assert row() is not None
    assert enter(breaker())


def test_giving_back_leaves_anothers_probe_alone():
    """The time of the first was over when it came back, and somebody else is at it."""
    fail(breaker(), 3)
    due()
    first, second = breaker(), breaker()
    assert enter(first)
    transact(lambda session: session.execute(update(Circuit).values(probing_until=ago(timedelta(seconds=1)))))
    assert enter(second)
    first.leave()
    assert not enter(breaker())


def test_while_one_probes_the_others_wait_as_long_as_it_may_take():
    """Coming back every few seconds would only cost claims: the probe's answer wakes them."""
    render = a_render(stage="session", started_at=from_now(timedelta(0)))
    fail(breaker(), 3)
    due()
    assert enter(breaker())
    held = transact(lambda session: leases.claim(session, render, lease=0, stage=Stage.SESSION, worker="io-1"))
    assert held is not None
    with pytest.raises(HeldBack) as told:
        breaker().enter(held.circuit_open_until, held.at)
    assert told.value.wait > timedelta(seconds=60)


def test_who_must_not_hang_does_not_probe():
    """A cancellation asks nothing of a backend that may not answer."""
    fail(breaker(), 3)
    due()
    assert not enter(breaker(), may_probe=False)
    assert enter(breaker())


def test_what_fails_beside_the_probe_is_not_the_probes_verdict():
    """A call that was in flight at the opening fails late: the probe's answer counts all the same."""
    one = breaker()
    fail(one, 3)
    due()
    assert enter(one)
    late = threading.Thread(target=fail, args=(one,))
    late.start()
    late.join()
    with one.feel("state"):
        pass
    assert row() is None


def test_the_dispatcher_starts_nothing_but_a_probe():
    """Closed: no limit; open: none; due: one; while that one probes: none."""

    def probes() -> int | None:
        return transact(circuit.probes_due)

    assert probes() is None
    fail(breaker(), 3)
    assert probes() == 0
    due()
    assert probes() == 1
    assert enter(breaker())
    assert probes() == 0


def test_a_pause_ends_by_the_databases_clock():
    """With a pause of half a second, somebody probes within two."""
    one = breaker(circuit_seconds=0.5)
    fail(one, 3)
    began = time.monotonic()
    until(lambda: enter(one), 5, what="the probe")
    assert time.monotonic() - began > 0.3
