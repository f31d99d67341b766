"""How much a trigger's source may send in a minute."""

import hashlib
import hmac
from collections.abc import Iterator

import pytest

from api.problems import Problem
from api.triggers import messages
from api.triggers.messages import COUNTED_BYTES
from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40, "VIVIDEO_MESSAGES_PER_MINUTE": "10"}):
        yield


def _sends(shop: Shop, body: bytes) -> str:
    signature = hmac.new(b"s" * 20, body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={signature}", "x-github-event": "push"}
    try:
        admitted = messages.admit(shop.id, "192.0.2.1", headers, body)
        assert admitted is not None
        return messages.take(admitted).verdict
    except Problem as problem:
        return problem.code


def test_a_long_message_counts_as_several():
    """Nine parts beside its first, and the minute is used up; one that is longer than a minute's is taken once."""
    stand.empty()
    shop, other = Shop(style="github", topics=["release"]), Shop(style="github", topics=["release"])
    assert _sends(shop, b" " * (COUNTED_BYTES * 8)) == "ignored"
    assert [_sends(shop, b"{}"), _sends(shop, b"[]")] == ["ignored", "rate.limited"]
    assert _sends(other, b" " * (COUNTED_BYTES * 12)) == "ignored"
    assert _sends(other, b"{}") == "rate.limited"
