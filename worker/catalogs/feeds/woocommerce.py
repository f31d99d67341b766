"""WooCommerce's CSV: variations belong to their parent, which may come later and is named by SKU or by `id:`."""

import re
from collections.abc import Iterable, Iterator

from worker.catalogs.feeds.build import Draft, finish
from worker.catalogs.feeds.merchant import first, is_available, status_of
from worker.catalogs.feeds.pictures import MAX_PICTURES, addresses
from worker.catalogs.feeds.problems import Item, problem
from worker.catalogs.feeds.products import Fields
from worker.catalogs.feeds.scratch import Part, Parts

_LIST = re.compile(r"(?<!\\),\s*")
_GUARDED = re.compile(r"'(?=[=+\-@])")
_OF_VARIATIONS = ("image", "price", "sale_price", "published")
REF = "SKU or ID"


def put(parts: Parts, place: int, fields: Fields) -> Iterator[Item]:
    """Keep a row until its parent is known; what belongs to nothing is told at once."""
    fields = {name: [_unguarded(value) for value in values] for name, values in fields.items()}
    if is_variation(fields):
        parent = _key(first(fields, "parent"))
        if parent:
            parts.attach(place, parent, fields)
        else:
            yield problem("variation.no_parent", place, ref_of(fields) or None, parent="(empty)")
    elif keys := [key for key in (_key(first(fields, "sku")), _id_key(first(fields, "id"))) if key]:
        parts.begin(place, keys, fields)
    else:
        yield problem("item.no_ref", place, name=REF)


def orphan(part: Part) -> Item:
    """A variation whose parent is not in the file."""
    place, fields = part
    return problem("variation.no_parent", place, ref_of(fields) or None, parent=first(fields, "parent"))


def merge(parts: Iterable[Part]) -> Iterator[Item]:
    """The product that a row and its variations make."""
    draft: Draft | None = None
    variations: list[Part] = []
    for place, fields in parts:
        if is_variation(fields):
            if len(variations) < MAX_PICTURES:  # a bound: each adds a picture
                variations.append((place, {name: fields[name] for name in _OF_VARIATIONS if name in fields}))
        elif draft is None:
            draft = _draft(place, fields)
        else:
            yield problem("item.repeated", place, ref_of(fields), name=REF)
    if draft is None:
        return
    for place, fields in variations:
        _add_pictures(draft, place, fields)
        _add_price(draft, fields)
    yield from finish(draft, REF)


def is_variation(fields: Fields) -> bool:
    kinds = {kind.strip().casefold() for kind in first(fields, "type").split(",")}
    return "variation" in kinds


def ref_of(fields: Fields) -> str:
    return first(fields, "sku").strip() or first(fields, "id").strip()


def _draft(place: int, fields: Fields) -> Draft:
    text = first(fields, "description") or first(fields, "short_description")
    draft = Draft(
        place=place,
        ref=ref_of(fields),
        title=first(fields, "title"),
        description=text.replace("\\n", "\n"),
        price=first(fields, "price"),
        sale_price=first(fields, "sale_price"),
        brand=first(fields, "brand"),
        link=first(fields, "link"),
        status=status_of(fields),
        available=is_available(fields),
    )
    _add_pictures(draft, place, fields)
    return draft


def _add_pictures(draft: Draft, place: int, fields: Fields) -> None:
    for value in fields.get("image", ()):
        for one in _LIST.split(value):
            draft.pictures.add(place, addresses(one.replace("\\,", ",")))


def _add_price(draft: Draft, fields: Fields) -> None:
    """A variable product has no price but its variations': that of the first that is published, sale price and all."""
    if not draft.price and not draft.sale_price and first(fields, "price") and status_of(fields) == "active":
        draft.price, draft.sale_price = first(fields, "price"), first(fields, "sale_price")


def _unguarded(value: str) -> str:
    """Without the sign that keeps spreadsheets from running a cell as a formula."""
    return _GUARDED.sub("", value, count=1) if value.startswith("'") else value


def _key(text: str) -> str:
    """SKUs are the same whatever their case, as in the shop's own database; `id:44` is a key as it stands."""
    return " ".join(text.casefold().split())


def _id_key(text: str) -> str:
    return f"id:{text.strip()}" if text.strip() else ""
