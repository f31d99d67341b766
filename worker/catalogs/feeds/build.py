"""A product out of the fields of one record, whatever the format; with what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.catalogs.feeds.currencies import code_of
from worker.catalogs.feeds.pictures import Pictures
from worker.catalogs.feeds.plain_text import has_markup, to_plain_text
from worker.catalogs.feeds.prices import NoPrice, decimal_sign, read_price
from worker.catalogs.feeds.problems import Item, Problem, problem
from worker.catalogs.feeds.products import Product
from worker.catalogs.feeds.text import clean, one_line

MAX_REF = 255
MAX_TITLE = 500
MAX_DESCRIPTION = 20_000
MAX_NAME = 255
"""Characters of a brand."""
_LONGEST_ADDRESS = 2048


@dataclass(slots=True)
class Draft:
    """A product in the making. Texts are as read; `finish` tidies and bounds them."""

    place: int
    ref: str
    title: str = ""
    description: str = ""
    price: str = ""
    sale_price: str = ""
    currency: str = ""
    brand: str = ""
    link: str = ""
    status: str = "active"
    available: bool = True
    pictures: Pictures = field(default_factory=Pictures)


def finish(draft: Draft, ref_name: str) -> Iterator[Item]:
    """The product after the remarks about it; the one fatal problem alone where it is none."""
    ref = one_line(draft.ref[: 4 * MAX_REF])
    if not ref:
        yield problem("item.no_ref", draft.place, name=ref_name)
        return
    if len(ref) > MAX_REF:
        yield problem("item.bad_ref", draft.place, name=ref_name, limit=MAX_REF)
        return
    title = _title(draft.title)
    if not title:
        yield problem("item.no_title", draft.place, ref)
        return
    yield from _told(draft, ref, title)


def _told(draft: Draft, ref: str, title: str) -> Iterator[Item]:
    remarks: list[Problem] = []
    sign = decimal_sign(draft.price) or decimal_sign(draft.sale_price)
    price, currency = _price(draft, draft.price, sign, ref, remarks)
    sale_price, sale_currency = _price(draft, draft.sale_price, sign, ref, remarks)
    description = to_plain_text(draft.description)
    limits = {"title": (title, MAX_TITLE), "description": (description, MAX_DESCRIPTION)}
    for name, (text, limit) in limits.items():
        if len(text) > limit:
            remarks.append(problem("text.too_long", draft.place, ref, name=name, limit=limit))
    yield from remarks
    yield from draft.pictures.problems(draft.place, ref)
    yield Product(
        ref=ref,
        title=title[:MAX_TITLE].rstrip(),
        description=description[:MAX_DESCRIPTION].rstrip(),
        price=price,
        currency=currency or sale_currency or code_of(draft.currency[:10]),
        sale_price=sale_price,
        brand=one_line(draft.brand[: 4 * MAX_NAME])[:MAX_NAME] or None,
        link=_link(draft.link),
        pictures=draft.pictures.addresses(),
        status=draft.status,
        available=draft.available,
        place=draft.place,
    )


def _price(
    draft: Draft, text: str, sign: str | None, ref: str, remarks: list[Problem]
) -> tuple[str | None, str | None]:
    if not text.strip():
        return None, None
    try:
        price = read_price(text, code_of(draft.currency[:10]), sign)
    except NoPrice as none:
        remarks.append(problem(none.code, draft.place, ref, text=one_line(text[:100])))
        return None, None
    return price.amount, price.currency


def _title(text: str) -> str:
    """One line, without markup: shops escape titles once too often, and none is called "&amp;"."""
    line = one_line(text[: 8 * MAX_TITLE])
    return to_plain_text(line).replace("\n", " ") if has_markup(line) else line


def _link(text: str) -> str | None:
    link = clean(text[: 2 * _LONGEST_ADDRESS]).strip()
    return link if link.startswith(("http://", "https://")) and len(link) <= _LONGEST_ADDRESS else None
