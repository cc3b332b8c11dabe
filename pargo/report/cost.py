"""What a projector costs: tokens, trained parameters (counted in the weights file) and FLOPs per image."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch
from safetensors import safe_open

from pargo.config.models import Vision
from pargo.config.projectors import Projector
from pargo.errors import PargoError
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.base import FRONT
from pargo.report.training_file import Cost

PREFIX = "projector."
OUTPUT = "projector.output.weight"  # [language model's width, hidden], in every projector


def projector_shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a trained projector's tensors, by name, from the header of `model.safetensors`.

    Raises:
        PargoError: the file has no projector with an output layer.
    """
    with safe_open(weights, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys() if name.startswith(PREFIX)}  # noqa: SIM118
    if OUTPUT not in shapes:
        raise PargoError(f"{weights} holds no {OUTPUT}: not the weights of a trained model")
    return shapes


def projector_cost(projector: Projector, vision: Vision, weights: Path) -> Cost:
    """Cost of a trained projector; nothing is run, and no weights are read but their shapes."""
    shapes = projector_shapes(weights)
    with torch.device("meta"):
        model = build_projector(projector, ProjectorShape.between(vision, shapes[OUTPUT][0]))
    counted = {PREFIX + name for name, _ in model.named_parameters() if not name.startswith(FRONT)}
    parameters = sum(prod(shape) for name, shape in shapes.items() if name in counted)
    return Cost(tokens=model.num_tokens, parameters=parameters, flops=model.flops())
