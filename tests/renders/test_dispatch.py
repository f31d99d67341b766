"""What the dispatcher leaves in a broker, and what it does with one that takes nothing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from celery import Celery
from sqlalchemy import update

from config.celery_settings import celery_settings
from tests.renders.conftest import a_batch, a_render, a_worker, the
from worker import app, dispatch
from worker.accounts.models import Account
from worker.database import ago, new_id, transact
from worker.dispatch import Dispatcher
from worker.renders.models import Render

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


def begun(stage: str, **columns: object) -> str:
    return a_render(started_at=ago(timedelta(0)), status="running", stage=stage, **columns)


def an_interval_goes_by() -> None:
    transact(lambda s: s.execute(update(Render).values(sent_at=Render.sent_at - timedelta(seconds=31))))


def test_after_an_outage_everything_is_sent_within_one_interval(
    broker: redis.Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
):
    """What was refused, and what lay in the broker for long and may be lost with it: an interval after the last refusal
    is enough."""
    a_worker(capacity=50)
    dispatcher = Dispatcher()
    assert dispatcher.look() is False
    waiting = begun("verify", sends=5, sent_at=ago(timedelta(seconds=200)))
    renders = [begun(stage) for stage in ("session", "poll", "token")]
    _use(NOWHERE, monkeypatch)
    for _ in range(3):
        assert dispatcher.look() is False
        an_interval_goes_by()
    _use(broker_url, monkeypatch)
    dispatcher.look()
    assert broker.llen("io") == 4
    assert {the(render).sends for render in [*renders, waiting]} == {2}


def test_a_new_dispatcher_takes_no_earlier_message_for_more_than_the_first(broker: redis.Redis):
    """The broker may have been emptied while nobody looked."""
    a_worker(capacity=50)
    begun("verify", sends=5, sent_at=ago(timedelta(seconds=31)))
    dispatcher = Dispatcher()
    dispatcher.look()
    assert broker.llen("io") == 1
    begun("verify", sends=5, sent_at=ago(timedelta(seconds=31)))
    dispatcher.look()
    assert broker.llen("io") == 1, "it knows what it did itself"


def test_the_broker_holds_a_small_multiple_of_what_the_workers_take(broker: redis.Redis):
    """However many are queued or under way and however often it looks: all else stays where it can be reordered."""
    a_worker("stream-1", "stream", capacity=40)
    a_worker("io-1", capacity=3)
    transact(lambda s: s.add(Account(id=new_id("acc"), kind="registered", name="of all")))
    a_batch(200)
    for _ in range(20):
        begun("verify")
    dispatcher = Dispatcher()
    for _ in range(5):
        dispatcher.look()
    assert broker.llen("io") == 2 * dispatch.AHEAD * 3, "of what is new and of what is under way each"
