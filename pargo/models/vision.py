"""The frozen vision tower: any timm model, its last feature maps as visual tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_utils import local_torch_dtype

from pargo.config.models import Vision
from pargo.errors import InputError
from pargo.files import read_json
from pargo.models.weights import check_names_and_shapes, read_weights


class PargoVisionConfig(PreTrainedConfig):
    """The frozen vision tower.

    Args:
        architecture: timm model name.
        image_size: side of the square that the tower sees, in pixels.
        feature_layers: last n feature maps, concatenated on the grid of the finest.
        num_patches: N, patches of one image.
        feature_size: Dv, channels of a patch.
        whiten: projectors whiten the features (the tower itself does not).
    """

    model_type = "pargo_vision"
    base_config_key = "vision_config"

    architecture: str = "eva02_large_patch14_clip_336"
    image_size: int = 336
    feature_layers: int = 1
    num_patches: int = 576
    feature_size: int = 1024
    whiten: bool = False


class VisionTower(nn.Module):
    """Pixels -> features [B, N, Dv]: patches in raster order, channels of the last `feature_layers` maps.

    A transformer gives the tokens of its last block before the final norm, without class token; a convolutional
    network its last feature maps, coarser ones repeated (nearest) to the grid of the finest. Made in float32, whatever
    torch's default: a part of a model in bfloat16 stays exact, buffers that no file holds included (rotary positions).

    Raises:
        InputError: timm has no such architecture.
    """

    def __init__(self, config: PargoVisionConfig) -> None:
        super().__init__()
        self.config = config
        with local_torch_dtype(torch.float32):
            self.model = _create(config)
        self.model.to(memory_format=torch.channels_last)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> VisionTower:
        """Stays in evaluation mode: it is frozen, statistics of its norms included."""
        return super().train(False)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Features [B, N, Dv] in the tower's number type.

        Args:
            pixel_values: [B, 3, image_size, image_size], normalised (`PargoImageProcessor`).

        Raises:
            InputError: pixels of another shape.
        """
        size = self.config.image_size
        if pixel_values.shape[1:] != (3, size, size):
            raise InputError(f"expected pixel_values [batch, 3, {size}, {size}], got {list(pixel_values.shape)}")
        if not len(pixel_values):
            raise InputError("expected pixel_values of at least one image, got an empty batch")
        dtype = next(self.model.parameters()).dtype
        maps = self.model.forward_intermediates(
            pixel_values.to(dtype).contiguous(memory_format=torch.channels_last),
            indices=self.config.feature_layers,
            norm=False,
            intermediates_only=True,
        )
        grid = max((feature_map.shape[-2:] for feature_map in maps), key=lambda shape: shape[0] * shape[1])
        maps = [m if m.shape[-2:] == grid else F.interpolate(m, size=grid, mode="nearest") for m in maps]
        return torch.cat(maps, 1).flatten(2).transpose(1, 2)


def read_vision_source(directory: Path) -> dict[str, Any]:
    """`config.json` of a vision source: `architecture` (timm's name), `mean` and `std` per RGB channel.

    Raises:
        PargoError: the file is absent or no JSON.
        InputError: it lacks a key.
    """
    path = directory / "config.json"
    source = read_json(path)
    missing = [key for key in ("architecture", "mean", "std") if key not in source]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}")
    return source


def load_vision_tower(settings: Vision, directory: Path) -> VisionTower:
    """The tower that a config names, with the weights of a vision source, in float32; never asks the network.

    Args:
        settings: what is expected; checked against what the tower gives.
        directory: `config.json` and `model.safetensors` under timm's names.

    Raises:
        InputError: unknown or other architecture, weights that do not fit, other number of patches or channels.
    """
    source = read_vision_source(directory)
    if source["architecture"] != settings.architecture:
        raise InputError(
            f"vision.architecture: {settings.architecture!r}, but {directory} holds {source['architecture']!r}"
        )
    tower = VisionTower(vision_config(settings))
    path = directory / "model.safetensors"
    weights = read_weights(path)
    check_names_and_shapes(str(path), weights, {name: x.shape for name, x in tower.model.state_dict().items()})
    tower.model.load_state_dict(weights)
    _check_shape(tower, settings)
    return tower


def vision_config(settings: Vision) -> PargoVisionConfig:
    """A config's settings of the tower as transformers stores them."""
    fields = {"architecture", "image_size", "feature_layers", "num_patches", "feature_size", "whiten"}
    return PargoVisionConfig(**settings.model_dump(include=fields))


@torch.inference_mode()
def _check_shape(tower: VisionTower, settings: Vision) -> None:
    size = settings.image_size
    num_patches, feature_size = tower(torch.zeros(1, 3, size, size)).shape[1:]
    for field, found in (("num_patches", num_patches), ("feature_size", feature_size)):
        expected = getattr(settings, field)
        if expected != found:
            raise InputError(
                f"vision.{field}: the config says {expected}, but {settings.architecture} gives {found} "
                f"at image_size {size} with feature_layers {settings.feature_layers}"
            )


def _create(config: PargoVisionConfig) -> nn.Module:
    if not timm.is_model(config.architecture):
        near = ", ".join(timm.list_models(f"*{config.architecture.split('_')[0]}*")[:5])
        raise InputError(
            f"vision.architecture: timm has no {config.architecture!r}" + (f"; similar: {near}" if near else "")
        )
    # built once without memory, to see whether its size can and must be set
    with torch.device("meta"):
        model = timm.create_model(config.architecture, pretrained=False)
    expected = getattr(getattr(model, "patch_embed", None), "img_size", None)
    size = {} if expected is None or set(expected) == {config.image_size} else {"img_size": config.image_size}
    return timm.create_model(config.architecture, pretrained=False, **size)
