"""Real media, made once per test process by a real encoder: tiny clips of every accepted kind."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1")
SOUND = ("-f", "lavfi", "-i", "sine=d=1")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
BOTH = (*PICTURE, *SOUND, *H264, "-c:a", "aac", "-shortest")

RECIPES: dict[str, tuple[str, ...]] = {
    "end.mp4": BOTH,
    "start.mp4": (*BOTH, "-movflags", "+faststart"),
    "fragments.mp4": (*BOTH, "-movflags", "frag_keyframe+empty_moov"),
    "clip.mov": BOTH,
    "clip.mkv": BOTH,
    "live.mkv": (*BOTH, "-live", "1"),
    "clip.avi": (*PICTURE, *SOUND, "-c:v", "mpeg4", "-c:a", "mp3"),
    "clip.webm": (*PICTURE, *SOUND, "-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"),
    "silent.mp4": (*PICTURE, *H264),
    "sound.mp4": (*SOUND, "-c:a", "aac"),
    "sound.m4a": (*SOUND, "-c:a", "aac"),
    "sound.aac": (*SOUND, "-c:a", "aac"),
    "sound.mp3": SOUND,
    "bare.mp3": (*SOUND, "-id3v2_version", "0", "-write_xing", "0"),
    "voice.mp3": (*SOUND, "-ar", "16000", "-b:a", "24k", "-write_xing", "0"),
    "sound.wav": SOUND,
    "sound.flac": SOUND,
    "sound.ogg": (*SOUND, "-c:a", "libopus"),
    "clip.3gp": (*PICTURE, *H264),
    "clip.ts": BOTH,
}


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Runs the encoder."""

    def run(*arguments: str | Path) -> None:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    return run


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Callable[..., None]) -> Callable[[str], Path]:
    """`clip("end.mp4")`: the path of that clip, encoded at its first use."""
    directory = tmp_path_factory.mktemp("clips")

    def made(name: str) -> Path:
        path = directory / name
        if not path.exists():
            ffmpeg(*RECIPES[name], path)
        return path

    return made
