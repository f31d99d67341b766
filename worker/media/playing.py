"""Opening a video with FFmpeg's libraries so that a hostile file gets nothing out of it, and how opening fails."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import av
import av.error
from av.codec import CodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from worker.media.kinds import ACCEPTED, AVI, MKV, MOV, MP4, WEBM, sniff_file

Reason = Literal["not_a_video", "no_picture", "no_duration", "truncated", "corrupted", "too_large", "too_slow"]

_WORDS: dict[Reason, str] = {
    "not_a_video": f"this is not a video file; accepted are {ACCEPTED}",
    "no_picture": "the file has no video stream",
    "no_duration": "the video is of no length",
    "truncated": "the file ends too early",
    "corrupted": "the file is damaged",
    "too_large": "the video is larger than can be looked at",
    "too_slow": "the video takes too long to look at",
}

MOST_PIXELS = 8192 * 4608
"""Of one frame: a little over 8K video. A few bytes can claim any size, and a decoder allocates what is claimed."""

# FFmpeg also reads playlists and scripts that name other files and addresses. The demuxer is therefore never guessed
# by FFmpeg but named from the file's own bytes, and may open nothing but files.
_DEMUXERS = {MP4: "mp4", MOV: "mov", AVI: "avi", WEBM: "webm", MKV: "matroska"}
_OPTIONS = {"protocol_whitelist": "file", "max_streams": "32"}


class NotPlayable(Exception):
    """The file is no video that a player would show from beginning to end; `reason` says why."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason: Reason = reason
        self.detail = detail
        super().__init__(_WORDS[reason] + (f" ({detail})" if detail else ""))


@contextmanager
def opened(path: Path, *, seconds: float) -> Generator[tuple[InputContainer, VideoStream]]:
    """The container and its first real video stream, ready for decoding on one thread.

    `seconds` bounds each blocking read. Raises NotPlayable, also for what FFmpeg raises inside the `with`, and OSError
    when the file itself cannot be read.
    """
    kind = sniff_file(path)
    if kind not in _DEMUXERS:
        raise NotPlayable("not_a_video")
    try:
        with av.open(str(path.absolute()), "r", _DEMUXERS[kind], options=_OPTIONS, timeout=seconds) as container:
            yield container, _picture(container)
    except av.error.ExitError:
        raise NotPlayable("too_slow") from None
    except (av.error.FFmpegError, UnicodeDecodeError) as problem:
        if isinstance(problem, av.error.PermissionError | av.error.FileNotFoundError):
            raise
        raise NotPlayable("corrupted", getattr(problem, "strerror", None) or type(problem).__name__) from None


def _picture(container: InputContainer) -> VideoStream:
    """The first video stream that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            break
    else:
        raise NotPlayable("no_picture")
    if codec_name(stream) is None:
        raise NotPlayable("corrupted", "unknown video codec")
    if stream.width * stream.height > MOST_PIXELS:
        raise NotPlayable("too_large", f"{stream.width}x{stream.height}")
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    stream.codec_context.thread_count = 1  # single frames: threads would only add latency and memory
    return stream


def codec_name(stream: Stream) -> str | None:
    """FFmpeg's name of the stream's format ("h264", "aac"); None when it has no decoder for it."""
    context = cast("CodecContext | None", stream.codec_context)  # the library's type leaves out the None
    return context.codec.canonical_name if context else None


def displayed(width: int, height: int, rotation: int) -> tuple[int, int]:
    """Width and height in pixels as a player shows them: a phone's upright video is stored lying."""
    return (height, width) if rotation % 180 else (width, height)
