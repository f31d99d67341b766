"""A product as WooCommerce's REST interface and its webhooks give it, under the names that the generic reader knows.

What differs from others: `price` is what is asked now and `regular_price` what is asked otherwise, a sale that is not
on yet has a price already, brands are a list of objects, and what is hidden or planned is not "active".
"""

from collections.abc import Mapping
from typing import Any, cast

from worker.triggers.wanted import NotWanted

_STATUSES = {"publish": "active", "future": "draft", "trash": "archived"}
"""The others are called as everywhere."""


def as_fields(product: Mapping[str, Any]) -> dict[str, Any]:
    """The product as the reader takes it; told by its SKU or else its id, as in WooCommerce's CSV. Raises NotWanted."""
    if product.get("type") == "variation":
        raise NotWanted("trigger.variation", "It is a variation: its product sends a message of its own.")
    own = {name: value for name, value in product.items() if name not in _READ_HERE}
    return own | {
        "id": product.get("sku") or product.get("id"),
        "status": _status(product),
        "price": product.get("regular_price") or product.get("price"),
        "sale_price": product.get("sale_price") if product.get("on_sale", True) is True else None,
        "brand": _first_name(product.get("brands")),
        "description": product.get("description") or product.get("short_description"),
    }


_READ_HERE = frozenset({"sku", "status", "price", "regular_price", "sale_price", "brands", "short_description"})


def _status(product: Mapping[str, Any]) -> str:
    status = str(product.get("status") or "publish").casefold()
    hidden = product.get("catalog_visibility") == "hidden"
    return "draft" if hidden and status == "publish" else _STATUSES.get(status, status)


def _first_name(brands: Any) -> str | None:
    for one in cast("list[Any]", brands) if isinstance(brands, list) else []:
        if isinstance(one, dict) and isinstance(name := cast("dict[str, Any]", one).get("name"), str):
            return name
    return None
