"""Which messages may render."""

import time

import pytest

from worker.triggers import topics
from worker.triggers.models import Style
from worker.triggers.topics import renders


@pytest.mark.parametrize(
    ("style", "topic", "may"),
    [
        (Style.SHOPIFY, "products/create", True),
        (Style.SHOPIFY, "products/update", True),
        (Style.SHOPIFY, "products/delete", False),
        (Style.SHOPIFY, "orders/create", False),
        (Style.SHOPIFY, None, False),
        (Style.WOOCOMMERCE, "product.created", True),
        (Style.WOOCOMMERCE, "product.updated", True),
        (Style.WOOCOMMERCE, "product.restored", True),
        (Style.WOOCOMMERCE, "product.deleted", False),
        (Style.WOOCOMMERCE, "action.woocommerce_add_to_cart", False),
        *((style, topic, True) for style in ("standard", "github", "stripe", "bearer") for topic in ("x", None)),
    ],
)
def test_a_styles_own(style: str, topic: str | None, may: bool):
    """Those that tell of a product to be shown; all where the style has none."""
    assert renders(Style(style), topic, None) is may


@pytest.mark.parametrize(
    ("listed", "topic", "may"),
    [
        (["products/*"], "products/delete", True),
        (["products/*"], "products/", True),
        (["products/*"], "product/x", False),
        (["*"], None, True),
        (["*"], "anything", True),
        ([], "products/update", False),
        (["products/update"], "products/create", False),
        (["a*b*c"], "a-b-c", True),
        (["a*b*c"], "abc", True),
        (["a*b*c"], "acb", False),
        (["a*a"], "a", False),
        (["*a"], "ba", True),
        (["a?", "[ab]"], "ab", False),
        (["x", "*/create"], "products/create", True),
    ],
)
def test_a_triggers_own(listed: list[str], topic: str | None, may: bool):
    """Take the place of the style's; only `*` means something else than itself."""
    assert renders(Style.SHOPIFY, topic, listed) is may


def test_many_stars_are_no_search_without_end():
    """A hundred of them over a long topic."""
    begun = time.perf_counter()
    assert not renders(Style.BEARER, "a" * 200, ["*a" * 99 + "b"])
    assert time.perf_counter() - begun < 0.1


def test_what_is_wrong_with_topics():
    """Each with its place."""
    assert topics.wrong(["a", "products/*"]) == []
    assert [at for at, _ in topics.wrong(["a", "", "x" * 201])] == ["/1", "/2"]
    assert [at for at, _ in topics.wrong(["a"] * 51)] == [""]
