"""A still picture that stands for a video."""

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageFilter, ImageStat

from worker.media.playing import NotPlayable, opened

LONGEST_SIDE = 960
"""Pixels: sharp in a list and a page on a dense screen, some 100 KB."""
QUALITY = 85
"""JPEG: above it files grow faster than anyone sees."""
CANDIDATES = (1 / 3, 1 / 2, 1 / 6)
"""Parts of the duration: not the beginning, which fades in, nor the end, which fades out or shows a logo."""
PLAIN = 4.0
"""Detail (see `_detail`) below which a frame is taken for black, a fade or an empty card, and another one is tried."""
_MOST_FRAMES = 600
"""Decoded on the way from a key frame to a candidate: two long groups of pictures."""
_MOST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Poster:
    """A JPEG file; width and height in pixels, as shown."""

    path: Path
    width: int
    height: int
    media_type: str = "image/jpeg"


def poster(path: Path, into: Path, *, at: float | None = None) -> Poster:
    """Write a representative frame of the video as `<its name>.jpg` into the directory `into`, made when missing.

    `at` (seconds) asks for one frame; otherwise the first candidate with enough to see, or the best of them. Rotation
    and non-square pixels are undone, transparency is laid over black. Raises NotPlayable when nothing can be decoded,
    OSError when a file cannot be read or written.
    """
    until = time.monotonic() + _MOST_SECONDS
    best: tuple[float, Image.Image] | None = None
    with opened(path, seconds=_MOST_SECONDS) as (container, video):
        for moment in _moments(container, at):
            frame = _frame_at(container, video, moment, until)
            if frame is None:
                continue
            picture = _picture(frame, video)
            detail = _detail(picture)
            if best is None or detail > best[0]:
                best = detail, picture
            if detail >= PLAIN:
                break
    if best is None:
        raise NotPlayable("corrupted", "no frame can be decoded")
    return _write(best[1], into, path.stem)


def _moments(container: InputContainer, at: float | None) -> list[float]:
    """Seconds from the beginning, in the order in which they are tried; the beginning itself last."""
    duration = max(0.0, (container.duration or 0) / av.time_base)
    asked = [at] if at is not None else [duration * part for part in CANDIDATES]
    return [*asked, 0.0] if duration else [0.0]


def _frame_at(container: InputContainer, video: VideoStream, moment: float, until: float) -> VideoFrame | None:
    """The frame shown at `moment`, or the last that can be had on the way to it."""
    start = max(0, container.start_time or 0)
    latest: VideoFrame | None = None
    with suppress(FFmpegError):  # damage behind the key frame: what came before it will do
        container.seek(start + int(moment * av.time_base))
        # Frames that no other needs are left out on the way: a fifth to a half of the work.
        video.codec_context.skip_frame = "NONREF"
        for number, frame in enumerate(container.decode(video)):
            latest = frame
            arrived = frame.time >= moment + start / av.time_base
            if arrived or number >= _MOST_FRAMES or time.monotonic() > until:
                break
    video.codec_context.flush_buffers()
    return latest


def _picture(frame: VideoFrame, video: VideoStream) -> Image.Image:
    """The frame as shown, scaled so that its longest side has at most `LONGEST_SIDE` pixels."""
    stretch = float(video.sample_aspect_ratio or 1)
    shown_width = frame.width * (stretch if 0.1 < stretch < 10 else 1)
    scale = min(1.0, LONGEST_SIDE / max(shown_width, frame.height))
    size = {"width": max(1, round(shown_width * scale)), "height": max(1, round(frame.height * scale))}
    if any(component.is_alpha for component in frame.format.components):
        seen = frame.reformat(**size, format="rgba", interpolation="LANCZOS").to_image()
        picture = Image.alpha_composite(Image.new("RGBA", seen.size, "black"), seen.convert("RGBA")).convert("RGB")
    else:
        picture = frame.to_image(**size, interpolation="LANCZOS")
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture


def _detail(picture: Image.Image) -> float:
    """How much there is to see: the spread of the edges' strength. Black, a fade's grey and a plain card are near 0."""
    small = picture.convert("L")
    small.thumbnail((160, 160))
    edges = small.filter(ImageFilter.FIND_EDGES)
    inner = edges.crop((1, 1, max(2, edges.width - 1), max(2, edges.height - 1)))  # the filter copies the rim as it is
    return ImageStat.Stat(inner).stddev[0]


def _write(picture: Image.Image, into: Path, name: str) -> Poster:
    into.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=into, prefix=".poster-")
    try:
        with os.fdopen(handle, "wb") as file:
            picture.save(file, "JPEG", quality=QUALITY, optimize=True, progressive=True)
        final = into / f"{name}.jpg"
        Path(unfinished).replace(final)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
    return Poster(final, *picture.size)
