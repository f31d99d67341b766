"""A whole video looked at and listened to in one pass, then judged.

Costs what decoding every frame would cost: 10 s of 1080x1920 at 30 frames a second take 1.7 s of one core, of which
1.3 s decode.
Memory does not grow with the length.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.media.playing import NotPlayable, codec_name, opened
from worker.media.quality.asked import Asked
from worker.media.quality.checks import Facts, judged
from worker.media.quality.listening import Heard
from worker.media.quality.report import Report
from worker.media.quality.watching import Watched

MOST_SECONDS = 60.0
"""Of examining one file: five minutes of 1080x1920 on a slow core. Nobody's video is late for more than a minute
because it is looked at."""


def examine(path: Path, asked: Asked, *, seconds: float = MOST_SECONDS) -> Report:
    """Decode a video, as it was found playable by `probe`, and judge it.

    Raises:
        NotPlayable: it cannot be decoded at all, or not within `seconds` (`too_slow`).
        OSError: the file cannot be read.
    """
    until = time.monotonic() + seconds
    with opened(path, seconds=seconds) as (container, video):
        # Frames that no other needs are left out: nearly half of the work, and never more than three in a row.
        video.codec_context.skip_frame = "NONREF"
        sound = _sound(container)
        pass_ = _Pass(video, sound, max(0.0, (container.start_time or 0) / av.time_base))
        for packet in container.demux([video, sound] if sound else [video]):
            if time.monotonic() > until:
                raise NotPlayable("too_slow", f"more than {seconds:g} s")
            pass_.take(packet)
        return judged(pass_.facts(container), asked)


def _sound(container: InputContainer) -> AudioStream | None:
    return next((stream for stream in container.streams.audio if codec_name(stream)), None)


@dataclass(slots=True)
class _Pass:
    """One pass over the packets."""

    video: VideoStream
    sound: AudioStream | None
    start: float
    """Seconds of the container's clock at which it begins."""
    watched: Watched = field(default_factory=Watched)
    heard: Heard = field(default_factory=Heard)

    def take(self, packet: "Packet[Stream]") -> None:
        """Decode one packet; one that cannot be decoded is as good as missing."""
        try:
            frames = packet.decode()
        except FFmpegError:
            if packet.stream_index == self.video.index:
                self.watched.lost += float((packet.duration or 0) * packet.time_base)
            return
        for frame in frames:
            if isinstance(frame, VideoFrame):
                self.watched.see(frame, self._at(frame), self._lasts(frame))
            elif isinstance(frame, AudioFrame):
                self.heard.hear(frame, self._at(frame))

    def _at(self, frame: VideoFrame | AudioFrame) -> float:
        return (frame.time or 0.0) - self.start

    def _lasts(self, frame: VideoFrame) -> float:
        """Seconds; a guess by the rate where the file does not say."""
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        return 1 / float(self.video.average_rate or 25)

    def facts(self, container: InputContainer) -> Facts:
        """All that was found."""
        if not self.watched.end:
            raise NotPlayable("corrupted", "no frame can be decoded")
        black, frozen = self.watched.done()
        return Facts(
            width=self.watched.width,
            height=self.watched.height,
            pixel_aspect=self._pixel_aspect(),
            stated_end=self._stated_end(container),
            picture_end=self.watched.end,
            lost=self.watched.lost,
            sound_end=self.heard.end if self.sound else None,
            black=black,
            frozen=frozen,
            silent=self.heard.done(),
            anything_heard=self.heard.anything,
        )

    def _pixel_aspect(self) -> float:
        stored = float(self.video.sample_aspect_ratio or 1)
        return 1 / stored if self.watched.turned and stored else stored

    def _stated_end(self, container: InputContainer) -> float | None:
        """When the pictures end, as the file says."""
        if self.video.duration is not None and self.video.time_base is not None:
            begins = max(0.0, float((self.video.start_time or 0) * self.video.time_base) - self.start)
            return begins + float(self.video.duration * self.video.time_base)
        return container.duration / av.time_base if container.duration else None
