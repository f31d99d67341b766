"""What the dispatcher does with a broker that takes nothing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from celery import Celery
from sqlalchemy import update

from config.celery_settings import celery_settings
from tests.renders.conftest import a_render, a_worker, the
from worker import app, dispatch
from worker.database import ago, transact
from worker.dispatch import Dispatcher
from worker.renders.models import Render
from worker.renders.queue import Due
from worker.renders.states import Stage

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def broker(broker_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """An empty broker that the sends of this process go to."""
    _use(broker_url, monkeypatch)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client


def _use(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Celery("vivideo", set_as_current=False)
    own.conf.update(celery_settings(broker_url))
    monkeypatch.setattr(app, "app", own)


def begun(stage: str) -> str:
    return a_render(started_at=ago(timedelta(0)), status="running", stage=stage)


def an_interval_goes_by() -> None:
    transact(lambda s: s.execute(update(Render).values(sent_at=Render.sent_at - timedelta(seconds=31))))


def test_after_an_outage_everything_is_sent_within_one_interval(
    broker: redis.Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
):
    """Refused three times, an interval apart: once it is back, an interval after the last refusal is enough."""
    a_worker(capacity=50)
    renders = [begun(stage) for stage in ("session", "poll", "token")]
    _use(NOWHERE, monkeypatch)
    dispatcher = Dispatcher()
    for _ in range(3):
        assert dispatcher.look() is False
        an_interval_goes_by()
    _use(broker_url, monkeypatch)
    dispatcher.look()
    assert broker.llen("io") == 3
    assert {the(render).sends for render in renders} == {1}


def test_what_was_taken_before_the_broker_went_is_not_left_over(monkeypatch: pytest.MonkeyPatch):
    """From the first that it refuses on; polls go last, a hundred with each message."""
    due = [
        Due("a", Stage.UPLOAD, 0, canceling=False),
        *(Due(f"poll {number}", Stage.POLL, 0, canceling=False) for number in range(150)),
        Due("b", Stage.POLL, 0, canceling=True),
        Due("c", Stage.STORE, 0, canceling=False),
    ]
    polls = due[1:151]
    for taken, left in [
        (0, [due[0], *due[151:], *polls]),
        (2, [due[152], *polls]),
        (3, polls),
        (4, polls[100:]),
        (5, []),
    ]:
        answers = iter([True] * taken + [False])
        monkeypatch.setattr(app, "_send", lambda *_, answers=answers: next(answers))
        assert dispatch._send(due) == left
