"""Advice on a request that will run, but could run better: what the backend's contract says works best."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

Code = Literal["prompt.vague", "prompt.long", "asset.format", "asset.unsupported"]

SMOOTH = frozenset({"mp4", "mov", "jpg", "jpeg", "png"})
ACCEPTED = SMOOTH | {"avi", "webm", "mkv", "gif", "webp", "mp3", "wav", "m4a", "aac"}
_SOUND = frozenset({"mp3", "wav", "m4a", "aac"})
_USUAL = re.compile(r"[^?#%]*\.(?:" + "|".join(sorted(SMOOTH | _SOUND)) + ")")
"""A name that ends as most do, in which nothing has to be taken apart to see that."""
LONG_PROMPT = 1500
"""Characters. Short, specific prompts work best; at this length a page was pasted in."""

_VAGUE_WORDS = (
    "make create do generate render improve fix change edit give want need have get me it this that a an the my "
    "some any video videos clip one thing something anything better nicer nice cool cooler good great awesome "
    "amazing beautiful pretty best look looks looking more very really please can could you i for of to and up "
    "professional interesting fun stuff like just is be"
)
_VAGUE = frozenset(_VAGUE_WORDS.split())
_WORD = re.compile(r"\w+")
_VAGUE_CHINESE = re.compile(
    r"请|帮我|帮|给我|我|做|制作|生成|创建|弄|改|一个|一段|个|这个|视频|影片|更|好看|好|漂亮|酷|一点|点|一些|一下|些|让|它|变得?|的|吧|得|想|要"
)


@dataclass(frozen=True, slots=True)
class Hint:
    """`code` is stable, `message` is for a person."""

    code: Code
    message: str


def hints(prompt: str, assets: Sequence[str]) -> list[Hint]:
    """What to do better next time; `assets` are file names or URLs. An empty list is the usual answer."""
    found: list[Hint] = []
    if _is_vague(prompt):
        found.append(
            Hint(
                "prompt.vague",
                'Say what the video shows, for whom and how long, for example "create a 30-second promotional video '
                'from my text and images" rather than "make it look better".',
            )
        )
    if len(prompt) > LONG_PROMPT:
        found.append(
            Hint("prompt.long", "Short, specific prompts work best: name the scenes, the mood and the length.")
        )
    found += [hint for name in assets if (hint := _asset(name))]
    return found


def _is_vague(prompt: str) -> bool:
    """Whether nothing is left once the words that fit every video are gone."""
    return not any(
        re.search(r"[^\W_]", _VAGUE_CHINESE.sub(" ", word[0]))
        for word in _WORD.finditer(prompt)
        if word[0].lower() not in _VAGUE
    )


def _asset(name: str) -> Hint | None:
    if _USUAL.fullmatch(name):
        return None
    path = urlsplit(name).path if "://" in name else name
    file = unquote(path).rsplit("/", 1)[-1]
    suffix = file.rsplit(".", 1)[-1].lower() if "." in file else ""
    if not suffix or suffix in SMOOTH or suffix in _SOUND:
        return None
    if suffix in ACCEPTED:
        return Hint("asset.format", f"{file}: accepted, but MP4, MOV, JPG and PNG are the smoothest.")
    if len(suffix) > 5 or not suffix.isalnum():
        return None
    return Hint(
        "asset.unsupported", f"{file}: accepted are MP4, MOV, AVI, WebM, MKV, JPG, PNG, GIF, WebP, MP3, WAV, M4A, AAC."
    )
