"""Stage `features`: the frozen tower's features of every image of a split, computed once and shared by all arms."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from pargo.code import import_closure
from pargo.config.base import Settings
from pargo.config.models import Vision
from pargo.data.images import open_images
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.vision import VisionTower, load_vision_tower
from pargo.progress import track

BATCH_SIZE = 32
FEATURES = "features.safetensors"
IDS = "ids.json"


class FeaturesSettings(Settings):
    """What the stage reads of the config."""

    split: str
    vision: Vision


def run(settings: FeaturesSettings, source: Path, vision: Path, output: Path, num_threads: int = 1) -> None:
    """Write `features.safetensors` (`features` [n, N, Dv], float16) and `ids.json` (row i is image ids[i]).

    Args:
        settings: split and tower.
        source: directory of the images.
        vision: directory of the tower's weights.
        output: artifact directory to publish.
        num_threads: CPU threads for torch; part of the numbers, as sums are split by thread.

    Raises:
        PargoError: no images, weights that do not fit, or a feature that float16 cannot hold.
    """
    torch.set_num_threads(num_threads)
    images = open_images(source, settings.split)
    ids = list(images.ids)
    if not ids:
        raise PargoError(f"{source} has no images in split {settings.split!r}")
    tower = load_vision_tower(settings.vision, vision).to("cuda" if torch.cuda.is_available() else "cpu")
    processor = PargoImageProcessor.for_tower(settings.vision, vision)
    code = import_closure("pargo.models.features")
    batches = [ids[start : start + BATCH_SIZE] for start in range(0, len(ids), BATCH_SIZE)]
    encoded = (
        encode(tower, processor, [images.load(name) for name in batch])
        for batch in track(batches, f"features {source.name}-{settings.split}")
    )
    with publish(output, settings=settings, inputs=[source, vision], code=code) as directory:
        write_features(directory, ids, encoded)


@torch.inference_mode()
def encode(tower: VisionTower, processor: PargoImageProcessor, images: Sequence[Image.Image]) -> Tensor:
    """Features [B, N, Dv] of images of any size and mode."""
    pixel_values = processor(images=list(images), return_tensors="pt")["pixel_values"]
    return tower(pixel_values.to(next(tower.parameters()).device))


def write_features(directory: Path, ids: list[str], batches: Iterable[Tensor]) -> None:
    """Stream batches [b, N, Dv] of all images, in the order of `ids`, into a feature directory, as float16.

    Raises:
        PargoError: ids are not unique, or a feature is not finite in float16.
        ValueError: there are not as many features as ids.
    """
    if len(set(ids)) != len(ids):
        raise PargoError("image ids are not unique")
    written = 0
    with (directory / FEATURES).open("wb") as file:
        for batch in batches:
            half = batch.half().contiguous().cpu()
            if not half.isfinite().all():
                raise PargoError(f"features of images {written}..{written + len(half) - 1} are not finite in float16")
            if not written:
                file.write(_header((len(ids), *half.shape[1:])))
            file.write(half.numpy().tobytes())
            written += len(half)
    if written != len(ids):
        raise ValueError(f"{written} features for {len(ids)} ids")
    (directory / IDS).write_text(json.dumps(ids) + "\n", encoding="utf-8")


def _header(shape: tuple[int, ...]) -> bytes:
    """The safetensors header of one float16 tensor `features`; written by hand, as the library cannot stream."""
    size = 2 * torch.Size(shape).numel()
    text = json.dumps({"features": {"dtype": "F16", "shape": shape, "data_offsets": [0, size]}}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


class FeatureStore:
    """Features by image id, memory-mapped: `store[id]` reads one image's [N, Dv] float16 and nothing else.

    Raises:
        PargoError: the directory is incomplete, or an id is not in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            self.ids: list[str] = json.loads((directory / IDS).read_text(encoding="utf-8"))
            file = safe_open(directory / FEATURES, framework="pt")
        except OSError as error:
            raise PargoError(f"{directory} is not a feature directory: {error}") from error
        self._features = file.get_slice("features")
        self._rows = {name: row for row, name in enumerate(self.ids)}
        rows = self._features.get_shape()[0]
        if rows != len(self.ids):
            raise PargoError(f"{directory}: {rows} features for {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._rows:
            raise PargoError(f"{self.directory} has no features of image {name!r}")
        return self._features[self._rows[name]]
