"""Messages that are sent again: the time of an attempt says nothing of which state is newer."""

from datetime import UTC, datetime

import pytest

from tests.triggers.bodies import encoded
from tests.triggers.stand import Shop, product, renders
from worker.database import transact
from worker.triggers import acceptance, messages, store
from worker.triggers.acceptance import Arrived
from worker.triggers.models import Style
from worker.triggers.planning import Said

pytestmark = pytest.mark.usefixtures("no_shops")


def _attempt(shop: Shop, style: Style, key: str, title: str, second: int) -> str:
    headers = {"webhook-id": key, "webhook-timestamp": str(1_760_000_000 + second)}
    body = encoded({"type": "product.updated", "data": product(1, title=title)} if style is Style.STANDARD else
                   product(1, title=title))  # fmt: skip
    arrived, id = Arrived(key, Said.read(style, headers, body)), store.new_delivery_id()
    return transact(lambda session: acceptance.receive(session, shop.id, arrived, id)).delivery.verdict


@pytest.mark.parametrize("style", [Style.STANDARD, Style.BEARER])
def test_a_retry_is_not_sent_later(style: Style):
    """The first message's retry comes before the second's: the second is newer still, whenever that was sent."""
    shop = Shop(style=style.value)
    assert _attempt(shop, style, "first", "Lamp", second=5) == "rendered"
    assert _attempt(shop, style, "second", "Lamp, mended", second=0) == "rendered"
    assert "mended" in renders()[-1].prompt


def test_what_happened_when_is_in_the_body():
    """Of Standard Webhooks; the attempt's time is among the headers that are kept."""
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1760000000"}
    body = encoded({"type": "product.updated", "timestamp": "2022-11-03T20:26:10.344522Z"})
    said = messages.read(Style.STANDARD, headers, body)
    assert said.sent_at == datetime(2022, 11, 3, 20, 26, 10, 344522, UTC)
    assert said.kept["webhook-timestamp"] == "1760000000"
    assert messages.read(Style.BEARER, headers, body).sent_at is None
    for odd in (None, 5, "soon", ["2022-11-03"]):
        assert messages.read(Style.STANDARD, headers, encoded({"timestamp": odd})).sent_at is None
