"""Running the FFmpeg binary that comes as a wheel."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from functools import cache

import imageio_ffmpeg

POLITENESS = 5  # niceness: what is being tried beside the sandbox comes first


@cache
def ffmpeg() -> str:
    """The binary's path."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


async def run_ffmpeg(arguments: Sequence[str], told: Callable[[float], None] | None = None) -> None:
    """Run FFmpeg to its end, telling the seconds written so far. Raises OSError with its last words."""
    process = await asyncio.create_subprocess_exec(
        ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-progress", "pipe:1", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, POLITENESS)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.ensure_future(process.stderr.read())
        async for line in process.stdout:
            name, _, value = line.decode().strip().partition("=")
            if told is not None and name == "out_time_us" and value.isdigit():
                told(int(value) / 1_000_000)
        if await process.wait() != 0:
            raise OSError((await complaints).decode(errors="replace")[-300:])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
