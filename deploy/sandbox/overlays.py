"""The texts of a video as transparent pictures, with what makes them readable on any ground."""

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from .lettering import Lettering, draw_line, width_of

SIDE_MARGIN = 0.085  # of the width: players' buttons and round corners cover less than that
BOTTOM_MARGIN = 0.17  # of the height: where short-video players put their own captions
LINE_HEIGHT = 1.32  # of the letters' size
MARK = "sandbox"


@dataclass(frozen=True)
class Overlay:
    """A picture and where its upper left corner goes, in pixels."""

    picture: Image.Image
    x: int
    y: int


def title_overlay(words: str, width: int, height: int) -> Overlay:
    """Large letters in the lower half, on a shade that grows towards the bottom."""
    unit = min(width, height)
    style = Lettering(size=round(unit * 0.108), smallest=round(unit * 0.056), lines=3, weight=round(unit * 0.0022))
    size, lines = style.fit(words, round(width * (1 - 2 * SIDE_MARGIN)))
    step = round(size * LINE_HEIGHT)
    top = height - round(height * BOTTOM_MARGIN) - step * len(lines)
    start = max(0, top - round(height * 0.18))
    picture = _shade(width, height - start)
    rule = round(unit * 0.006)
    left = round(width * SIDE_MARGIN)
    ImageDraw.Draw(picture).rounded_rectangle(
        (left, top - start - rule * 5, left + round(unit * 0.12), top - start - rule * 4), rule, (255, 255, 255, 235)
    )
    baselines = [top - start + step * index + round(size * 0.98) for index in range(len(lines))]
    _letters(picture, [(left, y, line) for y, line in zip(baselines, lines, strict=True)], size, style.weight)
    return Overlay(picture, 0, start)


def caption_overlay(words: str, width: int, height: int) -> Overlay:
    """Middle-sized letters in the centre, on a dark rounded plate."""
    unit = min(width, height)
    style = Lettering(size=round(unit * 0.056), smallest=round(unit * 0.040), lines=3, weight=0)
    room = round(width * (1 - 2 * SIDE_MARGIN))
    pad = round(unit * 0.032)
    size, lines = style.fit(words, room - 2 * pad)
    step = round(size * LINE_HEIGHT)
    wide = max((round(width_of(line, size)) for line in lines), default=0) + 2 * pad
    tall = step * len(lines) + round(pad * 1.2)
    picture = Image.new("RGBA", (wide, tall), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rounded_rectangle((0, 0, wide - 1, tall - 1), round(pad * 0.9), (12, 14, 20, 165))
    for index, line in enumerate(lines):
        x = (wide - width_of(line, size)) / 2
        draw_line(picture, (x, round(pad * 0.6) + step * index + round(size * 1.0)), line, size, style.weight)
    return Overlay(picture, (width - wide) // 2, height - round(height * BOTTOM_MARGIN) - tall)


def mark_overlay(width: int, height: int) -> Overlay:
    """The sandbox's mark for the upper right corner."""
    unit = min(width, height)
    size = round(unit * 0.026)
    wide, tall = round(width_of(MARK, size)) + size, round(size * 1.75)
    picture = Image.new("RGBA", (wide, tall), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rounded_rectangle((0, 0, wide - 1, tall - 1), tall // 2, (0, 0, 0, 70))
    draw_line(picture, (size / 2, round(size * 1.18)), MARK, size, 0, alpha=190)
    margin = round(unit * 0.035)
    return Overlay(picture, width - wide - margin, margin)


def _shade(width: int, height: int) -> Image.Image:
    """Black that grows from nothing to two thirds, along a curve without a visible edge."""
    column = bytes(round(170 * (t * t * (3 - 2 * t))) for t in (min(1.0, y / height / 0.7) for y in range(height)))
    alpha = Image.frombytes("L", (1, height), column).resize((width, height))
    shade = Image.new("RGBA", (width, height), (6, 8, 14, 0))
    shade.putalpha(alpha)
    return shade


def _letters(picture: Image.Image, lines: list[tuple[int, int, str]], size: int, weight: int) -> None:
    """The letters over their own soft shadow."""
    letters = Image.new("RGBA", picture.size, (255, 255, 255, 0))
    for x, y, line in lines:
        draw_line(letters, (x, y), line, size, weight)
    shadow = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    shadow.putalpha(letters.getchannel("A").filter(ImageFilter.GaussianBlur(size / 9)).point(lambda a: a * 0.55))
    picture.alpha_composite(shadow)
    picture.alpha_composite(letters)
