"""What an estimate goes by: the stages' times as they were measured, the places that live, and what waits."""

from datetime import timedelta

from sqlalchemy import func, insert

from api.batches.estimate import Left, seconds
from tests.renders.conftest import a_batch, a_render, a_worker, the
from worker.batches import pace
from worker.database import ago, transact
from worker.renders.models import Attempt
from worker.renders.states import Stage

LEASE = timedelta(seconds=60)


def took(stage: Stage, *times: float, hours_ago: float = 1) -> None:
    """Attempts of a stage that went well, with their seconds."""
    render = the(a_render(finished_at=func.now(), started_at=func.now(), status="succeeded", stage="store"))
    own = {"owner_id": render.owner_id, "render_id": render.id, "run": 1, "worker_id": "w", "outcome": "advance"}
    ended = timedelta(hours=hours_ago)
    attempts = [
        own
        | {"stage": stage.value, "lease": n, "ended_at": ago(ended), "started_at": ago(ended + timedelta(seconds=s))}
        for n, s in enumerate(times)
    ]
    for attempt in attempts:
        transact(lambda session, one=attempt: session.execute(insert(Attempt).values(one)))


def test_an_estimate_is_of_measured_times_and_living_places():
    """Mean and variance of the last day's; two streams begin a clip of 20 s every 10 s, and times that vary make the
    late end later than the usual one. Each lane that is served waits with its own renders."""
    took(Stage.GENERATE, 10, 30)
    took(Stage.GENERATE, 500, hours_ago=30)
    a_worker("stream-1", "stream", capacity=2)
    a_worker("stream-2", "stream", capacity=50, silent_for=timedelta(hours=1))
    a_worker("io-1", "io", capacity=10)
    a_worker("media-1", "media", capacity=4)
    batch, single, standing = a_batch(20), a_render(), a_batch(7, held=True)
    found = transact(lambda session: pace.measure(session, lease=LEASE, usual_slots=0))
    assert found.stages == {Stage.GENERATE: pace.Spread(20.0, 200.0)}
    assert found.places == {"stream": 2, "io": 10, "media": 4}
    assert {one.batch_id: one.waiting for one in found.queues} == {batch: 20, None: 1}, (single, standing)
    p50, p90 = seconds(found, Left(20, 0), batch) or (0.0, 0.0)
    assert 190 < p50 < p90 < 400
