"""What people read of triggers, and what the database has of their secrets."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console
from sqlalchemy import select

from api import idempotency
from api.auth import Caller
from api.cli import trigger_rows
from api.client import Trigger
from api.idempotency import Key
from api.problems import Problem
from api.triggers import examples, intake
from api.triggers.schemas import TriggerRequest
from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop
from worker.database import transact
from worker.owners.limits import Limits
from worker.owners.models import IdempotencyKey
from worker.triggers.models import Style


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


def test_a_condition_is_shown_with_what_it_compares():
    """Also with what is nothing to Python."""
    compared = [{"equals": 0}, {"equals": False}, {"not_equals": None}, {"exists": False}, {"equals": "x"}]
    given = [{"pointer": f"/{at}", **one} for at, one in enumerate(compared)] + [{"pointer": "/c", "changed": True}]
    console = Console(file=io.StringIO(), width=100)
    trigger_rows.show(console, Trigger.model_validate(examples.KEPT | {"conditions": given}), "https://x.example")
    assert isinstance(console.file, io.StringIO)
    shown = [line.split() for line in console.file.getvalue().splitlines() if line.strip().startswith("/")]
    assert [line[2:] for line in shown] == [["0"], ["false"], ["null"], ["false"], ["x"], []]


def test_nobody_guesses_a_secret_from_what_tells_a_repeated_call():
    """A bare hash over a body with a short secret could be tried out; the call is told again all the same."""
    stand.empty()
    shop = Shop(limits=Limits())
    assert shop.key_id
    caller, key = Caller(shop.owner_id, shop.key_id, frozenset(), Limits()), Key("once", given=True)
    request = TriggerRequest(style=Style.GITHUB, template=shop.name, secret="12345678")
    made = intake.accept(caller, key, request)
    kept = transact(lambda session: session.scalars(select(IdempotencyKey.body_hash)).one())
    assert kept != idempotency.body_hash(request.model_dump(mode="json"))
    assert intake.accept(caller, key, request).body.id == made.body.id
    with pytest.raises(Problem, match=r"idempotency\.mismatch"):
        intake.accept(caller, key, request.model_copy(update={"secret": "12345679"}))


def test_a_wrong_body_is_told_so_without_a_secret_key(database: str):
    """What is wrong with it comes first: it would be wrong with one, too."""
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": ""}):
        stand.empty()
        caller = Caller(stand.owner_id(), "", frozenset(), Limits())
        request = TriggerRequest(style=Style.GITHUB, template="any", conditions=[{"pointer": "/a"}])
        with pytest.raises(Problem, match=r"request\.invalid"):
            intake.accept(caller, Key("once", given=True), request)
