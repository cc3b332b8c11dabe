"""What names of image files end in, and which of these count where.

A name decides whether a file is looked at; what it is, its bytes decide (`pargo.data.rgb.FORMATS`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath

# what a file of each of Pillow's formats is called where we name it; MPO: JPEG files of some cameras
EXTENSION = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
# Official files of all benchmarks are JPEG or PNG, and so are the sources that are made of them.
BENCHMARK = (".png", ".jpg", ".jpeg")
# img2dataset writes one of these; a GIF in a pool is another file beside the image.
POOL = (*BENCHMARK, ".webp")
# Datasets of conversations name files of the web as they were found. BMP comes inside entries alone.
CONVERSATION = (*POOL, ".gif")


def is_image_name(name: str | PurePath, extensions: Collection[str]) -> bool:
    """Does a name end in one of these, in small or large letters, behind something else?"""
    return PurePath(name).suffix.lower() in extensions


def usual_extension(name: str) -> str:
    """What a name ends in, in the one spelling that we write: `.jpg` for `.JPEG`."""
    ending = PurePath(name).suffix.lower()
    return ".jpg" if ending == ".jpeg" else ending
