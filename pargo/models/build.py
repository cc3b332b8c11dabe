"""The model of an arm, put together from a language model's weights and a new projector; its weights saved and loaded.

The vision tower is frozen and optional: without it the model takes the features that the features stage has stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pargo.config.models import Adapter, Language, Vision
from pargo.config.projectors import Projector
from pargo.models.configuration import PargoConfig
from pargo.models.language import add_lora, load_language_model
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.vision import load_vision_tower, vision_config
from pargo.models.vlm import PargoModel, Parts
from pargo.models.weights import check_names_and_shapes, read_weights

WEIGHTS = "model.safetensors"
Model = TypeVar("Model", bound=PargoModel)


def build_model(
    kind: type[Model],
    vision: Vision,
    language: Language,
    projector: Projector,
    adapter: Adapter | None,
    language_dir: Path,
    seed: int,
    vision_dir: Path | None = None,
) -> Model:
    """The model of an arm; projector and adapter are trainable and float32, all else frozen.

    The projector's and the adapter's random weights each depend on `seed` alone, so arms with the same language model
    start with the same adapter.

    Args:
        kind: `PargoModel` to train, `PargoForConditionalGeneration` to answer.
        vision_dir: weights of the vision tower; without it the model takes stored features only.
    """
    language_model = load_language_model(language, language_dir)
    config = PargoConfig(
        vision_config=vision_config(vision),
        text_config=deepcopy(language_model.config),  # transformers sets some of it anew
        projector_config=projector.model_dump(mode="json"),
        image_token_id=language_model.config.vocab_size,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        embeddings = language_model.get_input_embeddings()
        built = build_projector(projector, ProjectorShape.between(vision, embeddings.embedding_dim))
        built.scale_output(embeddings.weight.float().square().mean().sqrt().item())
    if adapter is not None:
        add_lora(language_model, adapter, seed)
    tower = None if vision_dir is None else load_vision_tower(vision, vision_dir)
    return kind(config, Parts(language_model, built, tower))


def own_parameters(model: PargoModel) -> Iterator[tuple[str, nn.Parameter]]:
    """What makes a model this project's: `projector.*` (with its frozen norm) and `language_model.*lora_*`."""
    for name, parameter in model.named_parameters():
        if name.startswith("projector.") or "lora_" in name:
            yield name, parameter


def own_state_dict(model: PargoModel) -> dict[str, Tensor]:
    """Copies of the model's own parameters, float32 on the CPU."""
    return {
        name: parameter.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, parameter in own_parameters(model)
    }


@torch.no_grad()
def load_own_weights(model: PargoModel, directory: Path, *, allow_missing_lora: bool = False) -> None:
    """Load `model.safetensors` of a model directory into the model's own parameters, strictly.

    Args:
        model: has just the parameters of the file.
        directory: a model directory.
        allow_missing_lora: the file may be without LoRA altogether (a pretrained projector); LoRA stays as it is.

    Raises:
        InputError: no file; missing, unexpected or mis-shaped tensors, each listed.
    """
    path = directory / WEIGHTS
    state = read_weights(path)
    expected = dict(own_parameters(model))
    adapters = {name for name in expected if "lora_" in name}
    if allow_missing_lora and adapters.isdisjoint(state):
        expected = {name: parameter for name, parameter in expected.items() if name not in adapters}
    check_names_and_shapes(str(path), state, {name: parameter.shape for name, parameter in expected.items()})
    for name, tensor in state.items():
        expected[name].copy_(tensor)
