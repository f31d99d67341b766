"""Products in JSON: a list, a list in an object (`{"products": […]}`), or JSON Lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, cast

from worker.catalogs.feeds.encodings import HEAD_BYTES, Encoding
from worker.catalogs.feeds.json_text import MAX_ITEM, BrokenJson, ItemTooLarge, list_prefix, loads, values
from worker.catalogs.feeds.lines import MAX_RECORD, Lines, TooLarge
from worker.catalogs.feeds.merchant import read_record
from worker.catalogs.feeds.names import MERCHANT, are_of_products, fields_of, foreign, is_numbered_picture, plain
from worker.catalogs.feeds.pictures import addresses_in
from worker.catalogs.feeds.plain_text import MAX_HTML
from worker.catalogs.feeds.problems import Items, problem
from worker.catalogs.feeds.products import Fields
from worker.catalogs.feeds.refusals import NotAFeed
from worker.catalogs.feeds.shopify_json import unwrapped
from worker.catalogs.feeds.unique import unique

_FIELDS = fields_of(MERCHANT)
_PICTURES = frozenset({"image", "images"})
_LISTS = re.compile(
    r"(?:(?:data|feed|channel|catalog|result|response)\.)?"
    r"(?:products|items|entries|item|entry|data|results|catalog|offers|nodes)",
    re.IGNORECASE,
)
"""Where a list of products is in an object."""
_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class JsonFeed:
    """Where the items are: at ijson's `prefix`, or one a line where that is None."""

    path: Path
    encoding: Encoding
    prefix: str | None

    @property
    def format(self) -> str:
        return "jsonl" if self.prefix is None else "json"

    def items(self) -> Items:
        return unique(self._lines() if self.prefix is None else self._list(self.prefix))

    def names(self) -> dict[str, str | None]:
        """The keys of the first items, with the field that each is read into."""
        names: dict[str, str | None] = {}
        for value in islice(self._values(), _LOOKED_AT):
            if isinstance(value, dict):
                names.update({name: _field(plain(name)) for name in unwrapped(cast("dict[str, Any]", value))})
        return names

    def _values(self) -> Iterator[Any]:
        try:
            if self.prefix is not None:
                yield from values(self.path, self.encoding, self.prefix)
                return
            with self.encoding.open(self.path) as text:
                while line := text.readline(MAX_RECORD):
                    if line.strip():
                        yield loads(line)
        except (BrokenJson, ItemTooLarge):
            return

    def _list(self, prefix: str) -> Items:
        number = 0
        try:
            for value in values(self.path, self.encoding, prefix):
                number += 1
                yield from _product(number, value)
        except ItemTooLarge:
            yield problem("item.too_large", number + 1, limit=MAX_ITEM)
            yield problem("feed.broken", number + 1, reason="an item that is too large cannot be passed over")
        except BrokenJson as error:
            yield problem("feed.broken", number + 1, reason=error)

    def _lines(self) -> Items:
        with self.encoding.open(self.path) as text:
            lines = Lines(text)
            while True:
                lines.begin()
                try:
                    line = next(lines, None)
                except TooLarge:
                    yield problem("row.too_large", lines.place, limit=MAX_RECORD)
                    continue
                if line is None:
                    return
                if line.strip():
                    yield from _from_line(lines.place, line)


def find_list(head: str, path: Path, encoding: Encoding) -> JsonFeed:
    """The feed that a JSON text is. Raises NotAFeed."""
    feed = JsonFeed(path, encoding, _prefix(head, path, encoding))
    names = feed.names()
    if code := foreign(map(plain, names)):
        raise NotAFeed(code)
    if not names:
        raise NotAFeed("feed.not_products", "It is JSON without a list of objects.")
    if not are_of_products(field for field in names.values() if field):
        raise NotAFeed("feed.not_products", f"Its items have: {', '.join(names)[:300]}.")
    return feed


def _prefix(head: str, path: Path, encoding: Encoding) -> str | None:
    if head.lstrip().startswith("["):
        return "item"
    if _is_line(head):
        return None
    # or the whole is one object, perhaps one product
    return list_prefix(path, encoding, _LISTS) or ""


def _is_line(head: str) -> bool:
    """Whether the first line is a whole object by itself, and no list of products in one."""
    line = re.split(r"[\r\n]", head.strip(), maxsplit=1)[0]
    if len(line) >= HEAD_BYTES - 8:
        return False
    try:
        value = loads(line)
    except BrokenJson:
        return False
    return isinstance(value, dict) and not any(
        _LISTS.fullmatch(key) and isinstance(inner, list | dict) for key, inner in cast("dict[str, Any]", value).items()
    )


def _from_line(place: int, line: str) -> Items:
    try:
        value = loads(line)
    except BrokenJson as error:
        yield problem("item.broken", place, reason=error)
        return
    yield from _product(place, value)


def _product(place: int, value: Any) -> Items:
    if isinstance(value, dict):
        yield from read_record(place, fields_in(unwrapped(cast("dict[str, Any]", value))))
    else:
        yield problem("item.broken", place, reason="it is no object")


def fields_in(value: dict[str, Any]) -> Fields:
    """The values of an object, by field."""
    found: dict[str, list[tuple[int, list[str]]]] = {}
    for key, inner in value.items():
        name = plain(key)
        if (field := _field(name)) and (texts := list(_texts(field, inner))):
            rank = _FIELDS[name][1] if name in _FIELDS else 0
            found.setdefault(field, []).append((rank, texts))
    return {
        field: [text for _, texts in sorted(values, key=lambda one: one[0]) for text in texts]
        for field, values in found.items()
    }


def _field(name: str) -> str | None:
    if name in _FIELDS:
        return _FIELDS[name][0]
    return "images" if is_numbered_picture(name) else None


def _texts(field: str, value: Any) -> Iterator[str]:
    if field in _PICTURES:
        yield from addresses_in(value)
    elif isinstance(value, dict):  # a price as {"value": "19.90", "currency": "EUR"}, a brand as {"name": …}
        yield from _nested(cast("dict[str, Any]", value))
    elif isinstance(value, str):
        if value.strip():
            yield value[:MAX_HTML]
    elif isinstance(value, bool | int | Decimal):
        yield _plain_number(value)


def _nested(value: dict[str, Any]) -> Iterator[str]:
    amount = next((value[key] for key in ("value", "amount", "name", "title") if key in value), None)
    if isinstance(amount, str | int | Decimal):
        currency = value.get("currency") or value.get("currencyCode") or ""
        yield f"{amount} {currency}".strip()


def _plain_number(value: bool | int | Decimal) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 40 else str(value)
    return str(value) if abs(value) < 10**40 else ""
