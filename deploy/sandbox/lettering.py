"""Letters as pictures: fonts that come with wheels, wrapping for Latin and East Asian text, and overlays."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from PIL.ImageFont import ImageFont as BitmapFont

NOWHERE = "\U0010fffd"  # a private code point no font has: it is drawn as the font's box for missing letters
STROKES = dict(zip("ŁłĐđĦħŦŧŊŋ", "LlDdHhTtNn", strict=True))  # letters Unicode does not take apart
PROBE = 18  # pixels: small enough to be quick, large enough to tell a letter from the box
CLOSING = "，。！？、；：”』」》）)]}…,.!?;:%"  # never at the start of a line
OPENING = "“『「《（([{￥¥$€£"  # never at the end of one
_EAST_ASIAN = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_TOKEN = re.compile(rf"[{_EAST_ASIAN}]|[^\s{_EAST_ASIAN}]+|\s+")

Font = FreeTypeFont | BitmapFont


@cache
def _noto() -> str | None:
    """The path of the font for Latin and East Asian letters; its wheel belongs to the `local` extra."""
    try:
        path = Path(str(resources.files("pylopdf_fonts_zh_cn") / "NotoSansSC-Regular.otf"))
    except ModuleNotFoundError:
        return None
    return str(path) if path.is_file() else None


@lru_cache(maxsize=64)
def fonts(size: int) -> tuple[Font, ...]:
    """The fonts of this size in pixels, in the order they are tried: Noto Sans SC, then Pillow's own Latin font."""
    noto, own = _noto(), ImageFont.load_default(size)
    return (ImageFont.truetype(noto, size), own) if noto else (own,)


def font_for(letter: str, size: int) -> Font | None:
    """The first font that has the letter, or None for a letter nobody has: it is left out, never drawn as a box."""
    which = _which(letter)
    return None if which is None else fonts(size)[which]


@lru_cache(maxsize=8192)
def _which(letter: str) -> int | None:
    if letter.isspace():
        return 0
    if not letter.isprintable():
        return None
    tried = enumerate(fonts(PROBE))
    return next((which for which, font in tried if _pixels(font, letter) != _pixels(font, NOWHERE)), None)


def _pixels(font: Font, letter: str) -> bytes:
    """The letter drawn on a small picture of its own."""
    picture = Image.new("L", (PROBE * 2, PROBE * 2))
    ImageDraw.Draw(picture).text((2, 2), letter, font=font, fill=255)
    return picture.tobytes()


def _plain(letter: str) -> str:
    """The letter without its accent or stroke, for one no font has."""
    return STROKES.get(letter) or unicodedata.normalize("NFKD", letter)[0]


def runs(words: str, size: int) -> list[tuple[str, Font]]:
    """The words cut where the font changes; letters nobody has are left out."""
    found: list[tuple[str, Font]] = []
    for wanted in words:
        letter = wanted if font_for(wanted, size) else _plain(wanted)
        font = font_for(letter, size)
        if font is None:
            continue
        if found and found[-1][1] is font:
            found[-1] = (found[-1][0] + letter, font)
        else:
            found.append((letter, font))
    return found


def width_of(words: str, size: int) -> float:
    """The width in pixels."""
    return sum(font.getlength(run) for run, font in runs(words, size))


def wrapped(words: str, size: int, width: int) -> list[str]:
    """The words in as few lines as the width allows, the lines as even as that allows."""
    lines = _greedy(words, size, width)
    narrow, wide = width // 2, width
    while len(lines) > 1 and wide - narrow > 8:  # the narrowest width that needs no further line
        middle = (narrow + wide) // 2
        tried = _greedy(words, size, middle)
        if len(tried) <= len(lines) and all(width_of(line, size) <= middle for line in tried):
            lines, wide = tried, middle
        else:
            narrow = middle
    return lines


def _greedy(words: str, size: int, width: int) -> list[str]:
    lines, line = [""], ""
    for token in _tokens(words):
        line = lines[-1]
        if line and width_of((line + token).rstrip(), size) > width:
            lines[-1] = line.rstrip()
            lines.append(token.lstrip())
        else:
            lines[-1] = line + token if line else token.lstrip()
    return [line.strip() for line in lines if line.strip()]


def _tokens(words: str) -> list[str]:
    """What may not be torn apart: words, single East Asian letters, and both with their punctuation."""
    tokens: list[str] = []
    for token in _TOKEN.findall(words):
        if tokens and (token[0] in CLOSING or tokens[-1][-1] in OPENING):
            tokens[-1] += token
        else:
            tokens.append(token)
    return tokens


@dataclass(frozen=True)
class Lettering:
    """How a text is set. `size` and `smallest` in pixels: it shrinks between the two until it fits `lines`."""

    size: int
    smallest: int
    lines: int
    weight: int  # pixels of outline in the text's own colour: the font comes in one weight only

    def fit(self, words: str, width: int) -> tuple[int, list[str]]:
        """(size, lines) for this width; what does not fit at the smallest size ends in an ellipsis."""
        size = self.size
        lines = wrapped(words, size, width)
        while size > self.smallest and (len(lines) > self.lines or _widest(lines, size) > width):
            size = max(self.smallest, size - 4)
            lines = wrapped(words, size, width)
        if len(lines) > self.lines:
            lines = [*lines[: self.lines - 1], _cut(lines[self.lines - 1], size, width)]
        return size, [line if width_of(line, size) <= width else _cut(line, size, width) for line in lines]


def _widest(lines: list[str], size: int) -> float:
    return max((width_of(line, size) for line in lines), default=0.0)


def _cut(line: str, size: int, width: int) -> str:
    while line and width_of(line + "…", size) > width:
        line = line[:-1]
    return line.rstrip() + "…"


def draw_line(
    picture: Image.Image, at: tuple[float, float], words: str, size: int, weight: int, alpha: int = 255
) -> None:
    """Draw white words with a soft dark edge; `at` is the left end of the baseline."""
    pen = ImageDraw.Draw(picture)
    x, y = at
    for run, font in runs(words, size):
        pen.text((x, y), run, font=font, fill=(255, 255, 255, alpha), anchor="ls", stroke_width=weight)
        x += font.getlength(run)
