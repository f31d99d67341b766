"""FFmpeg's filter graph for a timeline: motion, cross-fades, texts.

Motion is a slow zoom by `scale=eval=frame` and a crop from the upper left corner. The crop begins at (0, 0) because
FFmpeg rounds other offsets to whole chroma samples, which would make the picture tremble; to lean towards another
corner the picture comes in mirrored and is mirrored back after the crop.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from .stills import ZOOM
from .timeline import FPS, Scene, Words

FADE = 0.5  # seconds of cross-fade between two scenes, less where a scene is short
TEXT_FADE = 0.35  # seconds


@dataclass
class Graph:
    """Inputs and filters of one FFmpeg command."""

    width: int
    height: int
    inputs: list[str] = field(default_factory=list[str])
    filters: list[str] = field(default_factory=list[str])
    _count: int = 0

    def add_input(self, *arguments: str) -> int:
        """Add an input; answers its number."""
        self.inputs += arguments
        self._count += 1
        return self._count - 1

    def still(self, path: str, scene: Scene, seconds: float, label: str) -> None:
        """A prepared picture that moves for this long; decoded once, then repeated."""
        source = self.add_input("-i", path)
        first, last = (1.0, ZOOM) if scene.zoom_in else (ZOOM, 1.0)
        frames = round(seconds * FPS)
        zoom = f"({first}+({last - first:.4f})*(0.5-0.5*cos(PI*n/{max(frames, 1)})))"
        mirror = ("hflip," if scene.flip_x else "") + ("vflip," if scene.flip_y else "")
        self.filters.append(
            f"[{source}:v]format=yuv420p,loop=loop={frames - 1}:size=1,setpts=N/{FPS}/TB,"
            f"scale=w='ceil({self.width}*{zoom})':h='ceil({self.height}*{zoom})':eval=frame:flags=bilinear,"
            f"crop={self.width}:{self.height}:0:0,{mirror}setsar=1,fps={FPS},settb=1/{FPS}[{label}]"
        )

    def clip(self, path: str, seconds: float, label: str, *, whole: bool) -> None:
        """A video file, repeated where it is too short; shown whole on a blurred ground, or filling the frame."""
        source = self.add_input("-stream_loop", "-1", "-t", f"{seconds + 1:.3f}", "-i", path)
        size = f"{self.width}:{self.height}"
        frames = round(seconds * FPS)
        end = f"setsar=1,fps={FPS},trim=end_frame={frames},setpts=N/{FPS}/TB,format=yuv420p,settb=1/{FPS}[{label}]"
        if not whole:
            fill = f"scale={size}:force_original_aspect_ratio=increase:flags=bilinear,crop={size}"
            self.filters.append(f"[{source}:v:0]{fill},{end}")
            return
        small = f"{self.width // 12}:{self.height // 12}"
        self.filters.append(
            f"[{source}:v:0]split[{label}a][{label}b];"
            f"[{label}a]scale={small}:force_original_aspect_ratio=increase,crop={small},boxblur=4:2,"
            f"scale={size}:flags=bicubic,lutyuv=y=val*0.6[{label}c];"
            f"[{label}b]scale={size}:force_original_aspect_ratio=decrease:flags=bilinear[{label}d];"
            f"[{label}c][{label}d]overlay=(W-w)/2:(H-h)/2,{end}"
        )

    def join(self, labels: list[str], starts: list[float], fades: list[float]) -> str:
        """Cross-fade the scenes into one another; answers the label of the whole."""
        whole = labels[0]
        for index in range(1, len(labels)):
            joined = f"j{index}"
            self.filters.append(
                f"[{whole}][{labels[index]}]xfade=transition=fade:duration={fades[index]:.4f}"
                f":offset={starts[index]:.4f}[{joined}]"
            )
            whole = joined
        return whole

    def text(self, ground: str, path: str, at: tuple[int, int], words: Words, label: str) -> str:
        """Lay a picture of words over the ground for its time, softly in and out."""
        source = self.add_input("-i", path)
        fade = min(TEXT_FADE, words.seconds / 4)
        end = words.start + words.seconds
        self.filters.append(
            f"[{source}:v]format=yuva420p,loop=loop={round(words.seconds * FPS) - 1}:size=1,setpts=N/{FPS}/TB,"
            f"fade=in:st=0:d={fade:.3f}:alpha=1,fade=out:st={words.seconds - fade:.3f}:d={fade:.3f}:alpha=1,"
            f"setpts=PTS+{words.start:.3f}/TB[{label}p];"
            f"[{ground}][{label}p]overlay={at[0]}:{at[1]}:eof_action=pass"
            f":enable='between(t,{words.start:.3f},{end:.3f})'[{label}]"
        )
        return label

    def mark(self, ground: str, path: str, at: tuple[int, int]) -> str:
        """Lay a picture over all of it."""
        source = self.add_input("-i", path)
        self.filters.append(f"[{ground}][{source}:v]overlay={at[0]}:{at[1]}:eof_action=repeat,format=yuv420p[out]")
        return "out"


def fades_and_starts(scenes: list[Scene]) -> tuple[list[float], list[float]]:
    """(fades, starts) in seconds: scene i fades in over `fades[i]` from `starts[i]` on; the total stays as drafted."""
    fades, starts, at = [0.0], [0.0], 0.0
    for before, scene in pairwise(scenes):
        at += before.seconds
        fade = round(min(FADE, before.seconds / 3, scene.seconds / 3) * FPS) / FPS
        fades.append(fade)
        starts.append(round(at * FPS) / FPS - fade)
    return fades, starts
