"""Stage `features`: the frozen tower's features of every image of a split, computed once and shared by all arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pargo.code import import_closure
from pargo.config.base import Settings
from pargo.config.models import Vision
from pargo.data.feature_store import write_features
from pargo.data.images import open_images
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.vision import VisionTower, load_vision_tower
from pargo.progress import track

BATCH_SIZE = 32


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
