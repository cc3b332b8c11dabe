"""Images of any kind as RGB with 8 bits, upright; what cannot be is refused with its name."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps

from pargo.errors import InputError

MAX_PIXELS = 100_000_000  # of an image; more is a mistake or an attack, and would fill the memory
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what PIL raises for damaged files


def open_rgb(file: Path | BinaryIO, name: str) -> Image.Image:
    """The image of a file; `name` is what an error calls it.

    Raises:
        InputError: no image, a damaged one, or one that `as_rgb` refuses.
    """
    try:
        image = Image.open(file)
    except UNREADABLE as error:
        raise InputError(f"cannot read image {name}: {error}") from error
    return as_rgb(image, name)


def as_rgb(image: Image.Image, name: str) -> Image.Image:
    """RGB, turned as the camera was held (EXIF).

    Raises:
        InputError: it cannot be decoded, has more than 100 million pixels, or values of more than 8 bits, which PIL
            would clip to white.
    """
    if image.width * image.height > MAX_PIXELS:
        raise InputError(f"image {name} of {image.width} x {image.height}: more than {MAX_PIXELS:,} pixels")
    if image.mode == "F" or image.mode.startswith("I"):
        raise InputError(f"image {name} has more than 8 bits a channel (mode {image.mode}): scale it to 8 bits first")
    try:
        return ImageOps.exif_transpose(image).convert("RGB")
    except UNREADABLE as error:
        raise InputError(f"cannot read image {name}: {error}") from error
