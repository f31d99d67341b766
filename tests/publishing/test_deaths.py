"""Whoever works on a publication may be killed at any point: the product ends with exactly one video."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func

from tests.publishing.conftest import (
    asked,
    at_address,
    at_shopify,
    at_woocommerce,
    change,
    io_worker,
    published,
    settled,
    the,
)
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import Record, Shopify
from tests.publishing.woocommerce_standin import WooCommerce
from worker.addresses.fetch import Answer, Guarded
from worker.database import transact
from worker.publishing import claims, driving, outcomes
from worker.publishing.driving import Tools

Make = Callable[..., str]


class Killed(BaseException):
    """As by kill -9: nobody's `except Exception` sees it."""


class Fate:
    """Kills at one of the points that are passed, each before and after its effect; counts them all."""

    def __init__(self, at: int) -> None:
        self.at, self.passed = at, 0

    def point(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Killed

    @contextmanager
    def around(self) -> Iterator[None]:
        self.point()
        yield
        self.point()


class Deadly(Guarded):
    """Dies before a call, or with its answer in hand."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    @contextmanager
    def open(self, *args: Any, **kwargs: Any) -> Generator[Answer]:
        self.fate.point()
        with super().open(*args, **kwargs) as answer:
            self.fate.point()
            yield answer


def _work(publication: str, tools: Tools, fate: Fate, patch: pytest.MonkeyPatch) -> None:
    """One worker, until it dies or has nothing more to do."""

    def committed(work: Callable[..., Any]) -> Any:
        with fate.around():
            return transact(work)

    with patch.context() as deadly:
        deadly.setattr(driving, "transact", committed)
        for _ in range(20):
            if (row := the(publication)).state == "pending":
                driving.drive(publication, row.lease, Tools(tools.storage, Deadly(fate)))


def _dies_everywhere(make: Callable[[], str], check: Callable[[str], None], tools: Tools, patch: Any) -> int:
    """How many points there were. Each death is of a publication of its own; what all of them left is then gone on with
    at once, since a look of the dispatcher costs the same for one as for many."""
    made = [make()]
    while _died(made[-1], Fate(len(made)), tools, patch):
        assert len(made) < 200, "there is no end of points"
        made.append(make())
    with io_worker(capacity=100):
        settled(tools, rounds=200)
    for publication in made:
        check(publication)
    return len(made) - 1


def _died(publication: str, fate: Fate, tools: Tools, patch: pytest.MonkeyPatch) -> bool:
    try:
        _work(publication, tools, fate, patch)
    except Killed:
        _long_ago(publication)
        return True
    return False


def _long_ago(publication: str) -> None:
    """Its worker's lease is over."""
    past = func.now() - timedelta(minutes=5)
    change(publication, lease_until=past, sent_at=past)


def test_shopify(shopify: Shopify, tools: Tools, render: Make, monkeypatch: pytest.MonkeyPatch):
    """A product of each death's own, with an older video to replace."""
    publisher, made = at_shopify(shopify), [render(), render()]
    products: dict[str, Any] = {}

    def make() -> str:
        name = f"lamp-{len(products)}"
        product = shopify.has(100 + len(products), name)
        older = asked(publisher, made[0], ref=name, handle=name)
        media_id = f"gid://shopify/Video/{name}"
        remote = {"media_id": media_id, "product_id": product["id"]}
        change(older, state="published", finished_at=func.now(), remote=remote)
        there = {"__typename": "Video", "id": media_id, "filename": "0f1e2d.mp4"}
        media = {"status": "READY", "mediaContentType": "VIDEO", "mediaErrors": [], "alt": None}
        product["shown"].append(Record(there | media))
        publication = asked(publisher, made[1], ref=name, handle=name)
        products[publication] = product
        return publication

    def check(publication: str) -> None:
        media = published(publication).remote["media_id"]
        assert [one["id"] for one in shopify.videos(products[publication])] == [media]

    assert _dies_everywhere(make, check, tools, monkeypatch) >= 25


def test_woocommerce(woocommerce: WooCommerce, tools: Tools, render: Make, monkeypatch: pytest.MonkeyPatch):
    """The library has one file for each product that was published."""
    publisher, made, done = at_woocommerce(woocommerce), render(), list[str]()

    def make() -> str:
        woocommerce.has(100 + len(done))
        done.append(asked(publisher, made, ref=f"lamp-{len(done)}", id=100 + len(done)))
        return done[-1]

    def check(publication: str) -> None:
        media = published(publication).remote["media_id"]
        product = woocommerce.products[100 + done.index(publication)]
        assert woocommerce.meta(product)["_vivideo_video_id"] == str(media)
        assert sorted(woocommerce.library) == sorted(the(one).remote["media_id"] for one in done)

    assert _dies_everywhere(make, check, tools, monkeypatch) >= 15


def test_any_address(receiver: Receiver, tools: Tools, render: Make, monkeypatch: pytest.MonkeyPatch):
    """It may come twice, under one id."""
    publisher, made, done = at_address(receiver), render(), list[str]()

    def make() -> str:
        done.append(asked(publisher, made, ref=f"lamp-{len(done)}"))
        return done[-1]

    def check(publication: str) -> None:
        published(publication)
        assert sorted(receiver.kept) == sorted(done)

    assert _dies_everywhere(make, check, tools, monkeypatch) >= 6


def test_a_zombie_writes_nothing(shopify: Shopify, tools: Tools, render: Make):
    """Its lease was taken: neither its outcome nor its failure counts."""
    shopify.has(7, "lamp")
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    held = transact(lambda session: claims.claim(session, publication, lease=0))
    assert held is not None
    _long_ago(publication)
    settled(tools)
    row = published(publication)
    with pytest.raises(claims.LeaseLost):
        transact(lambda session: outcomes.advance(session, held, "upload", {}))
    assert the(publication).remote == row.remote
