"""A product, whatever it was read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Fields = Mapping[str, Sequence[str]]
"""Values by the field of `names.py` that they belong to, best first; no value is blank."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a feed. Drafts and what is sold out are here too, marked: choosing is somebody else's."""

    ref: str
    """Handle (Shopify), SKU or else id (WooCommerce), id elsewhere. At most 255 characters."""
    title: str
    """One line, at most 500 characters."""
    description: str
    """Plain text, a paragraph a line; "" where there is none."""
    price: str | None
    """Regular price, a decimal number as read: "19.90"."""
    currency: str | None
    """ISO 4217: "EUR". None where the feed does not say."""
    sale_price: str | None
    """What is asked now, where that is less than `price`."""
    brand: str | None
    link: str | None
    pictures: tuple[str, ...]
    """http(s) addresses in their order, distinct, at most 250."""
    status: str
    """"active", "draft" or "archived"."""
    available: bool
    """False: out of stock."""
    place: int
    """Physical line of the record's first line (text), or number of the item (XML, JSON); from 1."""
