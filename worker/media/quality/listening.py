"""Listening to the sound: where there is none to be heard, and when it ends."""

from array import array
from dataclasses import dataclass, field

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from worker.media.quality.report import Stretch
from worker.media.quality.stretches import Stretches

RATE = 8000
"""Samples a second that are enough to tell sound from silence."""
CHANNELS = 2
"""Not one: two channels in opposite phase would cancel each other out."""
SILENT_PEAK = 33
"""Of 32,768, which is -60 dB of full scale: below the noise of a quiet room, above an encoder's rounding."""
SILENT_SECONDS = 4.0
"""A speaker pauses for two seconds at most, music fades out in three. Longer, a viewer looks for the volume."""


@dataclass(slots=True)
class Heard:
    """What was heard so far; seconds from the video's beginning."""

    end: float = 0.0
    anything: bool = False
    """Some sound above silence was there."""
    _silence: Stretches = field(default_factory=lambda: Stretches(SILENT_SECONDS))
    _resampler: AudioResampler = field(default_factory=lambda: AudioResampler("s16", "stereo", RATE))

    def hear(self, frame: AudioFrame, at: float) -> None:
        """The next frame, heard from `at` on (seconds)."""
        silent = all(self._is_silent(part) for part in self._resampler.resample(frame))
        self._silence.tell(silent, at)
        self.anything = self.anything or not silent
        self.end = max(self.end, at + frame.samples / (frame.sample_rate or RATE))

    def done(self) -> list[Stretch]:
        """No frame comes any more: the silent stretches."""
        self._silence.end(self.end)
        return self._silence.found

    def _is_silent(self, part: AudioFrame) -> bool:
        samples = array("h", bytes(part.planes[0])[: 2 * CHANNELS * part.samples])
        return not samples or (max(samples) <= SILENT_PEAK and min(samples) >= -SILENT_PEAK)
