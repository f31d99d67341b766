"""A video is put into WordPress's library and onto a product: end to end, in trouble, replaced, refused."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.publishing.conftest import a_publisher, asked, at_woocommerce, published, settled, the
from tests.publishing.standin import Reply
from tests.publishing.woocommerce_standin import KEY, PASSWORD, SECRET, USER, WooCommerce
from worker.database import transact
from worker.publishing import driving
from worker.publishing.driving import Tools
from worker.publishing.job import Next
from worker.publishing.models import Publisher, PublisherKind

Make = Callable[..., str]


def test_a_video_comes_onto_its_product(woocommerce: WooCommerce, tools: Tools, render: Make, video: bytes):
    """Its address and its number are in the product's fields, its bytes in the library."""
    product = woocommerce.has(7, "LAMP")
    publication = asked(at_woocommerce(woocommerce), render(), sku="lamp")
    settled(tools)
    number = published(publication).remote["media_id"]
    assert woocommerce.files[number] == video
    address = woocommerce.library[number]["source_url"]
    assert woocommerce.meta(product) == {"_vivideo_video": address, "_vivideo_video_id": str(number)}


@pytest.mark.parametrize("where", [{"id": 7}, {"sku": "L7"}, {"handle": "lamp-7"}, {"sku_or_id": "7"}], ids=str)
def test_a_product_is_found_by_whatever_is_known(
    woocommerce: WooCommerce, tools: Tools, render: Make, where: dict[str, str]
):
    """Its number, its SKU, its slug, or what may be either."""
    product = woocommerce.has(7, "L7")
    woocommerce.has(8, "L77")
    publication = asked(at_woocommerce(woocommerce, meta_key="clip"), render(), **where)
    settled(tools)
    published(publication)
    assert set(woocommerce.meta(product)) == {"clip", "clip_id"}


def test_a_variation_stands_for_its_product(woocommerce: WooCommerce, tools: Tools, render: Make):
    """Shops show a product's video, not a variation's."""
    product = woocommerce.has(7)
    woocommerce.has(8, "L7-RED", parent_id=7, kind="variation")
    publication = asked(at_woocommerce(woocommerce), render(), sku="L7-RED")
    settled(tools)
    published(publication)
    assert woocommerce.meta(product)


def test_a_product_with_a_parent_stands_for_itself(woocommerce: WooCommerce, tools: Tools, render: Make):
    """Products have that field too."""
    parent, product = woocommerce.has(7), woocommerce.has(8, "L7-RED", parent_id=7)
    publication = asked(at_woocommerce(woocommerce), render(), sku="L7-RED")
    settled(tools)
    published(publication)
    assert (woocommerce.meta(parent), "_vivideo_video" in woocommerce.meta(product)) == ({}, True)


@pytest.mark.parametrize("where", [{"id": 7}, {"sku": "L7"}, {"sku_or_id": "7"}], ids=str)
def test_an_address_without_woocommerce_lacks_no_product(
    woocommerce: WooCommerce, tools: Tools, render: Make, where: dict[str, Any]
):
    """It is the settings: the shop's own words say so."""
    woocommerce.has(7)
    woocommerce.routes = False
    publication = asked(at_woocommerce(woocommerce), render(), **where)
    settled(tools)
    row = the(publication)
    assert (row.error_code, "No route" in (row.error_detail or "")) == ("publish.rejected", True)


def test_a_page_that_was_not_found_is_no_product_that_is_not_there(
    woocommerce: WooCommerce, tools: Tools, render: Make
):
    """A web server's own 404 will not pass either."""
    woocommerce.has(7)
    woocommerce.fails("GET /wc/v3/products/N", Reply(404, b"<html>not found"), before=True)
    publication = asked(at_woocommerce(woocommerce), render(), id=7)
    settled(tools)
    assert the(publication).error_code == "publish.rejected"


def test_keys_of_woocommerce_are_used_for_products(woocommerce: WooCommerce, tools: Tools, render: Make):
    """And the application password for the library alone."""
    woocommerce.has(7)
    given = {"user": USER, "application_password": PASSWORD, "consumer_key": KEY, "consumer_secret": SECRET}
    publication = asked(a_publisher("woocommerce", {"url": woocommerce.url}, given), render(), id=7)
    settled(tools)
    published(publication)


@pytest.mark.parametrize("replace", [True, False])
def test_a_newer_video_replaces_ours_and_nothing_else(
    woocommerce: WooCommerce, tools: Tools, render: Make, replace: bool
):
    """A file of the merchant's own stays, and so does ours where the publisher was told so."""
    product, publisher = woocommerce.has(7), at_woocommerce(woocommerce, replace=replace)
    woocommerce.library[1] = {"id": 1, "media_type": "file", "source_url": "https://x.example/mine.mp4"}
    first = asked(publisher, render(), id=7)
    settled(tools)
    second = asked(publisher, render(), id=7)
    settled(tools)
    old, new = published(first).remote["media_id"], published(second).remote["media_id"]
    assert woocommerce.meta(product)["_vivideo_video_id"] == str(new)
    assert sorted(woocommerce.library) == ([1, new] if replace else [1, old, new])


