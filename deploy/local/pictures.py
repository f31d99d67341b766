"""Three product pictures for the demo, drawn here so that the repository holds no binary files.

Always the same bytes with the same Pillow: nothing random, no clock, no font.
"""

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = (1080, 1350)
_SCALE = 2  # drawn twice as large and reduced: smooth edges

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
Draw = Callable[["Scene"], None]


class Scene:
    """A backdrop with a soft light; shapes are given in parts of the width, from the top left."""

    def __init__(self, top: Colour, bottom: Colour) -> None:
        self._width, self._height = SIZE[0] * _SCALE, SIZE[1] * _SCALE
        self.image = _gradient((self._width, self._height), top, bottom)
        self._light()

    def shadow(self, box: Box, strength: int = 110) -> None:
        """A blurred ellipse on the floor."""
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).ellipse(self._pixels(box), fill=strength)
        mask = mask.filter(ImageFilter.GaussianBlur(28 * _SCALE))
        self.image.paste((20, 18, 24), (0, 0), mask)

    def body(self, box: Box, radius: float, left: Colour, right: Colour) -> None:
        """A rounded body lit from the left."""
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).rounded_rectangle(self._pixels(box), radius=radius * self._width, fill=255)
        self._shade(box, mask, left, right)

    def polygon(self, points: list[tuple[float, float]], left: Colour, right: Colour) -> None:
        """A straight-edged body lit from the left."""
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon([(x * self._width, y * self._width) for x, y in points], fill=255)
        across, down = [x for x, _ in points], [y for _, y in points]
        self._shade((min(across), min(down), max(across), max(down)), mask, left, right)

    def ellipse(self, box: Box, colour: Colour) -> None:
        ImageDraw.Draw(self.image).ellipse(self._pixels(box), fill=colour)

    def ring(self, box: Box, colour: Colour, width: float) -> None:
        ImageDraw.Draw(self.image).ellipse(self._pixels(box), outline=colour, width=int(width * self._width))

    def glow(self, box: Box, colour: Colour, strength: int, blur: float) -> None:
        """Light that fades outwards."""
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).ellipse(self._pixels(box), fill=strength)
        self.image.paste(colour, (0, 0), mask.filter(ImageFilter.GaussianBlur(blur * self._width)))

    def save(self, path: Path) -> None:
        self.image.resize(SIZE, Image.Resampling.LANCZOS).save(path, quality=90)

    def _light(self) -> None:
        self.glow((0.1, -0.1, 0.9, 0.8), (255, 255, 255), 70, 0.12)

    def _shade(self, box: Box, mask: Image.Image, left: Colour, right: Colour) -> None:
        x0, y0, x1, y1 = self._pixels(box)
        across = _gradient((max(1, y1 - y0), max(1, x1 - x0)), left, right).transpose(Image.Transpose.ROTATE_90)
        self.image.paste(across, (x0, y0), mask.crop((x0, y0, x0 + across.width, y0 + across.height)))

    def _pixels(self, box: Box) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = (round(part * self._width) for part in box)
        return x0, y0, x1, y1


def _gradient(size: tuple[int, int], first: Colour, last: Colour) -> Image.Image:
    """From `first` at the top to `last` at the bottom."""
    column = Image.new("RGB", (1, size[1]))
    for y in range(size[1]):
        part = y / max(1, size[1] - 1)
        column.putpixel((0, y), tuple(round(a + (b - a) * part) for a, b in zip(first, last, strict=True)))
    return column.resize(size)


def _bottle(scene: Scene) -> None:
    scene.shadow((0.26, 1.0, 0.8, 1.1))
    scene.body((0.43, 0.2, 0.57, 0.34), 0.03, (58, 62, 66), (24, 26, 30))
    scene.body((0.34, 0.3, 0.66, 1.06), 0.09, (64, 158, 150), (18, 78, 86))
    scene.body((0.375, 0.36, 0.4, 0.98), 0.012, (168, 224, 216), (96, 184, 176))
    scene.body((0.34, 0.62, 0.66, 0.78), 0.0, (244, 240, 228), (206, 198, 182))
    scene.ellipse((0.46, 0.66, 0.54, 0.74), (64, 158, 150))


def _mug(scene: Scene) -> None:
    scene.shadow((0.2, 0.96, 0.84, 1.07))
    scene.ring((0.6, 0.56, 0.86, 0.86), (196, 92, 62), 0.05)
    scene.body((0.22, 0.46, 0.7, 1.02), 0.09, (240, 138, 98), (168, 70, 48))
    scene.ellipse((0.22, 0.4, 0.7, 0.54), (248, 174, 140))
    scene.ellipse((0.25, 0.42, 0.67, 0.52), (66, 38, 26))
    scene.glow((0.38, 0.16, 0.46, 0.4), (255, 255, 255), 120, 0.03)
    scene.glow((0.48, 0.1, 0.55, 0.38), (255, 255, 255), 100, 0.03)


def _lamp(scene: Scene) -> None:
    scene.glow((0.1, 0.3, 0.9, 1.1), (255, 214, 140), 150, 0.12)
    scene.shadow((0.28, 1.03, 0.72, 1.1))
    scene.body((0.485, 0.56, 0.515, 1.04), 0.01, (206, 172, 112), (128, 96, 52))
    scene.body((0.35, 1.02, 0.65, 1.07), 0.02, (206, 172, 112), (112, 84, 46))
    scene.glow((0.36, 0.5, 0.64, 0.66), (255, 240, 196), 255, 0.03)
    scene.polygon([(0.38, 0.26), (0.62, 0.26), (0.76, 0.6), (0.24, 0.6)], (252, 238, 208), (226, 186, 122))


PICTURES: dict[str, tuple[Colour, Colour, Draw]] = {
    "bottle.jpg": ((226, 236, 232), (150, 186, 182), _bottle),
    "mug.jpg": ((250, 232, 214), (222, 176, 142), _mug),
    "lamp.jpg": ((66, 70, 96), (30, 30, 48), _lamp),
}


def draw(directory: Path) -> list[Path]:
    """Write the pictures (1080 × 1350 JPEG) into `directory` and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, (top, bottom, shapes) in PICTURES.items():
        scene = Scene(top, bottom)
        shapes(scene)
        scene.save(directory / name)
        paths.append(directory / name)
    return paths
