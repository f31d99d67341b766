"""Watching the pictures go by, small and grey: where they are black, where nothing moves, when the last one ends."""

from dataclasses import dataclass, field

from av.video.frame import VideoFrame
from PIL import Image, ImageChops

from worker.media.playing import displayed
from worker.media.quality.report import Stretch
from worker.media.quality.stretches import Stretches

WIDTH = 64
"""Pixels a picture is looked at with: words on a black ground still show, what an encoder adds does not."""
LOOK_SECONDS = 0.1
"""Between two looks: the stretches looked for are fifteen times as long, and scaling costs as much as half the
decoding when it is done for every frame."""

DARK = 32
"""Levels of 255, up to which a pixel is black: limited-range black is 16 where it comes unscaled, and encoders add a
few. A night scene is brighter in its lights."""
DARK_SHARE = 0.98
"""Of a black picture's pixels: a mark in its corner makes it none the brighter, a title does."""
BLACK_SECONDS = 1.5
"""A cut through black or a title's beginning takes half a second, a slow fade out and in some more than one. What is
longer looks like a video that has failed."""

MOVES = ((8, 0.001), (4, 0.05))
"""Something moves where more than this share of the pixels differs from the stretch's first picture by so many levels:
a few of them plainly (words, an edge), or many of them a little (soft light, slowly zoomed). What an encoder makes of a
still picture of 1080x1920 stays below both at any usual rate; in a tiny, coarse video a freeze is rather missed."""
FROZEN_SECONDS = 6.0
"""A slide, a price or an end card stands for three to five seconds, and longer ones come with some movement."""
SLIDE_SECONDS = 12.0
"""In a slideshow, where nothing but the next picture moves anyway: a text on a slide is read by then."""
SLIDES, SLIDES_SHARE = 3, 0.75
"""So many standing pictures, for so much of the time, are a slideshow; the rest are the fades between them."""
STILL_SECONDS = 2.0
WHOLE_SHARE = 0.95
"""A video of two seconds or more in which nothing moves from beginning to end is a picture, however short."""


@dataclass(slots=True)
class Watched:
    """What was seen so far; seconds from the video's beginning, sizes in pixels as shown."""

    width: int = 0
    height: int = 0
    turned: bool = False
    """Rotated by a quarter, so that what is stored lying is shown upright."""
    end: float = 0.0
    lost: float = 0.0
    """Seconds whose pictures could not be decoded, or not whole."""
    _black: Stretches = field(default_factory=lambda: Stretches(BLACK_SECONDS))
    _frozen: Stretches = field(default_factory=lambda: Stretches(STILL_SECONDS))
    _first: Image.Image | None = None
    """How it looked when it last moved: compared with the picture before, a slow zoom would stand still."""
    _look_at: float = 0.0

    def see(self, frame: VideoFrame, at: float, lasts: float) -> None:
        """The next frame, shown from `at` on (seconds) for `lasts`."""
        if not self.width:
            self._measure(frame)
        self.end = max(self.end, at + lasts)
        if frame.is_corrupt:
            self.lost += lasts
        if at + 1e-6 < self._look_at:
            return
        self._look_at = at + LOOK_SECONDS
        picture = small(frame)
        black = is_black(picture)
        self._black.tell(black, at)
        self._compare(None if black else picture, at)

    def done(self) -> tuple[list[Stretch], list[Stretch]]:
        """No frame comes any more: the black and the frozen stretches. What is black is not called frozen too."""
        self._black.end(self.end)
        self._compare(None, self.end)
        at_least = SLIDE_SECONDS if self._is_slideshow() else FROZEN_SECONDS
        return self._black.found, [one for one in self._frozen.found if self._is_frozen(one, at_least)]

    def _measure(self, frame: VideoFrame) -> None:
        self.width, self.height = displayed(frame.width, frame.height, frame.rotation)
        self.turned = frame.rotation % 180 != 0

    def _compare(self, picture: Image.Image | None, at: float) -> None:
        same = picture is not None and self._first is not None and is_same(self._first, picture)
        if not same:
            self._frozen.end(at)
            self._first = picture
        self._frozen.tell(picture is not None, at)

    def _is_slideshow(self) -> bool:
        standing = sum(to - since for since, to in self._frozen.found)
        return len(self._frozen.found) >= SLIDES and standing >= SLIDES_SHARE * self.end

    def _is_frozen(self, stretch: Stretch, at_least: float) -> bool:
        seconds = stretch[1] - stretch[0]
        return seconds >= at_least - 1e-6 or seconds >= WHOLE_SHARE * self.end


def small(frame: VideoFrame) -> Image.Image:
    """The frame in grey, `WIDTH` pixels wide, each the mean of what it stands for."""
    height = max(1, min(4 * WIDTH, round(frame.height * WIDTH / frame.width)))
    grey = frame.reformat(width=WIDTH, height=height, format="gray", interpolation="AREA")
    plane = grey.planes[0]
    return Image.frombytes("L", (WIDTH, height), bytes(plane), "raw", "L", plane.line_size, 1)


def is_black(picture: Image.Image) -> bool:
    """Whether there is nothing to see but a mark in a corner."""
    levels = picture.histogram()
    return sum(levels[: DARK + 1]) >= DARK_SHARE * sum(levels)


def is_same(one: Image.Image, other: Image.Image) -> bool:
    """Whether nothing moved between two pictures."""
    levels = ImageChops.difference(one, other).histogram()
    pixels = sum(levels)
    return all(sum(levels[by:]) <= share * pixels for by, share in MOVES)
