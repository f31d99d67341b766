"""Which events an endpoint asks for: types, groups of them, or all."""

from collections.abc import Sequence

from worker.renders.events import FINAL, EventType

EVENT_GROUPS = ("*", "render.*", "batch.*", "webhook.*")
"""Every filter that is no type."""

DEFAULT_EVENTS = (
    *sorted(type.value for type in FINAL),
    EventType.PUBLISHED.value,
    EventType.PUBLISH_FAILED.value,
    "batch.*",
    EventType.WEBHOOK_DISABLED.value,
)
"""What most want to know: how it ended."""

_TYPES = tuple(type.value for type in EventType)


def known_pattern(text: str) -> bool:
    """Whether such a filter exists."""
    return text in EVENT_GROUPS or text in _TYPES


def lets_through(patterns: Sequence[str], type: str) -> bool:
    """Whether an event of this type is asked for."""
    return "*" in patterns or type in patterns or f"{type.partition('.')[0]}.*" in patterns


def types(patterns: Sequence[str]) -> list[str]:
    """All types that are asked for."""
    return [type for type in _TYPES if lets_through(patterns, type)]
