"""The door of triggers and what stands right behind it, without HTTP: floods, rotations, rates, logs."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from api.auth import Caller
from api.problems import Problem
from api.triggers import intake, messages
from api.triggers.door import Door
from api.triggers.schemas import TriggerChange
from api.triggers.seldom import Seldom
from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop, product
from worker.database import transact
from worker.owners.limits import Limits
from worker.triggers import store

BODY = json.dumps(product(1)).encode()
FEW = {"VIVIDEO_UNVERIFIED_MESSAGES_PER_MINUTE": "3", "VIVIDEO_MESSAGES_PER_MINUTE": "2"}


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40} | FEW):
        yield


@pytest.fixture
def shop(_settings: None) -> Shop:
    stand.empty()
    return Shop(style="github")


def _signed(secret: str) -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()}


def _rotates(shop: Shop, secret: str) -> None:
    def work(session: Session) -> None:
        row = store.locked(session, shop.owner_id, shop.id)
        assert row is not None
        store.rotate(session, row, secret, timedelta())

    transact(work)


def _floods(door: Door, shop: Shop, peer: str = "192.0.2.1", *, times: int = 5) -> list[str]:
    """The codes that it hears."""
    return [_refused(door, shop, "not the secret", peer) for _ in range(times)]


def _refused(door: Door, shop: Shop, secret: str, peer: str = "192.0.2.1") -> str:
    with pytest.raises(Problem) as refused:
        door.admit(shop.id, peer, _signed(secret), BODY)
    return refused.value.code


def test_a_new_secret_is_taken_at_once_also_from_who_shares_a_floods_address(shop: Shop):
    """What the door remembers is of before the rotation: it looks once, and once a second for what is wrong still."""
    door = Door(seldom=600)
    door.admit(shop.id, "192.0.2.1", _signed("s" * 20), BODY)
    assert _floods(door, shop)[-1] == "rate.limited"
    door.looks = Seldom(600)  # a second later
    _rotates(shop, "another secret" * 2)
    door.admit(shop.id, "192.0.2.1", _signed("another secret" * 2), BODY)
    _rotates(shop, "the third secret" * 2)
    assert _refused(door, shop, "the third secret" * 2) == "rate.limited"


def test_a_rotation_forgets_what_this_process_remembers(shop: Shop):
    """So that the secret before, without an overlap, is refused in it from then on."""
    door = Door()
    door.admit(shop.id, "192.0.2.2", _signed("s" * 20), BODY)
    _rotates(shop, "another secret" * 2)
    door.admit(shop.id, "192.0.2.2", _signed("s" * 20), BODY)
    door.forget(shop.id)
    assert _refused(door, shop, "s" * 20, "192.0.2.2") == "trigger.unverified"


def test_a_flood_does_not_fill_the_log(shop: Shop):
    """One line a second of a trigger and a peer, and the next one says how many there were."""
    door = Door(seldom=600)
    door.admit(shop.id, "192.0.2.1", _signed("s" * 20), BODY)
    with capture_logs() as lines:
        _floods(door, shop, times=20)
    assert [(one["event"], one["unlogged"]) for one in lines] == [("trigger.unverified", 0)]


def test_messages_of_a_trigger_have_a_rate(shop: Shop):
    """Whoever has its secret has not the disk: beyond it 429 and when to come again; another has its own."""

    def sends(to: Shop) -> str:
        admitted = messages.admit(to.id, "192.0.2.3", _signed("s" * 20) | {"x-github-event": "push"}, BODY)
        assert admitted is not None
        return messages.take(admitted).verdict

    other = Shop(style="github")
    for _ in range(2):
        sends(shop)
    with pytest.raises(Problem) as refused:
        sends(shop)
    assert refused.value.code == "rate.limited"
    assert int(refused.value.headers["Retry-After"]) > 0
    assert len(shop.deliveries()) == 1
    assert sends(other)


def test_a_variable_that_the_template_has_not_is_named_at_once(shop: Shop):
    """By its place, with the names that there are: a typo would be seen by nobody. What else there is may change."""
    caller = Caller(shop.owner_id, "", frozenset(), Limits())
    wrong = {"variables": {"titel": "/name", "price": "/price"}}
    with pytest.raises(Problem) as refused:
        intake.change(caller, shop.id, TriggerChange(mapping=wrong))
    (error,) = refused.value.errors
    assert (refused.value.code, error.pointer) == ("request.invalid", "/mapping/variables/titel")
    assert "title" in error.detail
    assert intake.change(caller, shop.id, TriggerChange(mapping={"variables": {"title": "/name"}})).mapping
    shop.changes(mapping=wrong)
    assert intake.change(caller, shop.id, TriggerChange(name="renamed")).name == "renamed"
    with pytest.raises(Problem):
        intake.change(caller, shop.id, TriggerChange(template=shop.name))
