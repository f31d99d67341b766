"""Workers of this machine whose process is gone are found at once, not after a lease."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.renders.conftest import a_render, a_worker, claimed, the
from worker import machine
from worker.database import ago, transact
from worker.renders import takeover
from worker.renders.models import Recovery, Render, Worker


def a_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_a_process_is_there_until_it_has_ended():
    """Running: there. Killed and not yet reaped, reaped, or its number given to another: gone."""
    process = a_process()
    began = machine.began(process.pid)
    assert began is not None
    assert not machine.is_gone(process.pid, began)
    assert machine.is_gone(process.pid, began - 1)  # another process had this number before
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, not reaped
    assert machine.is_gone(process.pid, began)
    ended(process)
    assert machine.is_gone(process.pid, began)
    assert machine.began(process.pid) is None


def registered(pid: int, began: int | None, where: str | None) -> str:
    identity = a_worker("io-there")
    known = {"pid": pid, "pid_started": began, "machine": where}
    transact(lambda session: session.execute(update(Worker).where(Worker.id == identity).values(known)))
    return identity


def taken(**pauses: timedelta) -> list[tuple[str, str]]:
    """One look of a dispatcher that believes nobody's silence; what it took and why."""
    transact(takeover.bury)
    transact(lambda session: takeover.take_over(session, lease=timedelta(seconds=45), silent=False, **pauses))
    return [(row.render_id, row.why) for row in transact(lambda session: session.query(Recovery).all())]


def test_what_a_killed_worker_held_is_free_at_once():
    """Heard of a moment ago, killed: its renders are free at the next look, and the takeover says why."""
    process = a_process()
    worker = registered(process.pid, machine.began(process.pid), machine.identity())
    render = a_render()
    assert claimed(render, worker)
    assert taken() == []
    ended(process)
    assert taken() == [(render, takeover.DIED)]
    assert the(render).worker_id is None


def test_a_render_whose_workers_die_is_taken_up_later_each_time():
    """Free at once after the first; then after a pause that doubles, so that what a crashing neighbour took along is
    parted from it. The pause has an end."""
    process = a_process()
    known = {"pid": process.pid, "pid_started": machine.began(process.pid), "machine": machine.identity()}
    ended(process)
    render = a_render()
    pauses: list[float] = []
    for lease in range(6):
        worker = a_worker(f"io-{lease}")
        dead, due = update(Worker).where(Worker.id == worker), update(Render).where(Render.id == render)
        transact(lambda s, dead=dead: s.execute(dead.values(known)))
        transact(lambda s, due=due: s.execute(due.values(ready_at=ago(timedelta(0)))))
        assert claimed(render, worker, lease=lease)
        assert len(taken(longest=timedelta(seconds=6))) == lease + 1
        row = the(render)
        at = transact(lambda s, row=row: s.get_one(Recovery, row.recovery_id).taken_at)
        pauses.append((row.ready_at - at).total_seconds())
    assert pauses[0] == 0
    for pause, whole in zip(pauses[1:], (1, 2, 4, 6, 6), strict=True):
        assert whole / 2 <= pause <= whole


@pytest.mark.parametrize("where", [None, "another boot/pid:[1]"])
def test_nobody_judges_processes_of_another_machine(where: str | None):
    """The same number elsewhere, or a worker that does not say where it is: only its silence tells."""
    process = a_process()
    worker = registered(process.pid, machine.began(process.pid), where)
    render = a_render()
    assert claimed(render, worker)
    ended(process)
    assert taken() == []


def test_the_last_word_of_a_worker_is_what_its_look_up_counts_from():
    """A worker found gone: from then; a silent one: from when it was last seen; no takeover: nobody knows."""
    silent = a_worker("io-silent", silent_for=timedelta(seconds=50))
    render = a_render()
    assert claimed(render, silent)
    transact(lambda session: takeover.take_over(session, lease=timedelta(seconds=0.5)))
    recovery = the(render).recovery_id
    heard = transact(lambda session: takeover.last_heard_of(session, recovery))
    assert heard == transact(lambda session: session.get_one(Worker, silent).seen_at)
    assert transact(lambda session: takeover.last_heard_of(session, None)) is None
