"""Stage `attention`: where the tokens of a trained projector look, in maps of a few images and in figures over all.

Only the projector is loaded, on stored features: no language model and no vision tower is needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pargo.code import import_closure
from pargo.config.base import Positive, Settings
from pargo.config.models import Vision
from pargo.config.projectors import Projector, projector_modules
from pargo.data.feature_store import FeatureStore
from pargo.data.images import open_images
from pargo.data.square import as_seen
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.base import ProjectorBase
from pargo.report.attention_files import EVEN, INDEX, MAPS
from pargo.report.cost import OUTPUT, PREFIX, projector_shapes

BATCH = 32


class AttentionSettings(Settings):
    """Settings of the stage; `split` of the benchmark's source, `count` images of it."""

    vision: Vision
    projector: Projector
    split: str
    count: Positive


def run(settings: AttentionSettings, model: Path, source: Path, features: Path, output: Path) -> None:
    """Write the attention of the last layer that looks at patches, and the images.

    Args:
        model: directory of a fine-tuned model.
        source: directory of the benchmark's images.
        features: directory of their features.
        output: gets `attention.safetensors` with `maps` [images, tokens, patches] (float32, mean over heads, rows sum
            to 1, partial tokens first), `attention.json` with the images' ids and files, the numbers of tokens, and
            for each group of tokens the entropy and the coverage of what they see together in each image of the
            split, and the images as `image-<i>.png`, square as the tower saw them. A projector without attention has
            no tokens there, and no groups.

    Raises:
        PargoError: the weights are not of this projector, or the source has fewer images than asked for.
    """
    images = open_images(source, settings.split)
    store = FeatureStore(features)
    ids = spread(images.ids, settings.count)
    projector = load_projector(settings, model / "model.safetensors")
    partial = getattr(settings.projector, "num_partial_tokens", 0)
    maps, figures = _maps(projector, store, ids), dict[str, dict[str, list[float]]]()
    for part in _batches(images.ids):
        for name, tokens in groups(_maps(projector, store, part), partial).items():
            found = figures.setdefault(name, {"entropy": [], "coverage": []})
            found["entropy"] += [round(value, 4) for value in entropy(tokens).tolist()]
            found["coverage"] += [round(value, 4) for value in coverage(tokens).tolist()]
    entries = [{"id": image, "file": f"image-{i}.png"} for i, image in enumerate(ids)]
    index = {
        "images": entries,
        "num_partial_tokens": partial if maps.shape[1] else 0,
        "num_global_tokens": maps.shape[1] - partial if maps.shape[1] else 0,
        "groups": figures,
    }
    code = import_closure("pargo.report.attention", *projector_modules(settings.projector.name))
    with publish(output, settings=settings, inputs=[model, source, features], code=code) as directory:
        save_file({"maps": maps}, directory / MAPS)
        (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        for entry in entries:
            as_seen(images.load(entry["id"]), settings.vision.resize).save(directory / entry["file"])


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _maps(projector: ProjectorBase, store: FeatureStore, ids: Sequence[str]) -> Tensor:
    """[images, tokens, patches] of the last layer with cross-attention, rows sum to 1; no tokens without one."""
    with torch.inference_mode():
        batch = torch.stack([store[image] for image in ids]).float()
        _, attentions = projector(batch, output_attentions=True)
    layers = attentions.cross_maps()
    if not layers:
        return torch.zeros(len(ids), 0, batch.shape[1])
    # what a resampler's latents give each other is no part of where they look
    return (layers[-1] / layers[-1].sum(2, keepdim=True)).contiguous()


def groups(maps: Tensor, partial: int) -> dict[str, Tensor]:
    """Maps [images, tokens, patches] by the tokens that belong together: all, and partial and global ones if there are
    both."""
    if not maps.shape[1]:
        return {}
    parts = {"all": maps}
    if 0 < partial < maps.shape[1]:
        parts |= {"partial": maps[:, :partial], "global": maps[:, partial:]}
    return parts


def entropy(maps: Tensor) -> Tensor:
    """Entropy [images] of the mean map of tokens [images, tokens, patches], as a share of that of an even spread."""
    mean = maps.double().mean(1)
    return -torch.xlogy(mean, mean).sum(1) / math.log(mean.shape[1])


def coverage(maps: Tensor) -> Tensor:
    """Share [images] of the patches that the mean map of tokens gives at least `EVEN` of an even share."""
    mean = maps.double().mean(1)
    return (mean * mean.shape[1] >= EVEN).double().mean(1)


def spread(ids: Sequence[str], count: int) -> list[str]:
    """`count` ids from the middles of equal parts of the list, so that the tasks of a benchmark all have a chance.

    Raises:
        PargoError: fewer ids than asked for.
    """
    if len(ids) < count:
        raise PargoError(f"report.attention_images: {count} images asked for, the source has {len(ids)}")
    return [ids[(2 * i + 1) * len(ids) // (2 * count)] for i in range(count)]


def load_projector(settings: AttentionSettings, weights: Path) -> ProjectorBase:
    """The trained projector in float32, for inference.

    Raises:
        PargoError: tensors are missing, unexpected or of another shape than the settings give.
    """
    shapes = projector_shapes(weights)
    projector = build_projector(settings.projector, ProjectorShape.between(settings.vision, shapes[OUTPUT][0]))
    expected = {PREFIX + name: tuple(tensor.shape) for name, tensor in projector.state_dict().items()}
    if bad := sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name)):
        raise PargoError(f"{weights} is not of this projector: {', '.join(bad[:5])} missing, unexpected or mis-shaped")
    with safe_open(weights, framework="pt") as file:
        projector.load_state_dict({name.removeprefix(PREFIX): file.get_tensor(name) for name in shapes})
    return projector.eval()
