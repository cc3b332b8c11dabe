"""Stage `attention`: where the partial and the global tokens of a trained ParGo look, on a few benchmark images.

Only the projector is loaded, on stored features: the figure needs no language model and no vision tower.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pargo.code import import_closure
from pargo.config.base import Positive, Settings
from pargo.config.models import Vision
from pargo.config.projectors.pargo import PargoProjector
from pargo.data.feature_store import FeatureStore
from pargo.data.images import open_images
from pargo.data.square import as_seen
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.models.projectors.pargo import ParGo
from pargo.models.projectors.shape import ProjectorShape
from pargo.report.attention_files import INDEX, MAPS
from pargo.report.cost import OUTPUT, PREFIX, projector_shapes


class AttentionSettings(Settings):
    """Settings of the stage; `split` of the benchmark's source, `count` images of it."""

    vision: Vision
    projector: PargoProjector
    split: str
    count: Positive


def run(settings: AttentionSettings, model: Path, source: Path, features: Path, output: Path) -> None:
    """Write the attention of the last layer, and the images.

    Args:
        model: directory of a fine-tuned model with a ParGo projector.
        source: directory of the benchmark's images.
        features: directory of their features.
        output: gets `attention.safetensors` with `maps` [images, tokens, patches] (float32, mean over heads, rows sum
            to 1, partial tokens first), `attention.json` with the images' ids and files and the numbers of tokens,
            and the images as `image-<i>.png`, square as the tower saw them.

    Raises:
        PargoError: the weights are not of this projector, or the source has fewer images than asked for.
    """
    images = open_images(source, settings.split)
    store = FeatureStore(features)
    ids = spread(images.ids, settings.count)
    projector = load_projector(settings, model / "model.safetensors")
    with torch.inference_mode():
        batch = torch.stack([store[image] for image in ids]).float()
        _, attentions = projector(batch, output_attentions=True)
    maps = attentions.cross_maps()[-1].contiguous()
    entries = [{"id": image, "file": f"image-{i}.png"} for i, image in enumerate(ids)]
    index = {
        "images": entries,
        "num_partial_tokens": settings.projector.num_partial_tokens,
        "num_global_tokens": settings.projector.num_global_tokens,
        "layer": settings.projector.num_layers,
    }
    code = import_closure("pargo.report.attention")
    with publish(output, settings=settings, inputs=[model, source, features], code=code) as directory:
        save_file({"maps": maps}, directory / MAPS)
        (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        for entry in entries:
            as_seen(images.load(entry["id"]), settings.vision.resize).save(directory / entry["file"])


def spread(ids: Sequence[str], count: int) -> list[str]:
    """`count` ids from the middles of equal parts of the list, so that the tasks of a benchmark all have a chance.

    Raises:
        PargoError: fewer ids than asked for.
    """
    if len(ids) < count:
        raise PargoError(f"report.attention_images: {count} images asked for, the source has {len(ids)}")
    return [ids[(2 * i + 1) * len(ids) // (2 * count)] for i in range(count)]


def load_projector(settings: AttentionSettings, weights: Path) -> torch.nn.Module:
    """The trained projector in float32, for inference.

    Raises:
        PargoError: tensors are missing, unexpected or of another shape than the settings give.
    """
    shapes = projector_shapes(weights)
    projector = ParGo(settings.projector, ProjectorShape.between(settings.vision, shapes[OUTPUT][0]))
    expected = {PREFIX + name: tuple(tensor.shape) for name, tensor in projector.state_dict().items()}
    if bad := sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name)):
        raise PargoError(f"{weights} is not of this projector: {', '.join(bad[:5])} missing, unexpected or mis-shaped")
    with safe_open(weights, framework="pt") as file:
        projector.load_state_dict({name.removeprefix(PREFIX): file.get_tensor(name) for name in shapes})
    return projector.eval()
