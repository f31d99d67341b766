"""What a template is filled with: declared with kind, default and bounds; checked whenever it is filled."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from worker.templates.errors import WrongVariables
from worker.templates.grammar import RESERVED, unprintable
from worker.templates.limits import (
    DESCRIPTION_CHARACTERS,
    GIVEN_CHARACTERS,
    ITEMS,
    LARGEST,
    NAME_CHARACTERS,
    TEXT_CHARACTERS,
    VALUE_CHARACTERS,
)
from worker.templates.values import kind

Kind = Literal["text", "number", "boolean", "list"]
Scalar = str | int | float | bool
Name = Annotated[str, StringConstraints(pattern=rf"^[A-Za-z][A-Za-z0-9_]{{0,{NAME_CHARACTERS - 1}}}$")]

_CONSTANTS = frozenset({"true", "false", "none", "True", "False", "None"})
_SYNTAX = frozenset({"and", "or", "not", "in", "is", "if", "elif", "else", "for", "set"})
_WORDS = RESERVED | _CONSTANTS | _SYNTAX


class Variable(BaseModel):
    """One variable. It has to be given unless it has a default or says `"required": false`; then it is nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Kind = "text"
    required: Annotated[bool, Field(strict=True)] | None = Field(
        None, description="Whether it has to be given; null: unless it has a default."
    )
    default: Annotated[Any, Field(json_schema_extra={"type": ["string", "number", "boolean", "array", "null"]})] = (
        Field(None, description="Its value where none is given; of the declared type.")
    )
    description: str = Field("", max_length=DESCRIPTION_CHARACTERS, description="For whoever fills the template.")
    max_length: Annotated[int, Field(ge=1, le=VALUE_CHARACTERS, strict=True)] | None = Field(
        None, description=f"Characters of a text ({TEXT_CHARACTERS:,} by default) or items of a list ({ITEMS})."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.required and self.default is not None:
            raise ValueError("what has a default is not required")
        if self.max_length is not None and self.type not in ("text", "list"):
            raise ValueError(f"`max_length` is for texts and lists, not for a {self.type}")
        if self.type == "list" and (self.max_length or 0) > ITEMS:
            raise ValueError(f"a list has at most {ITEMS} items")
        if self.default is not None and (wrong := self.wrong(self.default)):
            raise ValueError(f"the default {wrong}")
        if unprintable(self.description):
            raise ValueError("the description holds what is no character")
        return self

    @property
    def demanded(self) -> bool:
        """Whether it has to be given."""
        return self.default is None if self.required is None else self.required

    def wrong(self, value: object) -> str | None:
        """What is wrong with a value, after the words "the value"; None where nothing is."""
        return _CHECKS[self.type](self, value)


Declared = Mapping[str, Variable]


def reserved(name: str) -> bool:
    """Whether it is a word of the language, and so the name of no variable."""
    return name in _WORDS


def declared(kept: Mapping[str, Any]) -> dict[str, Variable]:
    """The variables as they are kept with a version. Raises ValidationError."""
    return {name: Variable.model_validate(one) for name, one in kept.items()}


def bound(declared: Declared, given: Mapping[str, object], *, strict: bool = True) -> dict[str, object]:
    """A value for each declared variable.

    Not `strict`, for the rows of a table: names that are not declared are passed over, and texts are read as what is
    declared (`9.5`, `true`, `["a", "b"]`; an empty one is not given).

    Raises WrongVariables.
    """
    if not strict:
        given = {name: from_text(declared[name], one) for name, one in given.items() if name in declared}
    if wrong := dict(_wrong(declared, given)):
        raise WrongVariables(wrong)
    return {name: one.default if given.get(name) is None else given[name] for name, one in declared.items()}


def from_text(variable: Variable, value: object) -> object:
    """A cell of a table as what is declared, or as it is where it cannot be that."""
    if not isinstance(value, str) or variable.type == "text":
        return value
    text = value.strip()
    if not text:
        return None
    if variable.type == "boolean":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower(), value)
    if variable.type == "list" and not text.startswith("["):
        return [text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return value


def _wrong(declared: Declared, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, variable in declared.items():
        value = given.get(name)
        if value is None:
            if variable.demanded:
                yield name, "it has to be given"
        elif wrong := variable.wrong(value):
            yield name, f"the value {wrong}"
    for name in given:
        if name not in declared:
            yield name, f"the template has no such variable (it has: {', '.join(declared) or 'none'})"[:300]
    if sum(map(_characters, given.values())) > GIVEN_CHARACTERS:
        yield "", f"all together they have more than {GIVEN_CHARACTERS:,} characters"


def _characters(value: object) -> int:
    return len(value) if isinstance(value, str) else sum(map(_characters, value)) if isinstance(value, list) else 0


def _text(variable: Variable, value: object) -> str | None:
    if not isinstance(value, str):
        return f"is {kind(value)}, where a text is declared"
    most = variable.max_length or TEXT_CHARACTERS
    return f"has {len(value):,} characters: at most {most:,}" if len(value) > most else _unkept(value)


def _number(variable: Variable, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {kind(value)}, where a number is declared"
    # Neither do infinity and NaN fit.
    return None if -LARGEST <= value <= LARGEST else f"is beyond {LARGEST:,}"


def _boolean(variable: Variable, value: object) -> str | None:
    return None if isinstance(value, bool) else f"is {kind(value)}, where true or false is declared"


def _list(variable: Variable, value: object) -> str | None:
    if not isinstance(value, list):
        return f"is {kind(value)}, where a list is declared"
    items: list[object] = value
    most = variable.max_length or ITEMS
    if len(items) > most:
        return f"has {len(items):,} items: at most {most:,}"
    return next((f"has in place {place}: {wrong}" for place, one in enumerate(items) if (wrong := _item(one))), None)


def _item(value: object) -> str | None:
    match value:
        case str():
            return "a text of over 2,000 characters" if len(value) > TEXT_CHARACTERS else unprintable(value)
        case int() | float():
            return None if -LARGEST <= value <= LARGEST else f"a number beyond {LARGEST:,}"
        case _:
            return f"{kind(value)}, where a text, a number or a boolean can be"


def _unkept(text: str) -> str | None:
    wrong = unprintable(text)
    return f"cannot be kept: {wrong}" if wrong else None


_CHECKS: dict[Kind, Callable[[Variable, object], str | None]] = {
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "list": _list,
}
