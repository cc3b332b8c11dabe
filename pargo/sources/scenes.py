"""Scenes: images of a few coloured shapes and sometimes a short word on a 2 x 2 grid, with exact ground truth.

A scene is drawn from (seed, index) alone, so image i is the same however many are made and by whom. Sizes and places
are in units of a 160-pixel image; another image size only scales them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

UNITS = 160  # side of a scene in its own units
CELLS = ("top left", "top right", "bottom left", "bottom right")  # in reading order
SHAPES = ("circle", "square", "triangle")
WORDS = ("cat", "sun", "map", "box", "key", "tea", "owl", "jam")
WORD_PROBABILITY = 0.6
RGB = {"red": (214, 39, 40), "blue": (31, 90, 220), "green": (44, 160, 44), "yellow": (240, 200, 20)}
COLORS = tuple(RGB)
BACKGROUNDS = ((235, 235, 235), (250, 250, 250), (220, 220, 225))
INK = (20, 20, 20)
FONT_SIZE = 30


@dataclass(frozen=True)
class Object:
    """One shape; `cell` counts the grid's cells in reading order, `center` and `radius` are in scene units."""

    shape: str
    color: str
    cell: int
    center: tuple[int, int]
    radius: int


@dataclass(frozen=True)
class Word:
    """A short word, centred at `center` (scene units) in a cell without an object."""

    text: str
    cell: int
    center: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """All there is to see: one to four objects in different cells, in reading order, and perhaps a word."""

    objects: tuple[Object, ...]
    word: Word | None
    background: tuple[int, int, int]


def draw_scene(seed: int, index: int) -> Scene:
    """The scene that (seed, index) stands for. Random is seeded with text, which is stable across Python versions."""
    random = Random(f"{seed}-{index}")
    count = random.randint(1, 4)
    cells = sorted(random.sample(range(4), count))
    looks = [(cell, random.choice(COLORS), random.choice(SHAPES)) for cell in cells]
    free = [cell for cell in range(4) if cell not in cells]
    word = None
    if free and random.random() < WORD_PROBABILITY:
        word = (random.choice(free), random.choice(WORDS))
    background = random.choice(BACKGROUNDS)
    objects = tuple(
        Object(shape, color, cell, _center(random, cell), random.randint(18, 28)) for cell, color, shape in looks
    )
    return Scene(objects, Word(word[1], word[0], _center(random, word[0])) if word else None, background)


def _center(random: Random, cell: int) -> tuple[int, int]:
    x = cell % 2 * 80 + 40 + random.randint(-8, 8)
    return x, cell // 2 * 80 + 40 + random.randint(-8, 8)


def render(scene: Scene, image_size: int = UNITS) -> Image.Image:
    """The scene as an RGB image of `image_size` x `image_size` pixels."""
    scale = image_size / UNITS
    image = Image.new("RGB", (image_size, image_size), scene.background)
    draw = ImageDraw.Draw(image)
    for item in scene.objects:
        _draw_shape(draw, item, scale)
    if scene.word:
        x, y = scene.word.center
        draw.text((x * scale, y * scale), scene.word.text, fill=INK, font=_font(FONT_SIZE * scale), anchor="mm")
    return image


def _draw_shape(draw: ImageDraw.ImageDraw, item: Object, scale: float) -> None:
    x, y, r = item.center[0] * scale, item.center[1] * scale, item.radius * scale
    fill = RGB[item.color]
    if item.shape == "circle":
        draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)
    elif item.shape == "square":
        draw.rectangle([x - r * 0.9, y - r * 0.9, x + r * 0.9, y + r * 0.9], fill=fill)
    else:
        draw.polygon([(x, y - r), (x - r, y + r * 0.8), (x + r, y + r * 0.8)], fill=fill)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that the image does not depend on the fonts of the system."""
    return ImageFont.load_default(size)


def encode_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
