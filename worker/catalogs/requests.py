"""A product and a template become a render's request.

Variables: title, description (plain text), price, sale_price, currency, brand, link, ref, pictures (a list, in order).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.addresses.errors import AddressError
from worker.addresses.form import checked_form
from worker.catalogs.feeds import Problem, Product
from worker.catalogs.options import Options
from worker.media.quality import words
from worker.remote import hints, language
from worker.renders.store import NewRender
from worker.templates.errors import NotFilled, WrongVariables
from worker.templates.filling import Filler, filler
from worker.templates.limits import TEXT_CHARACTERS
from worker.templates.store import Found

MOST_PICTURES = 20
"""As many assets as a render takes; the variable `pictures` has no more either."""
LONGEST_ADDRESS = 2_048
LONGEST_REF = 200
"""Of `external_ref`, the prefix included."""


class NoRequest(Exception):
    """The product becomes no render; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True)
class Recipe:
    """What every product of one reading is made with."""

    template: Found
    options: Options
    api_key_id: str | None

    @property
    def filler(self) -> Filler:
        """The template's version, compiled."""
        return filler(self.template.version)

    def wants(self, product: Product) -> bool:
        """Whether it is to be rendered at all: drafts, archived and sold-out ones only where asked for."""
        if product.status != "active" and product.status not in self.options.include:
            return False
        return product.available or "out_of_stock" in self.options.include


@dataclass(frozen=True)
class Requested:
    """A product's request, and the variables that its template uses."""

    ref: str
    title: str
    request: NewRender
    used: Mapping[str, Any]
    pictures: tuple[str, ...]


def request(product: Product, recipe: Recipe) -> tuple[Requested, list[Problem]]:
    """The product's request, with remarks on what was left out of it. Raises NoRequest."""
    pictures, remarks = _pictures(product)
    external_ref = f"{recipe.options.ref_prefix}{product.ref}"
    if len(external_ref) > LONGEST_REF:
        detail = f"The ref has more than {LONGEST_REF} characters with its prefix: shorten it."
        raise NoRequest(Problem(product.place, product.ref, "item.long_ref", detail, fatal=True))
    used = _used(variables(product, pictures), recipe.filler)
    prompt = _prompt(product, used, recipe.filler)
    options, version = recipe.options, recipe.template.version
    made = NewRender(
        prompt=prompt,
        language=options.language or version.language or language.detect(prompt),
        assets=[{"url": address} for address in pictures],
        output=options.output,
        priority=options.priority,
        on_unconfirmed=options.on_unconfirmed,
        expect=words.read_filled(prompt, recipe.filler.own_words(used, strict=False), used.values()).in_full(),
        external_ref=external_ref,
        tags=list(dict.fromkeys(options.tags or version.tags)),
        metadata=options.metadata,
        hints=[{"code": one.code, "message": one.message} for one in hints.hints(prompt, pictures)],
        api_key_id=recipe.api_key_id,
        template_version_id=version.id,
        variables=dict(used),
    )
    return Requested(product.ref, product.title, made, used, tuple(pictures)), remarks


def variables(product: Product, pictures: list[str]) -> dict[str, Any]:
    """What a template may use of a product; what the feed does not say is None."""
    return {
        "title": product.title,
        "description": product.description or None,
        "price": product.price,
        "sale_price": product.sale_price,
        "currency": product.currency,
        "brand": product.brand,
        "link": product.link,
        "ref": product.ref,
        "pictures": pictures,
    }


NAMES = ("title", "description", "price", "sale_price", "currency", "brand", "link", "ref", "pictures")
"""What a product gives; a template that demands another variable fits no product."""


def _used(given: dict[str, Any], filler: Filler) -> dict[str, Any]:
    """Those that the template declares, each text cut to what it takes: a shop's description may be a page."""
    return {
        name: _cut(given[name], one.max_length or TEXT_CHARACTERS) if one.type == "text" else given[name]
        for name, one in filler.variables.items()
        if name in given and given[name] is not None
    }


def _cut(value: Any, most: int) -> Any:
    if not isinstance(value, str) or len(value) <= most:
        return value
    whole, *_ = value[: most - 1].rsplit(None, 1) or [""]  # a line's end parts words too
    return f"{whole}…"


def _prompt(product: Product, used: Mapping[str, Any], filler: Filler) -> str:
    try:
        return filler.fill(used, strict=False)
    except WrongVariables as error:
        detail = f"The template cannot be filled: {error}."
        raise NoRequest(Problem(product.place, product.ref, "template.variables", detail[:500], fatal=True)) from None
    except NotFilled as error:
        detail = f"The template gives no prompt: {error}."
        raise NoRequest(Problem(product.place, product.ref, "template.not_filled", detail[:500], fatal=True)) from None


def _pictures(product: Product) -> tuple[list[str], list[Problem]]:
    """The addresses that a render may have as assets, and a remark on each that it may not."""
    fit: list[str] = []
    remarks: list[Problem] = []
    for address in product.pictures:
        if len(fit) == MOST_PICTURES:
            detail = f"Of {len(product.pictures)} pictures the first {MOST_PICTURES} are used."
            remarks.append(Problem(product.place, product.ref, "picture.too_many", detail, fatal=False))
            break
        if wrong := _unfit(address):
            detail = f"The picture {address[:80]} is left out: {wrong}."
            remarks.append(Problem(product.place, product.ref, "picture.refused", detail, fatal=False))
        else:
            fit.append(address)
    return fit, remarks


def _unfit(address: str) -> str | None:
    if len(address) > LONGEST_ADDRESS:
        return f"its address has more than {LONGEST_ADDRESS} characters"
    try:
        checked_form(address)
    except (AddressError, ValueError) as error:
        return str(error)
    return None
