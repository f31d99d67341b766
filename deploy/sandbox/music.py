"""Background music by additive synthesis: chords, a plucked figure and, where the mood wants it, a beat."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 44_100  # samples a second
PEAK = 0.5  # of full scale, before the segment's own volume
FADE_IN, FADE_OUT = 0.4, 1.6  # seconds

Sound = NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """Chords as MIDI notes, one chord a bar of four beats; `beat` is how loud the drums are."""

    bpm: int
    chords: tuple[tuple[int, ...], ...]
    pluck: tuple[int, ...]  # which note of the chord sounds on each half beat; -1 is a rest
    beat: float


STYLES = {
    "calm": Style(
        78, ((57, 60, 64, 67), (53, 57, 60, 64), (48, 55, 60, 64), (55, 59, 62, 65)),
        (0, -1, 2, 1, 3, -1, 2, -1), 0.25,
    ),
    "upbeat": Style(
        116, ((48, 55, 60, 64), (55, 59, 62, 67), (57, 60, 64, 69), (53, 57, 60, 65)),
        (0, 2, 3, 2, 1, 3, 2, 3), 0.8,
    ),
    "cinematic": Style(
        64, ((45, 52, 57, 60), (41, 48, 53, 57), (48, 52, 55, 60), (43, 50, 55, 59)),
        (0, -1, 1, -1, 2, -1, 3, -1), 0.0,
    ),
}  # fmt: skip


def write_music(path: Path, mood: str, seconds: float) -> None:
    """Write stereo 16-bit WAV of this length; the same mood and length are the same bytes."""
    left, right = compose(STYLES.get(mood, STYLES["calm"]), seconds)
    samples = np.stack([left, right], axis=1)
    samples *= PEAK / max(float(np.abs(samples).max()), 1e-9)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def compose(style: Style, seconds: float) -> tuple[Sound, Sound]:
    """The two channels."""
    length = int(seconds * RATE)
    left, right = np.zeros(length), np.zeros(length)
    beat = 60 / style.bpm
    for bar in range(int(seconds / (beat * 4)) + 1):
        chord = style.chords[bar % len(style.chords)]
        start = bar * beat * 4
        for index, note in enumerate(chord):
            pad = _pad(note, beat * 4.4) * 0.16
            _mix(left, start, pad * (0.6 + 0.1 * index))
            _mix(right, start, pad * (0.9 - 0.1 * index))
        for half, which in enumerate(style.pluck):
            if which >= 0:
                pluck = _pluck(chord[which] + 12, beat * 1.5) * 0.22
                _mix(left, start + half * beat / 2, pluck * (0.8 if half % 2 else 0.5))
                _mix(right, start + half * beat / 2, pluck * (0.5 if half % 2 else 0.8))
        if style.beat:
            for quarter in range(4):
                drum = (_kick() if quarter % 2 == 0 else _brush(bar * 4 + quarter)) * style.beat
                _mix(left, start + quarter * beat, drum)
                _mix(right, start + quarter * beat, drum)
    envelope = _envelope(length)
    return left * envelope, right * envelope


def _mix(track: Sound, start: float, sound: Sound) -> None:
    first = int(start * RATE)
    room = len(track) - first
    if room > 0:
        track[first : first + len(sound)] += sound[:room]


def _pitch(note: int) -> float:
    return 440.0 * 2 ** ((note - 69) / 12)


def _times(seconds: float) -> Sound:
    return np.arange(int(seconds * RATE)) / RATE


def _pad(note: int, seconds: float) -> Sound:
    time = _times(seconds)
    tone = np.zeros_like(time)
    for detune in (-0.8, 0.7):  # Hz; two slightly different voices sound wider than one
        for partial, level in ((1, 1.0), (2, 0.35), (3, 0.12)):
            tone += level * np.sin(2 * np.pi * (_pitch(note) * partial + detune) * time)
    return tone * np.minimum(1, np.minimum(time / 0.5, (seconds - time) / 0.6))


def _pluck(note: int, seconds: float) -> Sound:
    time = _times(seconds)
    tone = sum(np.sin(2 * np.pi * _pitch(note) * k * time) * np.exp(-time * (3 + 2 * k)) / k for k in (1, 2, 3, 4))
    return np.asarray(tone) * np.minimum(1, time / 0.004)


def _kick() -> Sound:
    time = _times(0.22)
    return np.sin(2 * np.pi * (48 * time + 9 * (1 - np.exp(-time * 28)) / 28 * 8)) * np.exp(-time * 16)


def _brush(seed: int) -> Sound:
    time = _times(0.14)
    noise = np.random.default_rng(seed % 8).standard_normal(len(time))
    return np.diff(noise, prepend=0.0) * np.exp(-time * 34) * 0.16


def _envelope(length: int) -> Sound:
    time = np.arange(length) / RATE
    end = length / RATE
    fade_out = min(FADE_OUT, end / 3)
    return np.clip(np.minimum(time / FADE_IN, (end - time) / fade_out), 0, 1)
