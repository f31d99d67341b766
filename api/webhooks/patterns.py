"""Which events a webhook is for: types, groups (`render.*`) or all (`*`), checked when they are asked for."""

from collections import defaultdict
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from worker.renders.events import EventType
from worker.webhooks import filters

MOST = 50
KNOWN = tuple(one.value for one in EventType)


def in_words() -> str:
    """Every type there is, by its group."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for known in KNOWN:
        group, _, name = known.partition(".")
        groups[group].append(name)
    return "; ".join(["*", *(f"{group}.* ({', '.join(names)})" for group, names in groups.items())])


def _pattern(text: str) -> str:
    if not filters.known_pattern(text):
        raise ValueError(f"no event is called so; there are {in_words()}")
    return text


def _type(text: str) -> str:
    if text not in KNOWN:
        raise ValueError(f"no event is of this type; there are {in_words().removeprefix('*; ')}")
    return text


Pattern = Annotated[str, StringConstraints(max_length=64), AfterValidator(_pattern)]
Patterns = Annotated[
    list[Pattern],
    Field(
        min_length=1,
        max_length=MOST,
        description="Types of events (`render.succeeded`), groups (`render.*`) or `*`.",
        examples=[["render.succeeded", "render.failed"]],
    ),
]
Type = Annotated[str, StringConstraints(max_length=64), AfterValidator(_type)]


def default() -> list[str]:
    """What a webhook is for whose events are not named."""
    return list(filters.DEFAULT_EVENTS)


def default_of_render() -> list[str]:
    """The same, as far as a render can have it."""
    return [pattern for pattern in filters.DEFAULT_EVENTS if pattern.startswith("render.")]
