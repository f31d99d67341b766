"""What is kept of the calls that make an endpoint, or give it another secret."""

import base64

import pytest
from sqlalchemy import select

from api import idempotency
from api.auth import Caller
from api.idempotency import Key
from api.problems import Problem
from api.webhooks import intake
from api.webhooks.schemas import EndpointRequest
from tests.stack import here
from tests.triggers import stand
from worker.database import transact
from worker.owners.limits import Limits
from worker.owners.models import IdempotencyKey


def test_nobody_guesses_a_secret_from_what_tells_a_repeated_call(database: str):
    """Secrets are as long as the standard says, and nobody checks that they are random; the call is told again."""
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        stand.empty()
        caller, key = Caller(stand.owner_id(), "", frozenset(), Limits()), Key("once", given=True)
        secret = "whsec_" + base64.b64encode(b"a" * 24).decode()
        request = EndpointRequest(url="https://shop.example/", secret=secret, description=None)
        made = intake.create(caller, key, request)
        kept = transact(lambda session: session.scalars(select(IdempotencyKey.body_hash)).one())
        assert kept != idempotency.body_hash(request.model_dump(mode="json"))
        assert intake.create(caller, key, request).body.id == made.body.id
        with pytest.raises(Problem, match=r"idempotency\.mismatch"):
            intake.create(caller, key, request.model_copy(update={"secret": None}))
