"""An answer about an export that comes to a worker which lost its lease meanwhile changes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from tests.stack import Stack
from tests.stages.driving import a_render, step, the, until_stage
from worker import pipeline
from worker.database import transact
from worker.job import Job
from worker.remote.errors import RemoteError
from worker.renders import exports, leases, takeover
from worker.renders.leases import LeaseLost
from worker.renders.models import Export
from worker.renders.states import Stage
from worker.stages import export


def frozen_at_its_poll() -> tuple[Job, Export]:
    """A worker claims a poll and freezes; its successor sees the export to its end. What the first one holds."""
    render = a_render()
    until_stage(render, Stage.POLL)
    due = {"worker": "io-frozen", "limit": 10, "interval": timedelta(seconds=0.5)}
    held: list[Any] = []
    while not held:
        held = transact(lambda session: leases.claim_polls(session, **due))
    ((job, exported),) = transact(lambda session: pipeline._poll_jobs(session, held))
    assert exported is not None
    transact(lambda session: takeover.let_go(session, worker="io-frozen", claims=[(render, job.held.lease)]))
    while the(render).stage == Stage.POLL.value:
        step(render)
    assert of(exported).state == "completed"
    return job, exported


def of(exported: Export) -> Export:
    """Its row as it is now."""
    return transact(lambda session: session.get_one(Export, exported.id))


def test_a_refusal_that_comes_late_leaves_a_finished_export_as_it_is(backend: Stack):
    """The successor recorded it as completed: the zombie's 4xx makes it neither open nor asked once more."""
    job, exported = frozen_at_its_poll()
    before = of(exported)
    pipeline._write_back([(job, RemoteError("poll_export", status=403))])
    assert (of(exported).state, of(exported).polls) == ("completed", before.polls)
    assert the(job.render.id).stage == Stage.STORE.value


def test_a_refusal_in_the_lease_is_a_question_asked(backend: Stack):
    """Nobody took it over: the answer counts, and the render is told of it."""
    render = a_render()
    until_stage(render, Stage.POLL)
    backend.rule(on="poll", do="http_status", status=403, times=1)
    asked = transact(lambda session: exports.current(session, the(render)))
    assert asked is not None
    step(render)
    assert of(asked).polls == asked.polls + 1


def test_a_question_by_id_that_is_answered_late_changes_nothing(backend: Stack):
    """Asked in the stage that submits, refused, taken over meanwhile: the work stops there."""
    job, exported = frozen_at_its_poll()
    backend.rule(on="poll", do="http_status", status=403, times=1)
    with pytest.raises(LeaseLost):
        export._ask(Job(job.held, job.services), exported)
    assert of(exported).state == "completed"
