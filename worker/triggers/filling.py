"""What a mapping found in a message becomes a render's request, as a catalog's product does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.addresses.errors import AddressError
from worker.addresses.form import checked_form
from worker.catalogs.requests import LONGEST_ADDRESS, MOST_PICTURES, Recipe
from worker.media.quality import words
from worker.remote import hints, language
from worker.renders.store import NewRender
from worker.templates.errors import NotFilled, WrongVariables
from worker.triggers import mapping
from worker.triggers.wanted import Wanted


class NotFilledBy(Exception):
    """Nothing can be made of it; `code` is of docs/errors.md."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Filled:
    """The request, the variables that its prompt uses, and its pictures."""

    request: NewRender
    used: Mapping[str, Any]
    pictures: tuple[str, ...]


def filled(wanted: Wanted, recipe: Recipe, external_ref: str | None) -> Filled:
    """The template filled with what was mapped. Raises NotFilledBy."""
    filler, options, version = recipe.filler, recipe.options, recipe.template.version
    used = mapping.fitted(wanted.variables, filler.variables)
    prompt = _prompt(recipe, used)
    pictures = tuple(one for one in dict.fromkeys(wanted.pictures) if _fits(one))[:MOST_PICTURES]
    made = NewRender(
        prompt=prompt,
        language=options.language or version.language or language.detect(prompt),
        assets=[{"url": address} for address in pictures],
        output=options.output,
        priority=options.priority,
        on_unconfirmed=options.on_unconfirmed,
        expect=words.read_filled(prompt, filler.own_words(used, strict=False), used.values()).in_full(),
        external_ref=external_ref,
        tags=list(dict.fromkeys(options.tags or version.tags)),
        metadata=options.metadata,
        hints=[{"code": one.code, "message": one.message} for one in hints.hints(prompt, list(pictures))],
        api_key_id=recipe.api_key_id,
        template_version_id=version.id,
        variables=used,
    )
    return Filled(made, used, pictures)


def _prompt(recipe: Recipe, used: Mapping[str, Any]) -> str:
    try:
        return recipe.filler.fill(used, strict=False)
    except WrongVariables as error:
        raise NotFilledBy("template.variables", f"The template cannot be filled: {error}.") from None
    except NotFilled as error:
        raise NotFilledBy("template.not_filled", f"The template gives no prompt: {error}.") from None


def _fits(address: str) -> bool:
    """Whether a render may have it as an asset."""
    if len(address) > LONGEST_ADDRESS:
        return False
    try:
        checked_form(address)
    except (AddressError, ValueError):
        return False
    return True
