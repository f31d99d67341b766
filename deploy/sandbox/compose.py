"""From a draft to a film: pictures and texts by Pillow, music by NumPy, everything put together by FFmpeg."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from .exports import Progress
from .ffmpeg import run_ffmpeg
from .graph import Graph, fades_and_starts
from .music import write_music
from .overlays import caption_overlay, mark_overlay, title_overlay
from .settings import Settings
from .stills import TOLERATED, card, fitted
from .timeline import FPS, Scene, Timeline, Words, timeline_of

QUALITY = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-profile:v", "high", "-pix_fmt", "yuv420p")
SOUND = ("-c:a", "aac", "-b:a", "160k", "-ar", "44100", "-ac", "2")
TOLD_EVERY = 5  # per cent


class FilmMaker:
    """Composites drafts; stateless, so any number may be made at once."""

    def __init__(self, settings: Settings) -> None:
        self._uploads = settings.data / "uploads"
        self._room = settings.data / "exports"

    async def compose(self, draft: dict[str, Any], path: Path, tell: Progress) -> None:
        """Write an H.264/AAC MP4 of the draft's length and size."""
        timeline = timeline_of(draft)
        with tempfile.TemporaryDirectory(dir=self._room, prefix=".work-") as name:
            room = Path(name)
            arguments = await asyncio.to_thread(self._prepare, timeline, room)
            tell(10)
            made = room / "made.mp4"
            await run_ffmpeg([*arguments, str(made)], _every_few_per_cent(tell, timeline.seconds))
            made.replace(path)

    def _prepare(self, timeline: Timeline, room: Path) -> list[str]:
        graph = Graph(timeline.width, timeline.height)
        fades, starts = fades_and_starts(timeline.scenes)
        labels: list[str] = []
        for index, scene in enumerate(timeline.scenes):
            ends = starts[index + 1] + fades[index + 1] if index + 1 < len(timeline.scenes) else timeline.seconds
            self._scene(graph, scene, ends - starts[index], f"s{index}", room)
            labels.append(f"s{index}")
        ground = graph.join(labels, starts, fades)
        for index, words in enumerate(timeline.words):
            ground = _lay_words(graph, ground, words, f"t{index}", room)
        mark = mark_overlay(timeline.width, timeline.height)
        mark.picture.save(room / "mark.png")
        whole = graph.mark(ground, str(room / "mark.png"), (mark.x, mark.y))
        sound = self._sound(graph, timeline, room)
        return [
            *graph.inputs, "-filter_complex", ";".join(graph.filters), "-map", f"[{whole}]", *sound,
            "-r", str(FPS), *QUALITY, *SOUND, "-t", f"{timeline.seconds:.3f}", "-movflags", "+faststart",
        ]  # fmt: skip

    def _scene(self, graph: Graph, scene: Scene, seconds: float, label: str, room: Path) -> None:
        if scene.kind == "video":
            path = self._stored(scene.source)
            graph.clip(str(path), seconds, label, whole=_unlike(path, graph.width, graph.height))
            return
        if scene.kind == "card":
            picture = card(scene.palette, scene.number, graph.width, graph.height)
        else:
            picture = fitted(self._stored(scene.source), graph.width, graph.height)
        mirrored = picture
        for wanted, how in ((scene.flip_x, 0), (scene.flip_y, 1)):  # Pillow's FLIP_LEFT_RIGHT and FLIP_TOP_BOTTOM
            mirrored = mirrored.transpose(how) if wanted else mirrored  # pyright: ignore[reportArgumentType]
        mirrored.save(room / f"{label}.bmp")  # written and read fastest
        graph.still(str(room / f"{label}.bmp"), scene, seconds, label)

    def _sound(self, graph: Graph, timeline: Timeline, room: Path) -> list[str]:
        """The arguments that choose the sound: an upload, composed music, or silence."""
        end, music = timeline.seconds, timeline.music
        if music is None:
            source = graph.add_input("-f", "lavfi", "-t", f"{end:.3f}", "-i", "anullsrc=r=44100:cl=stereo")
            return ["-map", f"{source}:a"]
        if music.source:
            source = graph.add_input("-stream_loop", "-1", "-t", f"{end:.3f}", "-i", str(self._stored(music.source)))
        else:
            write_music(room / "music.wav", music.mood, end)
            source = graph.add_input("-i", str(room / "music.wav"))
        fade = min(1.0, end / 4)
        graph.filters.append(
            f"[{source}:a:0]volume={music.volume * 2:.3f},afade=out:st={end - fade:.3f}:d={fade:.3f},apad[sound]"
        )
        return ["-map", "[sound]"]

    def _stored(self, key: str) -> Path:
        """The stored upload. Raises ValueError for a key nothing is stored under."""
        path = next(iter(self._uploads.glob(f"{key}.*")), None) if key else None
        if path is None:
            raise ValueError("a file of the draft is not there")
        return path


def _lay_words(graph: Graph, ground: str, words: Words, label: str, room: Path) -> str:
    draw = title_overlay if words.role == "title" else caption_overlay
    overlay = draw(words.text, graph.width, graph.height)
    path = room / f"{label}.png"
    overlay.picture.save(path, compress_level=1)
    return graph.text(ground, str(path), (overlay.x, overlay.y), words, label)


def _unlike(path: Path, width: int, height: int) -> bool:
    """Whether the video's shape is too unlike the frame's to fill it."""
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            stretch = (video.width / video.height) / (width / height)
    except (FFmpegError, IndexError, ZeroDivisionError) as error:
        raise ValueError("a video of the draft cannot be read") from error
    return max(stretch, 1 / stretch) > TOLERATED


def _every_few_per_cent(tell: Progress, seconds: float) -> Callable[[float], None]:
    told = 10

    def progress(written: float) -> None:
        nonlocal told
        percent = 10 + round(89 * min(1.0, written / seconds))
        if percent >= told + TOLD_EVERY:
            told = percent
            tell(percent)

    return progress
