"""A leaving worker: what it had taken and not begun goes back to the broker, and nothing keeps it from being gone."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import select

from tests.renders.conftest import _empty, _settings, a_render, the  # noqa: F401 - fixtures, used by their names
from tests.stack import ROOT, here
from worker import liveness, pipeline
from worker.database import transact
from worker.renders.models import Worker
from worker.renders.states import Stage


@pytest.fixture(autouse=True)
def _leaving(_settings: None, broker_url: str, database: str) -> Iterator[None]:  # noqa: F811 - the fixture of that name
    from worker.app import app

    known = {"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40, "VIVIDEO_BROKER_URL": broker_url}
    with here(known):
        app.conf.broker_url = broker_url
        process = liveness.process()
        process.drain()
        yield
        liveness.goodbye()
        liveness._process = None


def waiting(redis_url: str, queue: str = "io") -> list[str]:
    """The tasks in a queue of the broker's, by default that of short calls; taken out."""
    with redis.Redis.from_url(redis_url) as broker:
        found = broker.lrange(queue, 0, -1)
        broker.delete(queue)
    return [json.loads(one)["headers"]["task"] for one in found]


def test_nothing_is_begun_and_each_goes_back(redis_url: str):
    """A stage, a cancellation, a round of polls: nobody claims the row, and another worker finds the message."""
    render = a_render()
    pipeline.drive(render, 0, Stage.TOKEN)
    pipeline.drive_cancel(render)
    pipeline.drive_polls()
    assert sorted(waiting(redis_url)) == ["cancel", "stage.poll", "stage.token"]
    assert (the(render).lease, the(render).worker_id) == (0, None)


def test_a_reading_goes_back(redis_url: str):
    """A catalog is read by a worker that stays."""
    from worker import tasks

    tasks.read_catalog("crd_anything", 0)
    assert waiting(redis_url, "media") == ["read_catalog"]


BUSY = """
import sys
from worker import leaving, liveness
from worker.database import engine
from worker.remote import noticing

sys.stdout.write(liveness.process().id + "\\n")
sys.stdout.flush()
pool = engine().pool
held = [engine().connect() for _ in range(pool.size() + pool._max_overflow)]
noticing.NOTICES.add("field", "state", "unheard_of", "str")
leaving.PATIENCE_SECONDS = 0
leaving._end_in_time(lambda: [])
"""


def test_its_goodbye_is_the_last_that_it_does():
    """All its connections in use and a surprise not yet written down: it is not waited for, since what the worker holds
    is free by then and others begin it."""
    left = subprocess.run([sys.executable, "-c", BUSY], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert left.returncode == 0, left.stderr
    name = left.stdout.partition("\n")[0]
    assert transact(lambda session: session.scalar(select(Worker.stopped_at).where(Worker.id == name))) is not None
    assert "surprises.unwritten" not in left.stdout + left.stderr
