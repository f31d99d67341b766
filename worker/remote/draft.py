"""What a draft shows, for people: its timeline in a line, as data, and what changed between two of them.

Drafts use short keys (`t` tracks, `tt` track type, `sg` segments, `d` duration in ms, `m` metadata) and hold much that
is not known here. Everything is looked for, nothing is required: an odd draft gives a poorer summary, never an error.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from worker.remote.text import clean, without_query

Kind = Literal["video", "audio", "text", "other"]
Object = dict[str, Any]

_KINDS: dict[str, Kind] = {"0": "video", "1": "audio", "7": "text"}
_LABELS: dict[Kind, str] = {"video": "Video", "audio": "BGM", "text": "Title", "other": "Track"}
_NAME_KEYS = ("name", "title", "n", "label", "description", "prompt", "filename", "file_name")
_TEXT_KEYS = ("text", "content", "caption", "txt")
_VOLUME_KEYS = ("volume", "vol", "v")
LONGEST_NAME = 60
"""Characters of a name in a summary."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a track, in milliseconds from the video's start; `volume` 0 to 1 (more where amplified)."""

    name: str
    start: int
    end: int
    volume: float | None = None


@dataclass(frozen=True, slots=True)
class Track:
    kind: Kind
    segments: tuple[Segment, ...]
    label: str

    @property
    def start(self) -> int:
        return min((segment.start for segment in self.segments), default=0)

    @property
    def end(self) -> int:
        return max((segment.end for segment in self.segments), default=0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The draft's tracks in order; `duration` in milliseconds."""

    tracks: tuple[Track, ...]
    duration: int


@dataclass(frozen=True, slots=True)
class Change:
    """One difference for a person. `timing` is where in the video ("0-3s"), `text` the whole line."""

    what: Literal["added", "removed", "changed", "moved"]
    name: str
    timing: str
    text: str


def timeline(draft: bytes) -> Timeline:
    """The draft as data; no tracks where it cannot be read."""
    root = _decoded(draft)
    tracks = tuple(track for track in map(_track, _objects(_member(root, "t", "tracks"))) if track.segments)
    declared = _milliseconds(_member(root, "d", "duration")) or 0
    return Timeline(tracks, max([declared, *(track.end for track in tracks)]))


def summary(draft: bytes) -> str:
    """One line: `Timeline (2 tracks): 1. BGM: Lo-fi (0-10s, 35%) 2. Title: "Urban Dreams" (0-3s)`."""
    tracks = timeline(draft).tracks
    count = f"Timeline ({len(tracks)} track{'' if len(tracks) == 1 else 's'})"
    lines = [f"{number}. {_described(track)}" for number, track in enumerate(tracks, 1)]
    return f"{count}: {' '.join(lines)}" if lines else f"{count}: empty"


def difference(before: bytes | None, after: bytes) -> list[Change]:
    """What a silent edit changed, most telling first: segments added, removed, moved in time or changed in level."""
    old, new = (Timeline((), 0) if before is None else timeline(before)), timeline(after)
    gone, come = _inventory(old), _inventory(new)
    same = gone & come
    removed, added = list((gone - same).elements()), list((come - same).elements())
    changes: list[Change] = []
    for entry in list(added):
        label, segment = entry
        match = next((other for other in removed if other[0] == label and other[1].name == segment.name), None)
        if match is not None:
            removed.remove(match)
            added.remove(entry)
            changes.append(_altered(label, match[1], segment))
    changes = (
        [_change("added", *entry) for entry in added] + [_change("removed", *entry) for entry in removed] + changes
    )
    if old.duration != new.duration and before is not None:
        timing = f"0-{_seconds(new.duration)}s"
        text = f"Changed length: {_seconds(old.duration)}s to {_seconds(new.duration)}s"
        changes.append(Change("changed", "length", timing, text))
    if not changes and before is not None and _decoded(before) != _decoded(after):
        timing = f"0-{_seconds(new.duration)}s"
        changes.append(
            Change("changed", "details", timing, f"Changed details of the look, not of the timeline ({timing})")
        )
    return changes


def _decoded(draft: bytes) -> object:
    try:
        return json.loads(draft.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _inventory(line: Timeline) -> Counter[tuple[str, Segment]]:
    return Counter((track.label, segment) for track in line.tracks for segment in track.segments)


def _change(what: Literal["added", "removed"], label: str, segment: Segment) -> Change:
    name = _shown(label, segment.name)
    timing = _timing(segment.start, segment.end)
    return Change(
        what, segment.name or label, timing, f"{what.capitalize()} {name} ({_details(timing, segment.volume)})"
    )


def _altered(label: str, old: Segment, new: Segment) -> Change:
    name, timing = _shown(label, new.name), _timing(new.start, new.end)
    if (old.start, old.end) != (new.start, new.end):
        return Change("moved", new.name or label, timing, f"Moved {name}: {_timing(old.start, old.end)} to {timing}")
    levels = f"{_percent(old.volume)} to {_percent(new.volume)}"
    return Change("changed", new.name or label, timing, f"Changed volume of {name}: {levels} ({timing})")


def _described(track: Track) -> str:
    first = track.segments[0]
    names = list(dict.fromkeys(segment.name for segment in track.segments if segment.name))
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    volumes = {segment.volume for segment in track.segments}
    volume = first.volume if track.kind == "audio" and len(volumes) == 1 else None
    return (
        f"{_shown(track.label, names[0] if names else '')}{more} ({_details(_timing(track.start, track.end), volume)})"
    )


def _shown(label: str, name: str) -> str:
    if not name:
        return label
    return f'{label}: "{name}"' if label == _LABELS["text"] else f"{label}: {name}"


def _details(timing: str, volume: float | None) -> str:
    return timing if volume is None else f"{timing}, {_percent(volume)}"


def _percent(volume: float | None) -> str:
    return "default" if volume is None else f"{round(volume * 100)}%"


def _timing(start: int, end: int) -> str:
    return f"{_seconds(start)}-{_seconds(end)}s"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f}".removesuffix(".0")


def _track(track: Object) -> Track:
    kind = _KINDS.get(str(_member(track, "tt", "type")), "other")
    segments: list[Segment] = []
    at = 0
    for raw in _objects(_member(track, "sg", "segments")):
        segment = _segment(raw, at, kind, track)
        at = segment.end
        segments.append(segment)
    return Track(kind, tuple(segments), _label(track, kind))


def _label(track: Object, kind: Kind) -> str:
    """ "BGM" is the contract's word for a track of sound; one that calls itself a voice is named so."""
    name = (_text(track, ("name", "n", "title")) or _text(_metadata(track), ("name", "title", "role"))).lower()
    if kind == "audio" and any(word in name for word in ("voice", "narrat", "speech", "配音", "旁白")):
        return "Voice"
    return (
        "Captions"
        if kind == "text" and any(word in name for word in ("caption", "subtitle", "字幕"))
        else _LABELS[kind]
    )


def _segment(raw: Object, at: int, kind: Kind, track: Object) -> Segment:
    """Times as the segment tells them, else right after the one before."""
    span = _member(raw, "target_timerange", "tr", "range", "time_range", "target")
    holders = [raw, cast(Object, span) if isinstance(span, dict) else {}]
    start = next(
        (v for h in holders if (v := _milliseconds(_member(h, "s", "st", "start", "start_ms", "at"))) is not None), at
    )
    length = next(
        (v for h in holders if (v := _milliseconds(_member(h, "d", "duration", "duration_ms", "dur"))) is not None),
        None,
    )
    end = next((v for h in holders if (v := _milliseconds(_member(h, "e", "et", "end", "end_ms"))) is not None), None)
    if length is not None:
        end = start + length
    return Segment(_name(raw, kind) or _name(track, kind), start, max(end or start, start), _volume(raw, kind))


def _name(raw: Object, kind: Kind) -> str:
    holders = list(_described_by(raw))
    orders = (_TEXT_KEYS, _NAME_KEYS) if kind == "text" else (_NAME_KEYS, _TEXT_KEYS)
    return next((name for keys in orders for holder in holders if (name := _text(holder, keys))), "")


def _described_by(raw: Object) -> Iterator[Object]:
    """The segment and what hangs on it that may carry its name."""
    yield raw
    for key in ("m", "metadata", "material", "source", "text", "content"):
        inner = raw.get(key)
        if isinstance(inner, dict):
            yield cast(Object, inner)


def _metadata(raw: Object) -> Object:
    inner = raw.get("m")
    return cast(Object, inner) if isinstance(inner, dict) else {}


def _volume(raw: Object, kind: Kind) -> float | None:
    """0 to 1; values above 2 are percentages (nobody amplifies threefold). Only of sound."""
    if kind != "audio":
        return None
    for holder in _described_by(raw):
        value = _number(_member(holder, *_VOLUME_KEYS))
        if value is not None and value >= 0:
            return value / 100 if value > 2 else value
    return None


def _text(holder: Object, keys: tuple[str, ...]) -> str:
    for key in keys:
        value = holder.get(key)
        if isinstance(value, str) and value.strip():
            line = " ".join(without_query(clean(value)).split())
            return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"
    return ""


def _member(holder: object, *keys: str) -> object:
    if not isinstance(holder, dict):
        return None
    members = cast(Object, holder)
    return next((members[key] for key in keys if members.get(key) is not None), None)


def _objects(value: object) -> list[Object]:
    if not isinstance(value, list):
        return []
    return [cast(Object, item) for item in cast("list[object]", value) if isinstance(item, dict)]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None


def _milliseconds(value: object) -> int | None:
    number = _number(value)
    return None if number is None or number != number else max(0, round(number))
