"""Addresses of pictures, out of cells, lists and JSON."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from worker.catalogs.feeds.problems import Problem, problem
from worker.catalogs.feeds.text import clean

MAX_PICTURES = 250
"""Of one product: Shopify's own limit, the highest of all."""
_LONGEST = 2048
_NEXT = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)
"""Between two addresses of a list. An address may hold a comma itself (`w_100,h_100`), so it alone divides nothing."""
_ADDRESS = re.compile(
    r"https?://(?:\[[0-9a-f:.]{2,45}\]|[^\s/?#@:\[\]\\<>\"\x00-\x20\x7f-\x9f]{1,253})(?::[0-9]{1,5})?"
    r"(?:[/?#][^\s\\<>\"\x00-\x20\x7f-\x9f]*)?",
    re.IGNORECASE,
)
_ADDRESS_KEYS = ("url", "src", "link", "href", "image_link", "originalSrc")
_MAX_JSON = 200_000


def addresses(value: str) -> Iterator[str]:
    """The addresses in one cell: one, a list, or JSON (a list of addresses or of objects with `url`)."""
    text = clean(value).strip()
    if text.startswith(("[", "{")) and len(text) <= _MAX_JSON:
        try:
            yield from addresses_in(json.loads(text))
            return
        except (ValueError, RecursionError):
            pass
    yield from filter(None, _NEXT.split(text))


def addresses_in(value: Any) -> Iterator[str]:
    """The addresses in a value that was JSON: a text, a list, or an object that names one."""
    for one in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if isinstance(one, str) and one.strip():
            yield one.strip()
        elif isinstance(one, dict):
            fields = cast("dict[str, Any]", one)
            named = (fields.get(key) for key in _ADDRESS_KEYS)
            address = next((address for address in named if isinstance(address, str) and address.strip()), None)
            if address:
                yield address.strip()


def is_picture_address(address: str) -> bool:
    """Whether somebody could fetch it: http or https, a host, no space; nothing is resolved."""
    return len(address) <= _LONGEST and bool(_ADDRESS.fullmatch(address))


class Pictures:
    """The pictures of one product, as they come; distinct and bounded."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}
        self._invalid: dict[str, int] = {}
        self._left_out: int | None = None

    def add(self, place: int, found: Iterable[str]) -> None:
        for address in found:
            if not is_picture_address(address):
                if len(self._invalid) < MAX_PICTURES:
                    self._invalid.setdefault(address[:_LONGEST], place)
            elif len(self._found) < MAX_PICTURES:
                self._found[address] = None
            elif address not in self._found and self._left_out is None:
                self._left_out = place

    def add_all(self, other: "Pictures") -> None:
        """Behind these."""
        for address in other._found:
            self.add(0, [address])
        for address, place in other._invalid.items():
            self._invalid.setdefault(address, place)
        self._left_out = self._left_out if self._left_out is not None else other._left_out

    def addresses(self) -> tuple[str, ...]:
        return tuple(self._found)

    def problems(self, place: int, ref: str) -> Iterator[Problem]:
        """What was left out, and that there is none at all."""
        for address, at in self._invalid.items():
            yield problem("picture.invalid", at, ref, address=address)
        if self._left_out is not None:
            yield problem("picture.too_many", self._left_out, ref, limit=MAX_PICTURES)
        if not self._found:
            yield problem("item.no_picture", place, ref)
