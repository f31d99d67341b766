"""A CSV file's columns as fields of a request."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from api import json_body
from api.problems import FieldError, Problem
from api.schemas import VideoRequest
from worker.templates.limits import NAME_CHARACTERS
from worker.templates.variables import reserved

ALIASES = {
    "ref": "external_ref",
    "sku": "external_ref",
    "asset": "assets",
    "tag": "tags",
    "deadline": "deadline_seconds",
}
IGNORED = "problem."
"""Columns that a file of rejected rows has beside its own: it is mended and sent as it is."""

_TEXT = frozenset({"prompt", "language", "priority", "on_unconfirmed", "external_ref", "template"})
_BETWEEN_ASSETS = re.compile(r"[\s|]+")
_BETWEEN_TAGS = re.compile(r"[,;|]")
_LEGAL = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{NAME_CHARACTERS - 1}}}")
_METADATA, _VARIABLES = "metadata.", "variables."


class Columns:
    """The meaning of a file's header.

    Raises Problem `batch.header` for a header that would have every row rejected, or a column ignored.
    """

    def __init__(self, header: Sequence[str], defaults: Mapping[str, Any]) -> None:
        self.header = [name.replace("\0", "").strip() for name in header]
        self._variables = "variables" in VideoRequest.model_fields and (
            "template" in defaults or "template" in map(_canonical, self.header)
        )
        self._names = [self._name(name) for name in self.header]
        self._check(defaults)

    def _name(self, given: str) -> str:
        name = _canonical(given)
        if name in VideoRequest.model_fields or name.startswith((_METADATA, IGNORED)):
            return _METADATA + given[len(_METADATA) :] if name.startswith(_METADATA) else name
        if self._variables and given:
            return _variable(given.removeprefix(_VARIABLES))
        return ""

    def _check(self, defaults: Mapping[str, Any]) -> None:
        unknown = [given for given, name in zip(self.header, self._names, strict=True) if not name]
        twice = [name for name, count in Counter(self._names).items() if name and count > 1]
        errors = [FieldError(given or "(no name)", "this column is unknown") for given in unknown]
        errors += [FieldError(name, "more than one column has this meaning") for name in twice]
        if not {"prompt", "template"} & {*self._names, *defaults}:
            errors.append(FieldError("prompt", "there is no such column, and no default"))
        if errors:
            raise Problem("batch.header", f"The first row is no header: {errors[0].detail}.", errors=errors[:20])

    def value(self, cells: Sequence[str]) -> dict[str, Any]:
        """What one row asks for. An empty cell is not there: a default stands in.

        Raises ValueError, whose text says what is wrong with a cell.
        """
        found: dict[str, Any] = {}
        for name, cell in zip(self._names, cells, strict=True):
            if not cell.strip() or name.startswith(IGNORED):
                continue
            if "\ufffd" in cell:
                raise ValueError(f"{name}: a character cannot be read; save the file as UTF-8")
            group, dot, key = name.partition(".")
            if dot:
                found.setdefault(group, {})[key] = cell
            elif name == "metadata":
                found["metadata"] = {**_object(name, cell), **found.get("metadata", {})}
            else:
                found[name] = _field(name, cell)
        return found


def _variable(given: str) -> str:
    """A template's variable; what can be the name of none is passed over, as a name is that the template does not
    have."""
    legal = next((one for one in (given, _canonical(given)) if _LEGAL.fullmatch(one) and not reserved(one)), None)
    return _VARIABLES + legal if legal is not None else IGNORED + given


def _canonical(given: str) -> str:
    name = re.sub(r"[\s-]+", "_", given.strip().lower())
    return ALIASES.get(name, name)


def _field(name: str, cell: str) -> Any:
    if name in _TEXT:
        return cell.strip()
    if name == "assets":
        places = [one for one in _BETWEEN_ASSETS.split(cell) if one]
        return [{"upload" if one.startswith("upl_") else "url": one} for one in places]
    if name == "tags":
        return [one.strip() for one in _BETWEEN_TAGS.split(cell) if one.strip()]
    try:
        return json_body.parse(cell)
    except json_body.NotJson:
        return cell.strip()


def _object(name: str, cell: str) -> dict[str, Any]:
    try:
        value = json_body.parse(cell)
    except json_body.NotJson as why:
        raise ValueError(f"{name}: no JSON: {why}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name}: give a JSON object, or columns named metadata.KEY")
    return value
