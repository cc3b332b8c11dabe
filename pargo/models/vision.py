"""The frozen vision tower: any timm model from a local directory, its last feature maps as visual tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from pargo.config.models import Vision
from pargo.errors import PargoError


class VisionTower(nn.Module):
    """Images -> features [B, N, Dv]: patches in raster order, channels of the last `feature_layers` maps.

    A transformer gives the tokens of its last block before the final norm, without class token; a convolutional
    network its last feature maps, coarser ones repeated (nearest) to the grid of the finest.

    Args:
        config: what is expected; checked against what the tower gives.
        directory: `config.json` {architecture, mean, std} and `model.safetensors` under timm's names.

    Raises:
        PargoError: unknown or other architecture, weights that do not fit, other number of patches or channels.
    """

    def __init__(self, config: Vision, directory: Path) -> None:
        super().__init__()
        self.config = config
        source = _read_source(directory)
        if source["architecture"] != config.architecture:
            raise PargoError(
                f"vision.architecture: {config.architecture!r}, but {directory} holds {source['architecture']!r}"
            )
        self.model = _create(config)
        _load_strict(self.model, directory / "model.safetensors")
        self.model.to(memory_format=torch.channels_last)
        self.requires_grad_(False).eval()
        self.background = tuple(round(255 * value) for value in source["mean"])
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(source[name]).view(1, 3, 1, 1), persistent=False)
        self._check_shape()

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image] | Tensor) -> Tensor:
        """Features [B, N, Dv], float32.

        Args:
            images: PIL images of any size and mode, or a uint8 tensor [B, 3, image_size, image_size].
        """
        if not isinstance(images, Tensor):
            images = torch.stack([self.preprocess(image) for image in images])
        size = self.config.image_size
        if images.dtype != torch.uint8 or images.shape[1:] != (3, size, size):
            raise PargoError(
                f"expected uint8 images [batch, 3, {size}, {size}], got {images.dtype} {list(images.shape)}"
            )
        pixels = (images.to(self.mean.device).float() / 255 - self.mean) / self.std
        maps = self.model.forward_intermediates(
            pixels.contiguous(memory_format=torch.channels_last),
            indices=self.config.feature_layers,
            norm=False,
            intermediates_only=True,
        )
        grid = max((feature_map.shape[-2:] for feature_map in maps), key=lambda shape: shape[0] * shape[1])
        maps = [m if m.shape[-2:] == grid else F.interpolate(m, size=grid, mode="nearest") for m in maps]
        return torch.cat(maps, 1).flatten(2).transpose(1, 2).float()

    def preprocess(self, image: Image.Image) -> Tensor:
        """One image as the tower wants it: uint8 [3, image_size, image_size], resized by the config's policy.

        `squash` ignores the aspect ratio; `pad` centres the image on a square of the mean colour; `crop` takes the
        central square. All are bicubic.
        """
        size, image = self.config.image_size, image.convert("RGB")
        if self.config.resize == "pad":
            side = max(image.size)
            square = Image.new("RGB", (side, side), self.background)
            square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
            image = square
        box = None
        if self.config.resize == "crop":
            side = min(image.size)
            left, top = (image.width - side) / 2, (image.height - side) / 2
            box = (left, top, left + side, top + side)
        if image.size != (size, size) or box is not None:
            image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    def _check_shape(self) -> None:
        size = self.config.image_size
        num_patches, feature_size = self.encode(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape[1:]
        for field, found in (("num_patches", num_patches), ("feature_size", feature_size)):
            expected = getattr(self.config, field)
            if expected != found:
                raise PargoError(
                    f"vision.{field}: the config says {expected}, but {self.config.architecture} gives {found} "
                    f"at image_size {size} with feature_layers {self.config.feature_layers}"
                )


def _read_source(directory: Path) -> dict:
    path = directory / "config.json"
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PargoError(f"cannot read the vision source {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise PargoError(f"{path} is not valid JSON: {error}") from error
    missing = [key for key in ("architecture", "mean", "std") if key not in source]
    if missing:
        raise PargoError(f"{path} lacks {', '.join(missing)}")
    return source


def _create(config: Vision) -> nn.Module:
    if not timm.is_model(config.architecture):
        near = ", ".join(timm.list_models(f"*{config.architecture.split('_')[0]}*")[:5])
        raise PargoError(
            f"vision.architecture: timm has no {config.architecture!r}" + (f"; similar: {near}" if near else "")
        )
    model = timm.create_model(config.architecture, pretrained=False)
    expected = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if expected is not None and tuple(expected) != (config.image_size, config.image_size):
        model = timm.create_model(config.architecture, pretrained=False, img_size=config.image_size)
    return model


def _load_strict(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError) as error:
        raise PargoError(f"{path} does not fit the vision tower: {error}") from error
