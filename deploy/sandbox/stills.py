"""Pictures made to fit the frame, and coloured cards where there are no pictures."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

ZOOM = 1.10  # pictures are prepared this much larger than the frame, so that zooming in stays sharp
TOLERATED = 1.45  # how much of a picture's longer side may be cut off; beyond, it is shown whole on a blurred ground
PALETTES = (
    ((18, 32, 71), (74, 63, 142), (236, 116, 128)),
    ((10, 54, 64), (24, 118, 116), (240, 190, 120)),
    ((46, 18, 62), (140, 44, 106), (250, 150, 92)),
    ((16, 42, 36), (60, 110, 72), (226, 206, 124)),
    ((14, 22, 44), (36, 84, 150), (120, 210, 226)),
    ((52, 20, 24), (156, 62, 52), (246, 188, 112)),
)


def fitted(source: Path, width: int, height: int) -> Image.Image:
    """The picture upright, without transparency, filling `ZOOM` times the frame. Raises OSError for a broken file."""
    with Image.open(source) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    ground = Image.new("RGBA", upright.size, (244, 244, 246, 255))
    ground.alpha_composite(upright)
    picture = ground.convert("RGB")
    size = (round(width * ZOOM), round(height * ZOOM))
    stretch = (picture.width / picture.height) / (width / height)
    if max(stretch, 1 / stretch) <= TOLERATED:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    whole = ImageOps.contain(picture, size, Image.Resampling.LANCZOS)
    backdrop = blurred(picture, size)
    backdrop.paste(whole, ((size[0] - whole.width) // 2, (size[1] - whole.height) // 2))
    return backdrop


def blurred(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture as a dark soft ground of this size."""
    small = ImageOps.fit(picture, (max(8, size[0] // 12), max(8, size[1] // 12)), Image.Resampling.BOX)
    soft = small.filter(ImageFilter.GaussianBlur(5)).resize(size, Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(soft).enhance(0.6)


def card(palette: int, number: int, width: int, height: int) -> Image.Image:
    """A card of soft light in three colours; each number has its lights elsewhere."""
    size = (round(width * ZOOM), round(height * ZOOM))
    small = (size[0] // 4, size[1] // 4)
    colours = np.array(PALETTES[palette % len(PALETTES)], dtype=np.float64)
    colours = np.roll(colours, 0 if number % 2 else 1, axis=0) if number % 3 == 0 else colours
    y, x = np.mgrid[0 : small[1], 0 : small[0]]
    x, y = x / small[0], y / small[1]
    tilt = np.clip(y * 0.85 + x * 0.25, 0, 1)[..., None]
    picture = colours[0] * (1 - tilt) + colours[1] * tilt
    places = np.random.default_rng(palette * 100 + number)
    for strength, reach in ((0.85, 0.42), (0.5, 0.26), (0.35, 0.6)):
        across, down = places.uniform(0.1, 0.9), places.uniform(0.08, 0.6)
        distance = ((x - across) ** 2 + ((y - down) * height / width) ** 2) / reach**2
        light = (np.exp(-distance * 2.2) * strength)[..., None]
        picture = picture * (1 - light) + colours[2] * light
    grain = places.normal(0, 1.2, (*small[::-1], 1))  # keeps the encoder from drawing bands
    soft = Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8), "RGB")
    return soft.resize(size, Image.Resampling.BICUBIC)
