"""Perceptual hashes: 256 bits that stay nearly the same when an image is resized, recompressed or made grey.

pHash as in the library ImageHash (`phash`, after Krawetz, "Looks Like It", hackerfactor.com, 2011): grey, 64 x 64
pixels, discrete cosine transform, and of the 16 x 16 lowest frequencies which are above their median. Colour does not
enter, and a crop of a few percent changes many bits (reports/bench/selection.md says how many).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

HASH_SIZE = 16  # frequencies in each direction
NUM_BITS = HASH_SIZE * HASH_SIZE
NUM_BYTES = NUM_BITS // 8
_SIDE = 4 * HASH_SIZE  # ImageHash's own choice for this many frequencies


class Hashes(NamedTuple):
    """Perceptual hashes of an image as it stands and of its mirror image, 32 bytes each."""

    upright: bytes
    mirrored: bytes


def perceptual_hashes(image: Image.Image) -> Hashes:
    """Both hashes of an image of any mode and size.

    The image is scaled once: scaling and mirroring commute, and it is most of the work.
    """
    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return Hashes(_hash(small), _hash(ImageOps.mirror(small)))


def _hash(small: Image.Image) -> bytes:
    from imagehash import phash  # scipy and PyWavelets come with it

    return np.packbits(phash(small, hash_size=HASH_SIZE).hash).tobytes()
