"""A video on a product is an edit of it, of which the shop sends a message: none of those brings a video anywhere."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from tests.publishing.conftest import asked, at_shopify, at_woocommerce, published, settled, the
from tests.publishing.shopify_standin import Shopify
from tests.publishing.woocommerce_standin import WooCommerce
from tests.triggers.stand import Shop, product
from worker.database import transact
from worker.media.storage import Storage
from worker.publishing import publications
from worker.publishing.driving import Tools
from worker.publishing.models import Publication
from worker.renders.models import Render, Result

Make = Callable[..., str]
ECHOES = 4
"""More than any of the loops that there were needed to show itself."""


class Source:
    """A shop whose webhooks come to some triggers, and whose edits by ours come back as messages."""

    def __init__(self, shop: Any, publisher: str, tools: Tools, video: bytes, *triggers: Shop) -> None:
        self.shop, self.publisher, self.tools, self.video, self.triggers = shop, publisher, tools, video, triggers
        self.second = 0
        for one in triggers:
            one.changes(publisher_id=publisher)

    def says(self, **fields: Any) -> list[str]:
        """The product as it is now, to each trigger."""
        self.second += 1
        return [one.verdict(product(7, at=self.second, **fields)) for one in self.triggers]

    def makes(self, storage: Storage, **fields: Any) -> None:
        """As `says`, with the videos made and the relay's part done."""
        for trigger, verdict in zip(self.triggers, self.says(**fields), strict=True):
            assert verdict == "rendered"
            thing = trigger.thing("7")
            assert thing is not None
            transact(lambda session, id=thing.render_id: _made(session, storage, id, self.video))
            asked(self.publisher, thing.render_id or "", "7", id="7")
            settled(self.tools)

    def echoes(self, **fields: Any) -> list[str]:
        """Each edit by ours as a message, until there are none, or too many; how those were answered."""
        verdicts: list[str] = []
        while self.shop.edited and len(verdicts) < ECHOES * len(self.triggers):
            self.shop.edited.clear()
            verdicts += self.says(**fields)
            settled(self.tools)
        return verdicts


def _made(session: Any, storage: Storage, render_id: str, content: bytes) -> None:
    row = session.get_one(Render, render_id)
    row.status, row.started_at, row.finished_at = "succeeded", row.created_at, row.created_at
    key = f"{row.owner_id}/{render_id}/1/abc.mp4"
    storage.put_bytes(key, content)
    facts = {"sha256": "0", "bytes": len(content), "duration_seconds": 6.0, "width": 1, "height": 1}
    more = {"video_codec": "h264", "pixel_format": "yuv420p", "poster_key": None, "storage_key": key}
    session.add(Result(render_id=render_id, run=1, owner_id=row.owner_id, **facts, **more))


def _states() -> list[str]:
    query = select(Publication.state).order_by(Publication.number)
    return list(transact(lambda session: session.scalars(query).all()))


@pytest.fixture
def source(tools: Tools, video: bytes) -> Callable[..., Source]:
    return lambda shop, publisher, *triggers: Source(shop, publisher, tools, video, *triggers)


def test_one_video_at_shopify(shopify: Shopify, source: Callable[..., Source], storage: Storage):
    """Attached, and named: one publication, whatever comes back."""
    shopify.has(7, "lamp")
    shop = source(shopify, at_shopify(shopify), Shop())
    shop.makes(storage)
    assert set(shop.echoes()) == {"unchanged"}
    assert _states() == ["published"]


def test_one_video_at_woocommerce(woocommerce: WooCommerce, source: Callable[..., Source], storage: Storage):
    """A field is an edit too."""
    woocommerce.has(7)
    shop = source(woocommerce, at_woocommerce(woocommerce), Shop())
    shop.makes(storage)
    assert shop.echoes() == ["unchanged"]
    assert _states() == ["published"]


def test_two_triggers_that_share_a_publisher(shopify: Shopify, source: Callable[..., Source], storage: Storage):
    """With two templates, as was once allowed: the last video stays, and neither brings its own again."""
    shopify.has(7, "lamp")
    shop = source(shopify, at_shopify(shopify), Shop(), Shop())
    shop.makes(storage)
    assert set(shop.echoes()) == {"unchanged"}
    assert _states() == ["published", "published"]


def test_a_video_that_the_shop_cannot_process(shopify: Shopify, source: Callable[..., Source], storage: Storage):
    """It is withdrawn, which is an edit; only its owner has it tried again."""
    lamp = shopify.has(7, "lamp")
    shopify.breaks = True
    shop = source(shopify, at_shopify(shopify), Shop())
    shop.makes(storage)
    assert set(shop.echoes()) == {"unchanged"}
    assert (_states(), shopify.videos(lamp)) == (["failed"], [])


def test_a_video_brought_by_hand(
    shopify: Shopify, source: Callable[..., Source], storage: Storage, render: Make, tools: Tools
):
    """It stays, though its product is what the trigger has another video of."""
    lamp, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shop = source(shopify, publisher, Shop())
    shop.makes(storage)
    by_hand = asked(publisher, render(), "7", id="7")
    settled(tools)
    assert set(shop.echoes()) == {"unchanged"}
    assert [one["id"] for one in shopify.videos(lamp)] == [published(by_hand).remote["media_id"]]


def test_a_change_taken_back_is_brought_again_once(shopify: Shopify, source: Callable[..., Source], storage: Storage):
    """The thing moved from the one render to the other: its first video comes back; the echo of that does nothing."""
    shopify.has(7, "lamp")
    shop = source(shopify, at_shopify(shopify), Shop())
    shop.makes(storage)
    shop.makes(storage, title="Another")
    assert shop.says() == ["unchanged"]
    settled(shop.tools)
    assert set(shop.echoes()) == {"unchanged"}
    assert _states() == ["published"] * 3


def test_what_failed_for_good_is_not_brought_again(shopify: Shopify, source: Callable[..., Source], storage: Storage):
    """Though the thing moved back to it: the same would come of it. Its owner's retry is for that."""
    shopify.has(7, "lamp")
    shopify.breaks = True
    shop = source(shopify, at_shopify(shopify), Shop())
    shop.makes(storage)
    shopify.breaks = False
    shop.makes(storage, title="Another")
    assert shop.says() == ["unchanged"]
    assert _states() == ["failed", "published"]
    query = select(Publication.id).order_by(Publication.number).limit(1)
    first = the(transact(lambda session: session.scalars(query).one()))
    transact(lambda session: publications.retry(session, first.owner_id, first.id))
    assert the(first.id).state == "pending"


def test_a_video_that_was_never_asked_for_is_brought(
    shopify: Shopify, source: Callable[..., Source], storage: Storage, tools: Tools
):
    """The trigger has a publisher since: what is unchanged gets its video there."""
    lamp = shopify.has(7, "lamp")
    shop = source(shopify, at_shopify(shopify), Shop())
    shop.makes(storage)
    other = at_shopify(shopify)
    shop.triggers[0].changes(publisher_id=other)
    assert shop.says() == ["unchanged"]
    settled(tools)
    assert set(shop.echoes()) == {"unchanged"}
    assert (_states(), len(shopify.videos(lamp))) == (["published"] * 2, 2)
