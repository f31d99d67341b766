"""From any JSON to what a template is filled with: a JSON pointer for each variable.

    {"variables": {"title": "/name", "badge": {"const": "New"}, "price": {"pointer": "/price", "default": "0"}},
     "pictures": ["/images/*/src"], "external_ref": "/id", "revision": "/updated_at"}

`worker.triggers.pointers` says what a pointer is.
"""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import Any, Self, cast

from worker.catalogs.feeds.pictures import Pictures, addresses_in
from worker.catalogs.feeds.text import one_line
from worker.templates.grammar import unprintable
from worker.templates.limits import ITEMS, NAME_CHARACTERS, VALUE_CHARACTERS, VARIABLES
from worker.templates.variables import Declared
from worker.triggers import pointers
from worker.triggers.models import Style
from worker.triggers.moments import revision
from worker.triggers.payloads import plain
from worker.triggers.pointers import BadPointer
from worker.triggers.products import located
from worker.triggers.wanted import NotWanted, Wanted

MOST_PICTURES = 50
"""Pointers to pictures; one with `*` finds many."""
LONGEST_REF = 200
Place = str | Map[str, Any]
"""A pointer, `{"const": …}`, or `{"pointer": …, "default": …}`."""


@dataclass(frozen=True)
class Mapping:
    """Kept as JSON with the trigger; what is missing there has its default."""

    variables: dict[str, Place] = field(default_factory=dict[str, Place])
    """By name. One that leads to nothing, or to null, is not given: its default here, or else the template's."""
    pictures: list[str] = field(default_factory=list[str])
    """Pointers to an address, a list of addresses, or objects that have one (`src`, `url`)."""
    external_ref: str | None = None
    """Pointer to what tells the thing from others."""
    revision: str | None = None
    """Pointer to a number, or an ISO 8601 time: microseconds since 1970."""

    @classmethod
    def read(cls, kept: Map[str, Any]) -> Self:
        """From a trigger's row."""
        return cls(**{one.name: kept[one.name] for one in fields(cls) if one.name in kept})

    def kept(self) -> dict[str, Any]:
        """As a trigger's row has it."""
        return asdict(self)


def filled(payload: Any, mapping: Mapping, style: Style = Style.BEARER) -> Wanted:
    """What the message asks for, by the mapping. Raises NotWanted."""
    ref, number = _ref(payload, mapping.external_ref), None
    try:
        number = _revision(payload, mapping.revision)
        variables = dict(_variables(payload, mapping.variables))
    except NotWanted as error:
        raise error.about(ref, number) from None
    return Wanted(
        product=None,
        ref=ref,
        revision=number,
        variables=variables,
        pictures=_pictures(payload, mapping.pictures),
        locator=located(style, payload, ref),
    )


def fitted(variables: Map[str, Any], declared: Declared) -> dict[str, Any]:
    """The variables that are declared, each as its declaration has it where that can be done without loss of meaning:
    a number as text, one value as a list. The rest is left for the template to refuse."""
    return {
        name: _as_declared(value, declared[name].type)
        for name, value in variables.items()
        if name in declared and value is not None
    }


def _as_declared(value: Any, kind: str) -> Any:
    if kind == "list":
        return [_as_text(one) for one in (cast("list[Any]", value) if isinstance(value, list) else [value])]
    return _as_text(value) if kind == "text" else value


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return value


def _variables(payload: Any, places: Map[str, Place]) -> Iterator[tuple[str, Any]]:
    for name, place in places.items():
        value = _value(payload, place)
        if value is None:
            continue
        if not _is_variable(value):
            detail = f"What is there for `{name}` is {_called(value)}: point to a text, a number, or a list of those."
            raise NotWanted("trigger.variable", detail)
        yield name, value


def _value(payload: Any, place: Place) -> Any:
    if isinstance(place, str):
        return plain(pointers.get(payload, place).value)
    if "const" in place:
        return place["const"]
    got = pointers.get(payload, place["pointer"])
    empty = got.value is None or (got.many and not got.values)
    return place.get("default") if empty else plain(got.value)


