"""Credentials are proved by a call that changes nothing."""

import pytest

from tests.publishing.conftest import at_address, at_shopify, at_woocommerce, the_publisher
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import Shopify
from tests.publishing.woocommerce_standin import WooCommerce
from worker.publishing import driving
from worker.publishing.driving import Tools
from worker.publishing.errors import GivenUp


def test_each_kind(shopify: Shopify, woocommerce: WooCommerce, receiver: Receiver, tools: Tools):
    """The shop says who it is; any address, that somebody is there."""
    at = (at_shopify(shopify), at_woocommerce(woocommerce), at_address(receiver))
    told = [driving.check(the_publisher(one), tools) for one in at]
    assert told == ["A lamp shop", "The shopkeeper", "HTTP 405"]
    assert receiver.kept == {}


def test_wrong_ones_are_refused(shopify: Shopify, woocommerce: WooCommerce, tools: Tools):
    """With the code that a publication would fail with."""
    at = (at_shopify(shopify), at_woocommerce(woocommerce))
    shopify.token = woocommerce.password = "changed"
    for one in at:
        with pytest.raises(GivenUp) as refused:
            driving.check(the_publisher(one), tools)
        assert refused.value.code == "publish.refused"
        assert "shpat" not in str(refused.value)


def test_a_right_that_lacks_is_named(shopify: Shopify, woocommerce: WooCommerce, tools: Tools):
    """Before a video comes there: the token proves who asks, not what he may do."""
    at = (at_shopify(shopify), at_woocommerce(woocommerce))
    shopify.lacks.add("write_files")
    woocommerce.capabilities.pop("upload_files")
    for one, right in zip(at, ("write_files", "upload_files"), strict=True):
        with pytest.raises(GivenUp) as refused:
            driving.check(the_publisher(one), tools)
        assert (refused.value.code, right in refused.value.detail) == ("publish.refused", True)
