"""What is found wrong with a video, in the order in which a person would say it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.media.quality.asked import Asked
from worker.media.quality.report import Check, Report, Stretch

LENGTH_SHARE, LENGTH_SECONDS = 0.1, 1.0
"""How far a length may be off: a tenth, as scenes are of whole seconds; in a short video a second."""
ASPECT_SHARE = 0.03
"""How far width to height may be off: encoders round sizes up to 16 pixels, 1080 to 1088."""
EARLY_SECONDS = 0.5
"""Missing at the end, or undecodable: as much as `probe` lets pass, since the last frame's length is a guess."""
APART_SHARE, APART_SECONDS = 0.05, 1.0
"""Picture and sound seldom end together; below a second nobody notices, in a long video a little more goes unseen."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen and heard; seconds from the video's beginning, sizes in pixels as shown."""

    width: int
    height: int
    pixel_aspect: float
    """A pixel's width to its height, as shown: rotation has turned it too."""
    stated_end: float | None
    """When the pictures end by the file's own words."""
    picture_end: float
    lost: float
    sound_end: float | None
    """None: the file has no sound."""
    black: Sequence[Stretch]
    frozen: Sequence[Stretch]
    silent: Sequence[Stretch]
    anything_heard: bool

    @property
    def end(self) -> float:
        """When a player stops."""
        return max(self.picture_end, self.sound_end or 0.0)


def judged(facts: Facts, asked: Asked) -> Report:
    """The report on a video."""
    return Report(
        (
            _length(facts, asked.duration_seconds),
            _aspect(facts, asked.aspect),
            _shown("black", "black", facts.black, facts),
            _shown("frozen", "without movement", facts.frozen, facts),
            _silence(facts, asked),
            _ends_early(facts, asked),
        )
    )


def _length(facts: Facts, asked: float | None) -> Check:
    measured = f"{facts.end:.1f} s"
    if asked is None:
        return Check("length", "not_asked", measured, measured=facts.end)
    off = abs(facts.end - asked) > max(LENGTH_SHARE * asked, LENGTH_SECONDS)
    detail = f"{measured}, asked for {asked:g} s"
    return Check("length", "flagged" if off else "passed", detail, measured=facts.end, asked=asked)


def _aspect(facts: Facts, asked: str | None) -> Check:
    measured = f"{facts.width}x{facts.height}"
    if asked is None:
        return Check("aspect", "not_asked", measured, measured=measured)
    off = not _fits(facts.width * _stretch(facts) / facts.height, asked)
    detail = f"{measured}, asked for {asked}"
    return Check("aspect", "flagged" if off else "passed", detail, measured=measured, asked=asked)


def _stretch(facts: Facts) -> float:
    return facts.pixel_aspect if 0.1 < facts.pixel_aspect < 10 else 1.0  # beyond, a broken header


def _fits(ratio: float, asked: str) -> bool:
    if asked in ("portrait", "landscape"):
        return ratio < 1 - ASPECT_SHARE if asked == "portrait" else ratio > 1 + ASPECT_SHARE
    width, height = asked.split(":")
    wanted = int(width) / int(height)
    return abs(ratio - wanted) <= ASPECT_SHARE * wanted


def _shown(name: Literal["black", "frozen"], words: str, stretches: Sequence[Stretch], facts: Facts) -> Check:
    if not stretches:
        return Check(name, "passed", f"never {words} for long")
    return Check(name, "flagged", f"{words} for {_told(stretches)} of {facts.picture_end:.1f} s", stretches)


def _silence(facts: Facts, asked: Asked) -> Check:
    if asked.silent:
        return Check("silence", "not_asked", "asked for without sound")
    if facts.sound_end is None:
        return Check("silence", "flagged", "there is no sound track")
    if not facts.anything_heard:
        return Check("silence", "flagged", "nothing is to be heard from beginning to end", [(0.0, facts.sound_end)])
    if not facts.silent:
        return Check("silence", "passed", "never silent for long")
    return Check("silence", "flagged", f"silent for {_told(facts.silent)} of {facts.sound_end:.1f} s", facts.silent)


def _ends_early(facts: Facts, asked: Asked) -> Check:
    wrong = "; ".join(_early(facts, asked))
    detail = wrong or "picture and sound play to their end"
    return Check("ends_early", "flagged" if wrong else "passed", detail)


def _early(facts: Facts, asked: Asked) -> Iterator[str]:
    picture, sound = facts.picture_end, facts.sound_end
    if facts.stated_end is not None and picture < facts.stated_end - EARLY_SECONDS:
        yield f"the picture ends at {picture:.1f} s of {facts.stated_end:.1f} s"
    if facts.lost >= EARLY_SECONDS:
        yield f"{facts.lost:.1f} s of the picture cannot be decoded"
    if sound is None or asked.silent:
        return
    if abs(picture - sound) > max(APART_SHARE * facts.end, APART_SECONDS):
        shorter, longer = ("sound", "picture") if sound < picture else ("picture", "sound")
        yield f"the {shorter} ends at {min(picture, sound):.1f} s, the {longer} at {max(picture, sound):.1f} s"


def _told(stretches: Sequence[Stretch]) -> str:
    seconds = sum(to - since for since, to in stretches)
    times = f" in {len(stretches)} stretches" if len(stretches) > 1 else ""
    return f"{seconds:.1f} s{times}"
