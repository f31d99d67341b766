"""Whether a file is a video that plays to its end, and its facts.

A result counts as delivered only when this says so: downloads end early without an error (a proxy's time-out, a length
that nobody stated), and a file without its end still has a title, a duration and a first frame. So every packet is
read, which costs little (10 s of 1080x1920: some 30 ms), and three frames are decoded.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.media.kinds import sniff_file
from worker.media.playing import NotPlayable, codec_name, displayed, opened
from worker.media.wholeness import missing_bytes

MOST_BYTES = 2 * 1024**3
"""Ten times the largest upload; an hour of 1080p at 4 Mbit/s."""
MOST_PACKETS = 1_000_000
"""Some five hours of 30 frames and 43 audio packets a second."""
MOST_SECONDS = 20.0
"""Of looking at one file: hundreds of times what a usual result takes."""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a player would say of the file. Width and height in pixels as shown, rotation applied."""

    duration_seconds: float
    width: int
    height: int
    video_codec: str
    """FFmpeg's name of the format: "h264"."""
    pixel_format: str
    frame_rate: float
    """Frames a second on average; 0 when the file does not tell."""
    audio_codec: str | None
    bytes: int
    container: str
    """The accepted format's extension: "mp4"."""


@dataclass(slots=True)
class _Track:
    """What was read of one stream: where its packets end, in seconds."""

    end: float = 0.0


@dataclass(slots=True)
class _Reading:
    """One pass over all packets."""

    tracks: dict[int, _Track] = field(default_factory=dict[int, _Track])
    keys: dict[str, "Packet[Stream]"] = field(default_factory=dict[str, "Packet[Stream]"])
    """The first key frame, the last, and the last before the middle."""


def probe(path: Path) -> VideoFacts:
    """The facts of a video that plays to its end. Raises NotPlayable, or OSError when the file cannot be read.

    Reads every packet, compares where they end with the stated duration, and decodes the first, the middle and the
    last key frame. Damage between key frames is not looked for: that takes decoding everything.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise NotPlayable("too_large", f"{size} bytes")
    kind = sniff_file(path)
    if kind and (missing := missing_bytes(path, kind)):
        raise NotPlayable("truncated", f"{missing} bytes are missing")
    until = time.monotonic() + MOST_SECONDS
    with opened(path, seconds=MOST_SECONDS) as (container, video):
        reading = _read(container, video, until)
        duration = _duration(container, reading)
        _check_ends(container, video, reading, duration)
        frame = _decode(video, reading, until)
        width, height = displayed(frame.width, frame.height, frame.rotation)
        return VideoFacts(
            duration_seconds=duration,
            width=width,
            height=height,
            video_codec=codec_name(video) or "",
            pixel_format=frame.format.name,
            frame_rate=float(video.average_rate or video.guessed_rate or 0),
            audio_codec=next((codec_name(sound) or "unknown" for sound in container.streams.audio), None),
            bytes=size,
            container=kind.extension if kind else "",
        )


def _read(container: InputContainer, video: VideoStream, until: float) -> _Reading:
    reading = _Reading()
    length_prefixed = codec_name(video) in ("h264", "hevc")
    middle = (container.duration or 0) / av.time_base / 2
    for number, packet in enumerate(container.demux()):
        if number > MOST_PACKETS or time.monotonic() > until:
            raise NotPlayable("too_slow")
        if packet.is_corrupt:
            raise NotPlayable("truncated", "a packet lacks its end")
        if not packet.size:  # the end of a stream
            continue
        if packet.stream_index == video.index and length_prefixed and not any(memoryview(packet)[:8]):
            raise NotPlayable("corrupted", "zeros in place of a picture")  # a hole: right length, parts never written
        track = reading.tracks.setdefault(packet.stream_index, _Track())
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None:
            continue
        seconds = float(at * packet.time_base)
        track.end = max(track.end, seconds + float((packet.duration or 0) * packet.time_base))
        if packet.stream_index == video.index and packet.is_keyframe:
            reading.keys.setdefault("first", packet)
            reading.keys["last"] = packet
            if seconds <= middle:
                reading.keys["middle"] = packet
    return reading


def _duration(container: InputContainer, reading: _Reading) -> float:
    """Seconds: as stated, or, where nothing is stated (written live), where the packets end."""
    if container.duration and container.duration > 0:
        return container.duration / av.time_base
    return max((track.end for track in reading.tracks.values()), default=0.0)


def _check_ends(container: InputContainer, video: VideoStream, reading: _Reading, duration: float) -> None:
    if not reading.tracks.get(video.index):
        raise NotPlayable("truncated" if duration > 0 else "no_duration", "no picture")
    if duration <= 0:
        raise NotPlayable("no_duration")
    # Half a second, less in a short clip: sound and picture rarely end together, and a last frame's length is a guess.
    tolerance = max(min(0.5, duration / 10), 2 / float(video.average_rate or 25))
    for stream in (*container.streams.video, *container.streams.audio):
        track = reading.tracks.get(stream.index, _Track())
        stated = _stated_end(stream)
        if stated is not None and track.end < stated - tolerance:
            raise NotPlayable("truncated", f"{stream.type} ends at {track.end:.2f} s of {stated:.2f} s")
    end = max(track.end for track in reading.tracks.values())
    start = max(0.0, (container.start_time or 0) / av.time_base)
    if end - start < duration - tolerance and end < duration - tolerance:
        raise NotPlayable("truncated", f"ends at {end:.2f} s of {duration:.2f} s")


def _stated_end(stream: Stream) -> float | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return float((max(0, stream.start_time or 0) + stream.duration) * stream.time_base)


def _decode(video: VideoStream, reading: _Reading, until: float) -> VideoFrame:
    """Decode each of the noted key frames by itself; returns the first one's frame."""
    if not reading.keys:
        raise NotPlayable("corrupted", "no key frame")
    context = video.codec_context
    shown: list[VideoFrame] = []
    for packet in {id(key): key for key in reading.keys.values()}.values():
        if time.monotonic() > until:
            raise NotPlayable("too_slow")
        decoded = [*context.decode(packet), *context.decode(None)]
        context.flush_buffers()
        if not decoded or decoded[0].is_corrupt:
            raise NotPlayable("corrupted", "a key frame shows nothing")
        shown.append(decoded[0])
    return shown[0]
