"""Google Merchant, Meta, JSON and tables of one's own: a record is a product."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from worker.catalogs.feeds.build import Draft, finish
from worker.catalogs.feeds.pictures import addresses
from worker.catalogs.feeds.problems import Item
from worker.catalogs.feeds.products import Fields

_SOLD_OUT_WORDS = (
    "out of stock|outofstock|oos|sold out|discontinued|not available|unavailable|no|false|0|nicht vorrätig|ausverkauft"
)
_SOLD_OUT = frozenset(_SOLD_OUT_WORDS.split("|"))
_STATUSES = {
    "draft": "draft",
    "staging": "draft",
    "hidden": "draft",
    "inactive": "draft",
    "disabled": "draft",
    "unpublished": "draft",
    "private": "draft",
    "pending": "draft",
    "unlisted": "draft",
    "archived": "archived",
    "deleted": "archived",
}
_NO = frozenset({"false", "0", "-1", "no", "none", "null"})


def first(fields: Fields, name: str) -> str:
    """The best value of a field, "" where there is none."""
    values = fields.get(name)
    return values[0] if values else ""


def read_record(place: int, fields: Fields, ref_name: str = "id") -> Iterator[Item]:
    """The product in a record, after the remarks about it, or why it is none."""
    draft = Draft(
        place=place,
        ref=first(fields, "ref"),
        title=first(fields, "title"),
        description=first(fields, "description"),
        price=first(fields, "price"),
        sale_price=first(fields, "sale_price"),
        currency=first(fields, "currency"),
        brand=first(fields, "brand"),
        link=first(fields, "link"),
        status=status_of(fields),
        available=is_available(fields),
    )
    if not draft.sale_price and (compare := first(fields, "compare_price")):
        draft.price, draft.sale_price = reduced(draft.price, compare)
    for name in ("image", "images"):
        for value in fields.get(name, ()):
            draft.pictures.add(place, addresses(value))
    return finish(draft, ref_name)


def reduced(price: str, compare: str) -> tuple[str, str]:
    """Regular and sale price where a shop keeps what is asked now and what was asked before."""
    try:
        if Decimal(compare.strip()) > Decimal(price.strip()):
            return compare, price
    except InvalidOperation:
        pass
    return price, ""


def status_of(fields: Fields) -> str:
    """Of `status`; "draft" too where `published` says no."""
    status = _STATUSES.get(first(fields, "status").strip().casefold(), "active")
    unpublished = first(fields, "published").strip().casefold() in _NO
    return "draft" if status == "active" and unpublished else status


def is_available(fields: Fields) -> bool:
    """By `availability`; by `stock` where that is not there."""
    words = first(fields, "availability").strip().casefold().replace("_", " ").rpartition("/")[2]
    if words:
        return words not in _SOLD_OUT
    return not is_none_left(first(fields, "stock"))


def is_none_left(stock: str) -> bool:
    """Whether a stock says so."""
    try:
        return Decimal(stock.strip()) <= 0
    except InvalidOperation:
        return False
