"""Images of any kind as RGB with 8 bits, upright; what cannot be is refused with its name.

Of an animation the first frame. What is transparent shows white, as on a page. CMYK in JPEG is taken as Adobe writes
it, inverted, with its mark or without, as browsers do.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from pargo.errors import InputError

# PIL knows forty more, among them some that it gives to other programs (EPS); a file's name does not count
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 100_000_000  # of an image; more is a mistake or an attack, and would fill the memory
# what PIL raises for damaged files
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_BACKGROUND = (255, 255, 255, 255)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_rgb(file: Path | BinaryIO, name: str) -> Image.Image:
    """The image of a file; `name` is what an error calls it.

    Raises:
        InputError: no image of one of `FORMATS`, a damaged one, or one that `as_rgb` refuses.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise InputError(f"cannot read image {name}: expected one of {', '.join(FORMATS)}") from None
    except UNREADABLE as error:
        raise InputError(f"cannot read image {name}: {error}") from error
    return as_rgb(image, name)


def as_rgb(image: Image.Image, name: str) -> Image.Image:
    """RGB, turned as the camera was held (EXIF).

    Raises:
        InputError: it cannot be decoded, is of another format, has no pixels or more than 100 million, or values of
            more than 8 bits, which PIL would clip to white.
    """
    if image.format not in (None, "MPO", *FORMATS):  # None: made in memory; MPO: JPEG files of some cameras
        raise InputError(f"image {name} has format {image.format}: expected one of {', '.join(FORMATS)}")
    if image.width * image.height > MAX_PIXELS:
        raise InputError(f"image {name} of {image.width} x {image.height}: more than {MAX_PIXELS:,} pixels")
    if image.width * image.height == 0:
        raise InputError(f"image {name} of {image.width} x {image.height}: it has no pixels")
    if image.mode == "F" or image.mode.startswith("I"):
        raise InputError(f"image {name} has more than 8 bits a channel (mode {image.mode}): scale it to 8 bits first")
    try:
        image.load()  # the first frame; PNG may tell of EXIF behind the pixels
        if image.has_transparency_data:
            page = Image.new("RGBA", image.size, _BACKGROUND)
            page.alpha_composite(image.convert("RGBA"))
            rgb = page.convert("RGB")
        else:
            rgb = image.convert("RGB")
    except UNREADABLE as error:
        raise InputError(f"cannot read image {name}: {error}") from error
    turn = _turn(image)
    rgb.info = {}  # or it would be turned once more where it is made RGB again
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What EXIF says of how the camera was held; nothing where it is damaged, as viewers do."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except UNREADABLE:
        return None
