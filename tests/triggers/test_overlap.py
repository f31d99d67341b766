"""The secret before is taken for as long as it was said, and no longer than was said since."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop
from worker.database import transact
from worker.triggers import store
from worker.triggers.models import Trigger

NEW, DAY, HOUR = "the new secret" * 2, timedelta(days=1), timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture
def shop(_settings: None) -> Shop:
    stand.empty()
    return Shop()


def _rotates(shop: Shop, overlap: timedelta, secret: str = NEW) -> tuple[int, timedelta | None]:
    """How many secrets are taken then, and for how long two are."""

    def work(session: Session) -> tuple[int, timedelta | None]:
        row = store.locked(session, shop.owner_id, shop.id)
        assert row is not None
        row: Trigger = store.rotate(session, row, secret, overlap)
        until = row.previous_secret_until
        return len(store.secrets(session, row)), until - row.updated_at if until else None

    return transact(work)


def test_a_leaked_secret_is_cut_off_during_its_overlap(shop: Shop):
    """By the same new one once more, without an overlap; to repeat that is harmless."""
    assert _rotates(shop, DAY) == (2, DAY)
    assert _rotates(shop, timedelta()) == (1, None)
    assert _rotates(shop, timedelta()) == (1, None)
    assert _rotates(shop, DAY) == (1, None), "what is cut off does not come back"


def test_an_overlap_gets_shorter_and_never_longer(shop: Shop):
    """Who repeats a call an hour later takes no secret for an hour more."""
    _rotates(shop, DAY)
    assert _rotates(shop, HOUR) == (2, HOUR)
    (taken, left) = _rotates(shop, DAY)
    assert taken == 2
    assert left is not None
    assert left <= HOUR
