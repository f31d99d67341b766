"""Shopify's JSON, as its interface, its webhooks and a shop's own `products.json` give it: what a product says only by
its variants, or by a field that is null."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from worker.catalogs.feeds.merchant import is_none_left
from worker.catalogs.feeds.names import MERCHANT, plain

_PRICES = ("price", "compare_at_price", "sku")
_SAID = frozenset(MERCHANT["availability"] + MERCHANT["stock"])


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The product in `{"product": {…}}`, with what its variants say where it does not say so itself: the first one's
    price, and whether all of them are sold out. One without a time at which it was published is unpublished."""
    inner = value.get("product")
    if len(value) == 1 and isinstance(inner, dict):
        value = cast("dict[str, Any]", inner)
    if value.get("published_at", "") is None and "published" not in value:
        value = value | {"published": False}
    variants = value.get("variants")
    return _with_variants(value, cast("list[Any]", variants)) if isinstance(variants, list) else value


def _with_variants(value: dict[str, Any], variants: Sequence[Any]) -> dict[str, Any]:
    sound = [cast("dict[str, Any]", one) for one in variants if isinstance(one, dict)]
    if sound and "price" not in value:
        value = value | {name: sound[0][name] for name in _PRICES if name in sound[0]}
    if sound and not any(plain(name) in _SAID for name in value):
        value = value | {"available": not all(map(_is_sold_out, sound))}
    return value


def _is_sold_out(variant: Mapping[str, Any]) -> bool:
    """By its own word; else stock counts where it is kept (`inventory_management` is not null), and where the shop
    says that it does not sell on without."""
    if isinstance(available := variant.get("available"), bool):
        return not available
    kept = variant.get("inventory_management", "") is not None
    left = variant.get("inventory_quantity")
    deny = str(variant.get("inventory_policy")).casefold() == "deny"
    return kept and deny and isinstance(left, int | str | Decimal) and is_none_left(str(left))
