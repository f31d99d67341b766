"""From a plan and the session's files to the draft: the same bytes for the same prompts and files.

Keys the contract names are t, tt, sg, d and m. The others stand for all that a client does not know and has to
send back as it came, among them numbers whose digits do not survive a float: 1.0, 0.10, 1E-7 and 2^53+1.
"""

import hashlib
import json
import math
from typing import Any

from .prompt import Plan
from .uploads import Upload

VIDEO, AUDIO, TEXT = 0, 1, 7  # track types
TITLE_MS = 3000
LONGEST_SCENE, SHORTEST_SCENE = 5.0, 1.0  # seconds
LONGEST_CARD = 3.5  # seconds; a plain coloured card is looked at sooner than a picture
MUSIC = {"calm": ("Lo-fi", 78), "upbeat": ("Upbeat pop", 116), "cinematic": ("Cinematic rise", 64)}
MUSIC_VOLUME = "0.35"
ANCHORS = ((0, 0), (1, 0), (1, 1), (0, 1))


class Exact(str):
    """A number by its digits."""

    __slots__ = ()


def draft_text(plan: Plan, uploads: list[Upload]) -> str:
    """The draft as JSON text."""
    tracks = [_track(VIDEO, _scenes(plan, uploads) if plan.ready else [])]
    if plan.finished and plan.music:
        tracks.append(_track(AUDIO, [_music(plan, uploads)] if plan.ready else []))
    if plan.finished:
        tracks.append(_track(TEXT, _texts(plan) if plan.ready else []))
    return _dump(
        {
            "m": {"title": plan.title, "width": plan.width, "height": plan.height, "fps": 30, "rev": plan.revision},
            "d": _ms(plan.seconds),
            "t": tracks,
            "x_engine": {"v": Exact("1.0"), "gain": Exact("0.10"), "eps": Exact("1E-7"), "seed": 9007199254740993},
            "x_notes": None,
            "x_path": "a/b\u2028c",
        }
    )


def mark_of(text: str) -> str:
    """A hash of the draft with its keys in order and its numbers by their digits: equal for drafts that are the same.

    Raises ValueError for text that is not JSON.
    """
    parsed = json.loads(text, parse_float=_digits, parse_int=_digits)
    return hashlib.sha256(json.dumps(parsed, sort_keys=True).encode()).hexdigest()


def renderable(draft: dict[str, Any]) -> bool:
    """Whether some track has a segment: the contract's test for "ready"."""
    return any(track.get("sg") for track in draft.get("t") or [])


def state_extras(plan: Plan, draft: dict[str, Any]) -> dict[str, Any]:
    """What the state holds beside the draft."""
    video = next(track for track in draft["t"] if track["tt"] == VIDEO)
    return {
        "video_infos": [
            {"id": part["id"], "name": part["m"]["name"], "duration": part["d"], "type": part["m"]["kind"]}
            for part in video["sg"]
        ],
        "generated_media": [
            {"id": part["id"], "type": "video", "name": part["m"]["name"], "duration": part["d"]}
            for part in video["sg"]
            if part["m"]["kind"] == "card"
        ],
        "canvas_config": {"width": plan.width, "height": plan.height, "fps": 30},
    }


def visuals_of(uploads: list[Upload]) -> list[Upload]:
    """The files that can be seen."""
    return [upload for upload in uploads if upload.kind != "audio"]


def _scenes(plan: Plan, uploads: list[Upload]) -> list[dict[str, Any]]:
    visuals = visuals_of(uploads)
    longest = LONGEST_SCENE if visuals else LONGEST_CARD
    wanted = max(len(visuals), math.ceil(plan.seconds / longest))
    number = max(1, min(wanted, int(plan.seconds / SHORTEST_SCENE)))
    edges = [round(_ms(plan.seconds) * index / number) for index in range(number + 1)]
    return [
        {
            "id": f"sg_v{index + 1}",
            "s": edges[index],
            "d": edges[index + 1] - edges[index],
            "m": _medium(visuals[index % len(visuals)]) if visuals else _card(plan, index),
            "x_fx": {
                "zoom": [Exact("1.0"), Exact("1.10")] if index % 2 == 0 else [Exact("1.10"), Exact("1.0")],
                "anchor": ANCHORS[(index + plan.revision - 1) % len(ANCHORS)],
                "fade_ms": 500,
            },
        }
        for index in range(number)
    ]


def _medium(upload: Upload) -> dict[str, Any]:
    return {"kind": upload.kind, "name": upload.filename, "src": upload.address}


def _card(plan: Plan, index: int) -> dict[str, Any]:
    return {"kind": "card", "name": f"scene {index + 1}", "palette": plan.palette, "number": index + 1}


def _music(plan: Plan, uploads: list[Upload]) -> dict[str, Any]:
    name, beats = MUSIC[plan.mood]
    medium: dict[str, Any] = {"kind": "music", "name": name, "mood": plan.mood, "bpm": beats}
    own = next((upload for upload in uploads if upload.kind == "audio"), None)
    if own is not None:
        medium = _medium(own)
    return {"id": "sg_a1", "s": 0, "d": _ms(plan.seconds), "m": {**medium, "volume": Exact(MUSIC_VOLUME)}}


def _texts(plan: Plan) -> list[dict[str, Any]]:
    whole = _ms(plan.seconds)
    title_end = min(TITLE_MS, whole if not plan.captions else whole // 2)
    parts = [_text("sg_t1", 0, title_end, plan.title, "title")]
    number = min(len(plan.captions), max(1, (whole - title_end) // 1200))  # below 1.2 s nobody can read it
    for index, caption in enumerate(plan.captions[:number]):
        start = title_end + (whole - title_end) * index // number
        end = title_end + (whole - title_end) * (index + 1) // number
        parts.append(_text(f"sg_c{index + 1}", start, end - start, caption, "caption"))
    return parts


def _text(name: str, start: int, length: int, words: str, role: str) -> dict[str, Any]:
    return {"id": name, "s": start, "d": length, "m": {"text": words, "role": role, "scale": Exact("1.00")}}


def _track(kind: int, segments: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tt": kind, "id": f"trk_{kind}", "sg": segments, "x_lock": False}


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _digits(number: str) -> dict[str, str]:
    return {"\0number": number}


def _dump(value: Any) -> str:
    """JSON text in which an `Exact` is written by its digits."""
    if isinstance(value, Exact):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_dump(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_dump(held) for held in value) + "]"
    return json.dumps(value, ensure_ascii=False)
