"""Which compositor makes the files: FFmpeg with pictures, or plain clips for tests of everything else."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

from .exports import Compositor, Progress
from .ffmpeg import run_ffmpeg
from .settings import Settings


class PlainClips:
    """A small grey clip with silence for each length and shape asked for: made once, then copied.

    Each copy ends in a `free` box (ISO/IEC 14496-12, 8.1.2: to be ignored) with its export's id, so that no two files
    are alike and one that was mistaken for another shows in its hash.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._room = settings.data / "plain"
        self._room.mkdir(parents=True, exist_ok=True)
        self._making = asyncio.Lock()

    async def compose(self, draft: dict[str, Any], path: Path, tell: Progress) -> None:
        """Copy the clip that fits; how long that takes is the switch `export_seconds`."""
        started = time.monotonic()
        clip = await self._clip(draft["d"] / 1000, draft["m"]["width"] // 10 * 2, draft["m"]["height"] // 10 * 2)
        tell(50)
        await asyncio.sleep(max(0.0, started + self._settings.export_seconds - time.monotonic()))
        shutil.copyfile(clip, path)
        with path.open("ab") as file:
            file.write(_free_box(path.stem.encode()))

    async def _clip(self, seconds: float, width: int, height: int) -> Path:
        clip = self._room / f"{seconds:g}-{width}x{height}.mp4"
        async with self._making:
            if not clip.exists():
                made = clip.with_name(f".{clip.name}")
                picture = f"color=c=0x445566:s={width}x{height}:r=30:d={seconds:g}"
                sound = f"anullsrc=r=44100:cl=stereo:d={seconds:g}"
                await run_ffmpeg(
                    ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-c:v", "libx264",
                     "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac",
                     "-movflags", "+faststart", "-f", "mp4", str(made)]
                )  # fmt: skip
                made.replace(clip)
        return clip


def _free_box(content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + b"free" + content


def compositor_for(settings: Settings) -> Compositor:
    """The compositor that is switched on."""
    if not settings.draw:
        return PlainClips(settings)
    from .compose import FilmMaker  # numpy and Pillow's fonts are loaded only where something is drawn

    return FilmMaker(settings)
