"""From the command line to a trigger: its mapping, its conditions, its secret. What is wrong raises Mistake."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.cli.reporting import Mistake, say

LARGEST_BODY = 4 * 1024 * 1024
"""Of a message, as the service takes it."""
_LONGEST_SECRET = 4_096
_IN_A_HEADER = {"shopify": "products/update", "woocommerce": "product.updated", "github": None}
"""Styles whose topic is not in the body, with one that renders where a trigger lists none."""


def secret(given: str | None) -> str | None:
    """The secret; `-` is a line of standard input, which neither a shell's history nor a list of processes shows."""
    if given != "-":
        return given
    if sys.stdin.isatty():
        say("type the secret, then Enter")
    return sys.stdin.readline(_LONGEST_SECRET).rstrip("\r\n")


def conditions(when: Sequence[str], changed: Sequence[str], exists: Sequence[str]) -> list[dict[str, Any]]:
    """`POINTER=TEXT`, `POINTER!=TEXT`, `POINTER:=JSON` (a list: one of it), and pointers that change or are there."""
    made = [_condition(one) for one in when]
    made += [{"pointer": one, "exists": True} for one in exists]
    return made + [{"pointer": one, "changed": True} for one in changed]


def _condition(pair: str) -> dict[str, Any]:
    pointer, equals, value = pair.partition("=")
    if not equals:
        raise Mistake(f"--when takes POINTER=TEXT, POINTER!=TEXT or POINTER:=JSON, not {pair!r}")
    if pointer.endswith("!"):
        return {"pointer": pointer[:-1], "not_equals": value}
    if not pointer.endswith(":"):
        return {"pointer": pointer, "equals": value}
    parsed = _json(value, pair)
    return {"pointer": pointer[:-1], "in" if isinstance(parsed, list) else "equals": parsed}


def mapping(
    before: Mapping[str, Any],
    variables: Sequence[str],
    pictures: Sequence[str],
    others: Mapping[str, str | None],
) -> dict[str, Any]:
    """A mapping with what was given over what was there: each variable by its name, the pictures as a whole."""
    made = dict(before)
    if variables:
        made["variables"] = {**before.get("variables", {}), **dict(map(_variable, variables))}
    if pictures:
        made["pictures"] = list(pictures)
    return made | {name: value for name, value in others.items() if value is not None}


def _variable(pair: str) -> tuple[str, Any]:
    """`name=/pointer`, or `name:=JSON` for what is always the same."""
    name, equals, value = pair.partition("=")
    if not (name and equals):
        raise Mistake(f"--var takes NAME=POINTER or NAME:=JSON, not {pair!r}")
    if name.endswith(":"):
        return name[:-1], {"const": _json(value, pair)}
    return name, value


def _json(text: str, pair: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Mistake(f'what follows := in {pair!r} is no JSON (a number, true, "a text", a list)') from None


PARTS = {
    "name": "name",
    "topics": "topics",
    "mapping": "mapping",
    "conditions": "conditions",
    "publisher": "publisher_id",
}
"""What a trigger may be without, by the word for it."""


def cleared(parts: Sequence[str]) -> dict[str, None]:
    """The fields that are taken back."""
    if unknown := [one for one in parts if one not in PARTS]:
        raise Mistake(f"--clear takes one of {', '.join(PARTS)}, not {unknown[0]!r}")
    return {PARTS[one]: None for one in parts}


def body(source: Path) -> bytes:
    """A message's body from a file, or (`-`) standard input."""
    try:
        if source == Path("-"):
            found = sys.stdin.buffer.read(LARGEST_BODY + 1)
        else:
            with source.open("rb") as file:
                found = file.read(LARGEST_BODY + 1)
    except OSError as problem:
        raise Mistake(f"{source} cannot be read: {problem.strerror}") from None
    if len(found) > LARGEST_BODY:
        raise Mistake(f"{source} is larger than a message may be (4 MiB)")
    return found


def topic(given: str | None, style: str, listed: Sequence[str] | None) -> str | None:
    """What a message that is tried is about, where neither its body nor anybody said: what would be rendered."""
    if given is not None or style not in _IN_A_HEADER:
        return given
    plain = [one for one in listed or [] if "*" not in one]
    return plain[0] if plain else _IN_A_HEADER[style]
