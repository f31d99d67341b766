"""A draft read for rendering: scenes, texts and sound with their times."""

import re
from dataclasses import dataclass
from typing import Any

from .draft import AUDIO, TEXT, VIDEO

FPS = 30
STORED = re.compile(r"^/cdn/([0-9a-f]{32})/")


@dataclass(frozen=True)
class Scene:
    """One picture, clip or card. Times in seconds; `source` is the key of an upload, or "" for a card."""

    seconds: float
    kind: str
    source: str
    palette: int
    number: int
    zoom_in: bool
    flip_x: bool  # whether the motion leans to the right edge
    flip_y: bool  # whether it leans to the lower edge


@dataclass(frozen=True)
class Words:
    """A text and when it shows, in seconds."""

    text: str
    role: str
    start: float
    seconds: float


@dataclass(frozen=True)
class Music:
    """Composed for a mood, or an upload (`source`). The volume is a share of full scale."""

    mood: str
    source: str
    volume: float


@dataclass(frozen=True)
class Timeline:
    """All that is needed to render."""

    width: int
    height: int
    seconds: float
    scenes: list[Scene]
    words: list[Words]
    music: Music | None


def timeline_of(draft: dict[str, Any]) -> Timeline:
    """The draft's timeline. Raises KeyError or ValueError for one that lacks what rendering needs."""
    parts: dict[int, list[dict[str, Any]]] = {VIDEO: [], AUDIO: [], TEXT: []}
    for track in draft["t"]:
        parts.setdefault(track["tt"], []).extend(track["sg"])
    if not parts[VIDEO]:
        raise ValueError("there is no scene")
    return Timeline(
        width=draft["m"]["width"],
        height=draft["m"]["height"],
        seconds=draft["d"] / 1000,
        scenes=[_scene(part) for part in parts[VIDEO]],
        words=[_words(part) for part in parts[TEXT] if part["m"]["text"].strip()],
        music=_music(parts[AUDIO][0]) if parts[AUDIO] else None,
    )


def _scene(part: dict[str, Any]) -> Scene:
    medium, motion = part["m"], part["x_fx"]
    return Scene(
        seconds=part["d"] / 1000,
        kind=medium["kind"],
        source=_source(medium),
        palette=medium.get("palette", 0),
        number=medium.get("number", 1),
        zoom_in=motion["zoom"][0] < motion["zoom"][1],
        flip_x=bool(motion["anchor"][0]),
        flip_y=bool(motion["anchor"][1]),
    )


def _words(part: dict[str, Any]) -> Words:
    return Words(part["m"]["text"], part["m"]["role"], part["s"] / 1000, part["d"] / 1000)


def _music(part: dict[str, Any]) -> Music:
    return Music(part["m"].get("mood", "calm"), _source(part["m"]), part["m"]["volume"])


def _source(medium: dict[str, Any]) -> str:
    found = STORED.match(medium.get("src", ""))
    return found[1] if found else ""
