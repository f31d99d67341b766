"""Shopify's CSV: the rows of a handle make a product, wherever they stand.

The first row that has a title tells about the product; every row may add a variant and a picture. `Image Src` is a
picture of the product, whichever variant's row it stands on; `Variant Image` is that variant's own and comes behind.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from worker.catalogs.feeds.build import Draft, finish
from worker.catalogs.feeds.merchant import first, is_none_left, reduced, status_of
from worker.catalogs.feeds.pictures import MAX_PICTURES, Pictures, addresses
from worker.catalogs.feeds.problems import Item
from worker.catalogs.feeds.products import Fields
from worker.catalogs.feeds.scratch import Part

_DENY = frozenset({"deny", "false", "no", ""})


def merge(handle: str, parts: Iterable[Part]) -> Iterator[Item]:
    """The product that the rows of one handle make; nothing is held of a row but what the product needs."""
    merging = _Merging(handle)
    for place, fields in parts:
        merging.add(place, fields)
    return finish(merging.draft(), "handle")


@dataclass(slots=True)
class _Merging:
    handle: str
    place: int = 0
    about: Fields = field(default_factory=dict[str, list[str]])
    priced: Fields = field(default_factory=dict[str, list[str]])
    pictures: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    variant_pictures: Pictures = field(default_factory=Pictures)
    variants: int = 0
    in_stock: bool = False

    def add(self, place: int, fields: Fields) -> None:
        self.place = self.place or place
        if "title" in fields and "title" not in self.about:
            self.about = fields
        if "price" in fields and "price" not in self.priced:
            self.priced = fields
        if fields.keys() & {"price", "option", "sku"}:
            self.variants += 1
            self.in_stock = self.in_stock or not _is_sold_out(fields)
        self._add_pictures(place, fields)

    def draft(self) -> Draft:
        price, sale_price = reduced(first(self.priced, "price"), first(self.priced, "compare_price"))
        pictures = Pictures()
        for _, place, address in sorted(self.pictures, key=lambda one: one[0]):
            pictures.add(place, [address])
        pictures.add_all(self.variant_pictures)
        return Draft(
            place=self.place,
            ref=self.handle,
            title=first(self.about, "title"),
            description=first(self.about, "description"),
            price=price,
            sale_price=sale_price,
            brand=first(self.about, "brand"),
            status=status_of(self.about),
            available=self.in_stock or not self.variants,
            pictures=pictures,
        )

    def _add_pictures(self, place: int, fields: Fields) -> None:
        previous = self.pictures[-1][0] if self.pictures else 0.0
        for value in fields.get("image", ()):
            if len(self.pictures) <= 4 * MAX_PICTURES:  # repeats are dropped later; a bound all the same
                position = _position(first(fields, "position"), previous)
                self.pictures.extend((position, place, address) for address in addresses(value))
        for value in fields.get("variant_image", ()):
            self.variant_pictures.add(place, addresses(value))


def _position(text: str, previous: float) -> float:
    """Where a row does not say, the picture follows the row's before it."""
    try:
        return float(int(text))
    except ValueError:
        return previous


def _is_sold_out(fields: Fields) -> bool:
    """Stock counts only where it is tracked, and not where the shop sells on without."""
    tracked = bool(first(fields, "tracker"))
    return tracked and first(fields, "policy").strip().casefold() in _DENY and is_none_left(first(fields, "stock"))
