"""A draft's timeline as text, JSON or a picture."""

import json
from typing import Any, Literal
from xml.sax.saxutils import escape

from starlette.responses import Response

from worker.remote import draft as drafts
from worker.remote.draft import Timeline, Track

Format = Literal["text", "json", "svg"]

WIDTH, LABEL, ROW, RULER = 800, 90, 34, 22
"""Pixels: the picture, its column of names, one track, the line of seconds."""
COLOURS = {"video": "#4f7cac", "audio": "#5b9279", "text": "#c08552", "other": "#8d86a8"}


def wanted(accept: str) -> Format:
    """The format of an Accept header; JSON for who takes anything."""
    if "image/svg+xml" in accept:
        return "svg"
    return "text" if "text/plain" in accept else "json"


def answer(draft: bytes, format: Format) -> Response:
    """The timeline in one of its formats."""
    if format == "text":
        return Response(drafts.summary(draft) + "\n", media_type="text/plain")
    line = drafts.timeline(draft)
    if format == "svg":
        return Response(svg(line), media_type="image/svg+xml")
    return Response(
        json.dumps(data(line) | {"summary": drafts.summary(draft)}, ensure_ascii=False), media_type="application/json"
    )


def data(line: Timeline) -> dict[str, Any]:
    """Tracks and segments, times in seconds."""
    return {
        "duration": line.duration / 1000,
        "tracks": [
            {
                "kind": track.kind,
                "label": track.label,
                "segments": [
                    {
                        "name": segment.name,
                        "start": segment.start / 1000,
                        "end": segment.end / 1000,
                        "volume": segment.volume,
                    }
                    for segment in track.segments
                ],
            }
            for track in line.tracks
        ],
    }


def svg(line: Timeline) -> str:
    """One row per track, one bar per segment, seconds below. Attributes alone: the page's policy forbids styles."""
    duration = max(line.duration, 1)
    height = ROW * max(len(line.tracks), 1) + RULER
    rows = "".join(_row(track, number, duration) for number, track in enumerate(line.tracks))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>Timeline</title>'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>{rows}{_ruler(duration, height)}</svg>'
    )


def _x(milliseconds: int, duration: int) -> float:
    return LABEL + (WIDTH - LABEL - 10) * min(milliseconds, duration) / duration


def _row(track: Track, number: int, duration: int) -> str:
    top = number * ROW
    label = f'<text x="8" y="{top + 21}" fill="#333333">{escape(track.label)}</text>'
    bars: list[str] = []
    for segment in track.segments:
        left, right = _x(segment.start, duration), _x(segment.end, duration)
        width = max(right - left - 1, 1)
        letters = int(width / 7)
        name = segment.name if len(segment.name) <= letters else segment.name[: max(letters - 1, 0)] + "…"
        bars.append(
            f"<g><title>{escape(segment.name)} ({segment.start / 1000:g}-{segment.end / 1000:g} s)</title>"
            f'<rect x="{left:.1f}" y="{top + 5}" width="{width:.1f}" height="{ROW - 10}" rx="3" '
            f'fill="{COLOURS[track.kind]}"/>'
            + (f'<text x="{left + 5:.1f}" y="{top + 21}" fill="#ffffff">{escape(name)}</text>' if letters > 2 else "")
            + "</g>"
        )
    return label + "".join(bars)


def _ruler(duration: int, height: int) -> str:
    # At most a dozen marks, at whole seconds.
    step = next((step for step in (1, 2, 5, 10, 30, 60, 300, 600) if duration / 1000 / step <= 12), 3600) * 1000
    return "".join(
        f'<text x="{_x(at, duration):.1f}" y="{height - 7}" fill="#666666">{at // 1000} s</text>'
        for at in range(0, duration, step)
    )