def _is_variable(value: Any) -> bool:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return len(items) <= ITEMS and all(_is_variable(one) and not isinstance(one, list) for one in items)
    if isinstance(value, str):
        return len(value) <= VALUE_CHARACTERS
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _called(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of more than {ITEMS}, or of other than texts and numbers"
    return "an object" if isinstance(value, dict) else f"a text of more than {VALUE_CHARACTERS:,} characters"


def _ref(payload: Any, pointer: str | None) -> str | None:
    if pointer is None:
        return None
    value = pointers.get(payload, pointer).value
    text = one_line(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not 0 < len(text) <= LONGEST_REF:
        detail = f"At {pointer or 'the whole'} is no text or number of 1 to {LONGEST_REF} characters."
        raise NotWanted("trigger.no_ref", detail)
    return text


def _revision(payload: Any, pointer: str | None) -> int | None:
    """Nothing there is no revision, as of a thing that was never changed; something that is none would let an old
    state overtake a new one."""
    value = None if pointer is None else pointers.get(payload, pointer).value
    if value is None:
        return None
    if (number := revision(value)) is None:
        raise NotWanted("trigger.revision", f"At {pointer or 'the whole'} is neither a number nor an ISO 8601 time.")
    return number


def _pictures(payload: Any, places: Sequence[str]) -> tuple[str, ...]:
    found = Pictures()
    for pointer in places:
        found.add(1, addresses_in(pointers.get(payload, pointer).value))
    return found.addresses()


def wrong(kept: Any) -> list[tuple[str, str]]:
    """What is wrong with a mapping: JSON pointer (below it) and reason; `read` takes what has nothing wrong."""
    if not isinstance(kept, dict):
        return [("", "an object")]
    given = cast("dict[str, Any]", kept)
    known = [one.name for one in fields(Mapping)]
    unknown = [(f"/{_escaped(name)}", f"one of {', '.join(known)}") for name in given if name not in known]
    return unknown + list(_wrong_parts(given))


def undeclared(kept: Map[str, Any], declared: Declared) -> list[tuple[str, str]]:
    """Variables of a mapping that a template does not have, as `wrong` tells them: nobody would ever see a typo."""
    there = ", ".join(sorted(declared)) or "none"
    names = [name for name in kept.get("variables", {}) if name not in declared]
    return [(f"/variables/{_escaped(name)}", f"the template has no such variable; it has {there}") for name in names]


def _wrong_parts(given: Map[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _wrong_variables(given.get("variables", {}))
    pictures = given.get("pictures", [])
    if not isinstance(pictures, list) or len(cast("list[Any]", pictures)) > MOST_PICTURES:
        yield "/pictures", f"a list of at most {MOST_PICTURES} pointers"
    else:
        for at, one in enumerate(cast("list[Any]", pictures)):
            yield from _wrong_pointer(f"/pictures/{at}", one)
    for name in ("external_ref", "revision"):
        if given.get(name) is not None:
            yield from _wrong_pointer(f"/{name}", given[name])


def _wrong_variables(variables: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(variables, dict) or len(cast("dict[str, Any]", variables)) > VARIABLES:
        yield "/variables", f"an object of at most {VARIABLES} names"
        return
    for name, place in cast("dict[str, Any]", variables).items():
        at = f"/variables/{_escaped(name)}"
        if not 0 < len(name) <= NAME_CHARACTERS or unprintable(name):
            yield at, f"a name has 1 to {NAME_CHARACTERS} characters"
        yield from _wrong_place(at, place)


def _wrong_place(at: str, place: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(place, dict):
        yield from _wrong_pointer(at, place)
        return
    given = cast("dict[str, Any]", place)
    if given.keys() not in ({"const"}, {"pointer"}, {"pointer", "default"}):
        yield at, '{"const": …}, or {"pointer": …} with or without "default"'
        return
    if "pointer" in given:
        yield from _wrong_pointer(f"{at}/pointer", given["pointer"])
    for name in ("const", "default"):
        if (value := given.get(name)) is not None and not (_is_variable(value) and plain(value) == value):
            yield f"{at}/{name}", "a text, a number, true or false, or a list of those"


def _wrong_pointer(at: str, pointer: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(pointer, str):
        yield at, "a JSON pointer, such as /title"
        return
    try:
        pointers.names(pointer)
    except BadPointer as error:
        yield at, str(error)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")[:100]
