"""Images of which one cannot be read."""

from __future__ import annotations

import io

from PIL import Image

from pargo.data.rgb import open_rgb
from pargo.data.template import Encoded
from pargo.models.image_processor import PargoImageProcessor


class ImagesWithOneBroken:
    """Small images by id; the last one's file is cut off."""

    def __init__(self, count: int) -> None:
        self.ids = [f"image-{number}" for number in range(count)]
        self.broken = self.ids[-1]
        self.processor = PargoImageProcessor(size={"height": 32, "width": 32})

    def read(self, identifier: str) -> bytes:
        buffer = io.BytesIO()
        Image.effect_noise((40, 40), 50).convert("RGB").save(buffer, "PNG")
        data = buffer.getvalue()
        return data[: len(data) // 2] if identifier == self.broken else data

    def load(self, identifier: str) -> Image.Image:
        return open_rgb(io.BytesIO(self.read(identifier)), identifier)


class _Texts:
    def __init__(self, ids: list[str]) -> None:
        self.ids = ids

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        return Encoded((-1, 5), (-100, 5))


def texts(ids: list[str]) -> _Texts:
    """One word for each image."""
    return _Texts(ids)
