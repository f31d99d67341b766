"""A render whose workers die of it, one after the other: it ends. One that was only near when they died goes on."""

import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update
from ulid import ULID

from tests.stack import Stack
from tests.stages.driving import a_render, step, the, until_stage
from worker import machine
from worker.database import ago, transact
from worker.pipeline import MOST_DEATHS
from worker.remote.intents import Intent
from worker.renders import leases, runs, takeover
from worker.renders.models import Render, Worker
from worker.renders.states import Stage


@pytest.fixture(scope="module")
def ended() -> tuple[int, int]:
    """A process of this machine that is gone: its number, and when it began."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = machine.began(process.pid)
    assert began is not None
    process.kill()
    process.communicate()
    return process.pid, began


def dies_with(render: str, ended: tuple[int, int], *, stopped: bool = False) -> None:
    """A worker takes it and is gone, or says goodbye first; the dispatcher looks."""
    pid, began = ended
    row = the(render)
    mine = {"id": f"media-{ULID()}", "kind": "media", "hostname": "here", "version": "1", "capacity": 1}
    mine |= {"pid": pid, "pid_started": began, "machine": machine.identity()}
    mine |= {"stopped_at": ago(timedelta(0))} if stopped else {}
    due = update(Render).where(Render.id == render).values(ready_at=ago(timedelta(seconds=1)))
    transact(lambda session: session.execute(insert(Worker).values(**mine)))
    transact(lambda session: session.execute(due))
    if row.stage == Stage.POLL.value:
        taken = {"worker": mine["id"], "limit": 1, "interval": timedelta(seconds=0.5)}
        assert len(transact(lambda session: leases.claim_polls(session, **taken))) == 1
    else:
        claim = {"lease": row.lease, "stage": Stage(row.stage), "worker": mine["id"]}
        assert transact(lambda session: leases.claim(session, render, **claim))
    transact(takeover.bury)
    transact(lambda session: takeover.take_over(session, lease=timedelta(hours=1), silent=False))
    assert the(render).worker_id is None


@pytest.mark.parametrize(
    ("stage", "charge"),
    [(Stage.SESSION, "none"), (Stage.LOOKUP, "unknown"), (Stage.POLL, "incurred"), (Stage.STORE, "incurred")],
)
def test_what_kills_every_worker_that_takes_it_ends(
    backend: Stack,
    ended: tuple[int, int],
    stage: Stage,
    charge: str,
):
    """So many in a row at one stage: failed, with the charge as far as it is known; where it is not, it is watched."""
    render = a_render("A 2 second clip that kills." + " [[sandbox: cut_after]]" * (stage is Stage.LOOKUP))
    until_stage(render, stage)
    for _ in range(MOST_DEATHS):
        dies_with(render, ended)
    row = step(render, early=True)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "internal", charge)
    of_mine = select(Intent.watch_at).where(Intent.render_id == render)
    watched = transact(lambda session: session.scalars(of_mine).all())
    assert [at is not None for at in watched] == ([] if charge == "none" else [charge == "unknown"])


@pytest.mark.parametrize("stage", [Stage.POLL, Stage.STORE])
def test_one_death_fewer_may_be_chance(backend: Stack, ended: tuple[int, int], stage: Stage):
    """Workers that said goodbye, however many, are no deaths; the next one works on it as if nothing had been."""
    render = a_render()
    until_stage(render, stage)
    for death in range(MOST_DEATHS - 1):
        dies_with(render, ended)
        dies_with(render, ended, stopped=True)
        assert the(render).deaths == death + 1
    row = step(render, early=stage is not Stage.POLL)
    assert row.finished_at is None or row.status == "succeeded"
    assert row.deaths == 0


def test_deaths_at_one_stage_are_not_those_of_the_next(backend: Stack, ended: tuple[int, int]):
    """It got on in between, so it was not what they died of."""
    render = a_render()
    for stage, following in ((Stage.TOKEN, Stage.SESSION), (Stage.SESSION, Stage.GENERATE)):
        for _ in range(MOST_DEATHS - 1):
            dies_with(render, ended)
        assert the(render).stage == stage.value
        assert step(render, early=True).stage == following.value


def test_a_retry_is_not_held_guilty_of_the_run_before(backend: Stack, ended: tuple[int, int]):
    """The next run is begun like any other."""
    render = a_render()
    for _ in range(MOST_DEATHS):
        dies_with(render, ended)
    assert step(render, early=True).status == "failed"
    transact(lambda session: runs.retry(session, session.get_one(Render, render), force=False, api_key_id=None))
    assert step(render).stage == "session"