def test_a_video_on_another_product_is_left_there(woocommerce: WooCommerce, tools: Tools, render: Make):
    """The reference leads to another product by now: the one of before still names the file."""
    old, publisher = woocommerce.has(7), at_woocommerce(woocommerce)
    woocommerce.has(8)
    first = asked(publisher, render(), id=7)
    settled(tools)
    asked(publisher, render(), id=8)
    settled(tools)
    assert woocommerce.meta(old)["_vivideo_video_id"] == str(published(first).remote["media_id"])
    assert (woocommerce.deleted, len(woocommerce.library)) == ([], 2)


@pytest.mark.parametrize("theirs", [False, True])
def test_another_field_leaves_no_dead_address_in_the_old_one(
    woocommerce: WooCommerce, tools: Tools, render: Make, theirs: bool
):
    """It is emptied before the file goes; what somebody else has put there since stays."""
    product, publisher = woocommerce.has(7), at_woocommerce(woocommerce)
    asked(publisher, render(), id=7)
    settled(tools)
    if theirs:
        for field in product["meta_data"]:
            field["value"] = "1234"

    def rename(session: Session) -> None:
        row = session.get_one(Publisher, publisher)
        row.settings = row.settings | {"meta_key": "clip"}

    transact(rename)
    new = asked(publisher, render(), id=7)
    settled(tools)
    media = published(new).remote["media_id"]
    kept = "1234" if theirs else ""
    address = woocommerce.library[media]["source_url"]
    fields = {"_vivideo_video": kept, "_vivideo_video_id": kept, "clip": address, "clip_id": str(media)}
    assert (woocommerce.meta(product), list(woocommerce.library)) == (fields, [media])


@pytest.mark.parametrize(
    "name", ["GET /wc/v3/products/N", "GET /wp/v2/media", "POST /wp/v2/media", "PUT /wc/v3/products/N"]
)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_lost_answer_brings_nothing_twice(
    woocommerce: WooCommerce, tools: Tools, render: Make, name: str, before: bool
):
    """Whatever call it was of, and whether it had its effect."""
    woocommerce.has(7)
    for reply in (None, Reply(502, b"<html>")):
        woocommerce.fails(name, reply, before=before)
    publication = asked(at_woocommerce(woocommerce), render(), id=7)
    settled(tools)
    assert list(woocommerce.library) == [published(publication).remote["media_id"]]


def test_refused_and_not_found_are_said(woocommerce: WooCommerce, tools: Tools, render: Make):
    """In the shop's own words."""
    publisher = at_woocommerce(woocommerce)
    missing = asked(publisher, render(), id=9)
    settled(tools)
    assert the(missing).error_code == "publish.no_product"
    woocommerce.password = "changed"
    refused = asked(publisher, render(), ref="other", id=9)
    settled(tools)
    assert the(refused).error_code == "publish.refused"


def test_a_page_of_maintenance_is_no_answer(woocommerce: WooCommerce, tools: Tools, render: Make):
    """It may come with 200."""
    woocommerce.has(7)
    woocommerce.fails("GET /wp/v2/media", Reply(200, b"<html>back soon</html>"), before=True)
    publication = asked(at_woocommerce(woocommerce), render(), id=7)
    settled(tools)
    published(publication)


@pytest.mark.parametrize(
    "address", ["https://x.example/a\x00b.mp4", "https://x.example/\ud800", "", "https://" + "x" * 3000, 7]
)
def test_an_address_that_cannot_be_kept(woocommerce: WooCommerce, tools: Tools, render: Make, address: object):
    """A try that failed, so that it ends one day, not a claim that lapses and is taken again for ever."""
    woocommerce.has(7)
    told = Reply(201, {"id": 500, "media_type": "file", "source_url": address})
    woocommerce.fails("POST /wp/v2/media", told, before=True)
    publication = asked(at_woocommerce(woocommerce), render(), id=7)
    driving.drive(publication, 0, tools)
    row = the(publication)
    assert (row.state, row.tries, row.error_code, row.lease_until) == ("pending", 1, "publish.unavailable", None)


def test_what_the_database_refuses_is_a_try(
    woocommerce: WooCommerce, tools: Tools, render: Make, monkeypatch: pytest.MonkeyPatch
):
    """Whatever slipped through: only a fault of the database's that passes is left to the next claim."""
    woocommerce.has(7)

    def begin(_: object) -> Next:
        return Next("upload", {"product_id": "\x00"})

    monkeypatch.setitem(driving.STEPS, PublisherKind.WOOCOMMERCE, {"begin": begin})
    publication = asked(at_woocommerce(woocommerce), render(), id=7)
    driving.drive(publication, 0, tools)
    assert (the(publication).tries, the(publication).error_code) == (1, "publish.internal")


def test_a_right_to_delete_that_lacks_is_a_remark(woocommerce: WooCommerce, tools: Tools, render: Make):
    """The new video is on the product."""
    woocommerce.has(7)
    publisher = at_woocommerce(woocommerce)
    asked(publisher, render(), id=7)
    settled(tools)
    woocommerce.fails("DELETE /wp/v2/media/N", Reply(403, {"message": "Sorry, not allowed."}), before=True)
    second = asked(publisher, render(), id=7)
    settled(tools)
    assert "not allowed" in published(second).remote["remark"]
