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
    """A small grey clip with silence for each length and shape asked for: made once, then copied."""

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


def compositor_for(settings: Settings) -> Compositor:
    """The compositor that is switched on."""
    if not settings.draw:
        return PlainClips(settings)
    from .compose import FilmMaker  # numpy and Pillow's fonts are loaded only where something is drawn

    return FilmMaker(settings)
