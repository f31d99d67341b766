"""`deploy/compose.yaml` as Compose reads it: variables put in, defaults taken, needed ones asked for."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
EXAMPLE = ROOT / "deploy" / ".env.example"

SECRETS = {
    "POSTGRES_PASSWORD": "the-databases",
    "VALKEY_PASSWORD": "the-brokers",
    "FLOWER_PASSWORD": "the-watchers",
    "VIVIDEO_SECRET_KEY": "a test's key of more than thirty-two characters",
    "VIVIDEO_API_KEY": "vv_the-first-owners-key-in-this-test",
}
"""What an installation has to choose."""

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\})")


class Missing(Exception):
    """A needed variable has no value; Compose ends with its message."""


def raw() -> dict[str, Any]:
    """The file, its anchors followed, its variables as they stand."""
    return yaml.safe_load(FILE.read_text())


def services(values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services with `values` put in. Raises Missing."""
    return _filled(raw()["services"], values)


def variables() -> dict[str, str | None]:
    """Every variable the services name, with its default; None for one that has none."""
    found: dict[str, str | None] = {}
    for text in _texts(raw()["services"]):
        for one in _VARIABLE.finditer(text):
            if name := one["name"]:
                default = one["rest"] if one["kind"] == ":-" else None
                found[name] = found.get(name) or default
    return found


def passed_on() -> set[str]:
    """Variables without a value in the file: set in a container where they are set outside."""
    every = (environment(service) for service in raw()["services"].values())
    return {name for one in every for name, value in one.items() if value is None}


def environment(service: Mapping[str, Any]) -> dict[str, Any]:
    """Its environment, empty where it has none."""
    return service.get("environment", {})


def example() -> dict[str, tuple[str, bool]]:
    """`.env.example`: each variable's value, and whether it is commented out."""
    lines = re.findall(r"^(#?)([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    return {name: (value, bool(mark)) for mark, name, value in lines}


def seconds(duration: str) -> float:
    """`15s` or `2m` as Compose writes durations."""
    return float(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return _VARIABLE.sub(lambda found: _value(found, values), node)
    if isinstance(node, dict):
        return {name: _filled(value, values) for name, value in node.items()}
    return [_filled(value, values) for value in node] if isinstance(node, list) else node


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    if found["dollar"]:
        return "$"
    if value := values.get(found["name"]):
        return value
    if found["kind"] == ":?":
        raise Missing(f"{found['name']}: {found['rest']}")
    return found["rest"] or ""


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
