"""A message that a leaving worker had taken and not begun goes back to the broker."""

import json
from collections.abc import Iterator

import pytest
import redis

from tests.renders.conftest import _empty, _settings, a_render, the  # noqa: F401 - fixtures, used by their names
from tests.stack import here
from worker import liveness, pipeline
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


def waiting(redis_url: str) -> list[str]:
    """The tasks in the broker's queue of short calls; taken out."""
    with redis.Redis.from_url(redis_url) as broker:
        found = broker.lrange("io", 0, -1)
        broker.delete("io")
    return [json.loads(one)["headers"]["task"] for one in found]


def test_nothing_is_begun_and_each_goes_back(redis_url: str):
    """A stage, a cancellation, a round of polls: nobody claims the row, and another worker finds the message."""
    render = a_render()
    pipeline.drive(render, 0, Stage.TOKEN)
    pipeline.drive_cancel(render)
    pipeline.drive_polls()
    assert sorted(waiting(redis_url)) == ["cancel", "stage.poll", "stage.token"]
    assert (the(render).lease, the(render).worker_id) == (0, None)
