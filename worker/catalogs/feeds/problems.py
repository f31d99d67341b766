"""What can be wrong with a part of a feed, and what helps. docs/catalogs.md lists every code."""

from collections.abc import Iterator
from dataclasses import dataclass

from worker.catalogs.feeds.products import Product


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one row or item."""

    place: int
    """As `Product.place`."""
    ref: str | None
    """The product's, where it is known."""
    code: str
    """Stable, a key of `KINDS`."""
    detail: str
    """For a person: what is wrong and what to do."""
    fatal: bool
    """True: the row or item is left out. False: a remark."""


Item = Product | Problem
Items = Iterator[Item]


@dataclass(frozen=True, slots=True)
class Kind:
    """`detail` may name facts in braces."""

    detail: str
    fatal: bool


KINDS = {
    "row.too_many_cells": Kind(
        "The row has {cells} cells under {columns} headers, so its cells may be shifted: put quotes around the cell "
        "that holds a delimiter.",
        fatal=True,
    ),
    "row.too_few_cells": Kind(
        "The row ends after {cells} of {columns} cells; the rest is taken as empty: export it whole.", fatal=False
    ),
    "row.unclosed_quote": Kind(
        'A quote that is opened here is never closed: close it, or write a quote inside a cell as "".', fatal=True
    ),
    "row.stray_quote": Kind(
        'A cell begins with a quote that its row does not close, so it is taken as text: write "" instead.',
        fatal=False,
    ),
    "row.too_large": Kind("The row is larger than {limit} characters: shorten it.", fatal=True),
    "item.no_ref": Kind("There is no {name} here, so nothing tells this product from others: fill it in.", fatal=True),
    "item.bad_ref": Kind("The {name} is longer than {limit} characters: shorten it.", fatal=True),
    "item.no_title": Kind("The product has no title: fill it in.", fatal=True),
    "item.repeated": Kind(
        "The same {name} was there before, and the first is used: give each product its own.", fatal=True
    ),
    "item.no_picture": Kind("The product has no usable picture: add the address of one.", fatal=False),
    "item.repaired": Kind(
        "The item is not well-formed ({reason}); what could be recovered is used: check it and correct its source.",
        fatal=False,
    ),
    "item.broken": Kind("The item cannot be read ({reason}): correct its source and export again.", fatal=True),
    "item.too_large": Kind("The item is larger than {limit} characters: shorten it.", fatal=True),
    "item.cut": Kind("The file ends in the middle of this item: export or download it again.", fatal=True),
    "feed.cut": Kind(
        "The file ends before its end, so products may be missing: export or download it again.", fatal=False
    ),
    "feed.broken": Kind(
        "The file cannot be read from here on ({reason}), so products are missing: correct it and export again.",
        fatal=True,
    ),
    "text.too_long": Kind("The {name} is longer than {limit} characters and was cut: shorten it.", fatal=False),
    "picture.invalid": Kind(
        "{address} is no http(s) address, so this picture is left out: give the whole address, beginning with "
        "https://, its spaces written as %20.",
        fatal=False,
    ),
    "picture.too_many": Kind("The product has more than {limit} pictures; the first are used.", fatal=False),
    "price.unreadable": Kind("{text} is no price, so it is left out: write it like 19.90 EUR.", fatal=False),
    "price.ambiguous": Kind(
        "{text} may be thousands or a decimal fraction, so it is left out: write it with two decimal places.",
        fatal=False,
    ),
    "variation.no_parent": Kind(
        "The variation's parent {parent} is not in the file, so it is left out: export the parent too.", fatal=True
    ),
}


def problem(code: str, place: int, ref: str | None = None, **facts: object) -> Problem:
    """The problem `code`, with the facts that its sentence names, each shortened for a person to read."""
    kind = KINDS[code]
    return Problem(
        place, ref, code, kind.detail.format(**{name: _short(fact) for name, fact in facts.items()}), kind.fatal
    )


def _short(fact: object) -> str:
    text = f"{fact:,}" if isinstance(fact, int) else str(fact)
    return text if len(text) <= 80 else f"{text[:79]}…"
