"""Small configs and models shared by the tests of pargo.models."""

from __future__ import annotations

import torch

from pargo.config.models import Vision
from pargo.config.projectors.c_abstractor import CAbstractorProjector
from pargo.config.projectors.linear import LinearProjector
from pargo.config.projectors.mlp import MLPProjector
from pargo.config.projectors.pargo import PargoProjector
from pargo.config.projectors.qformer import QFormerProjector
from pargo.config.projectors.resampler import ResamplerProjector
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.base import ProjectorBase

NUM_PATCHES, FEATURE_SIZE, OUTPUT_SIZE = 16, 12, 24


def vision(num_patches: int = NUM_PATCHES, feature_size: int = FEATURE_SIZE, **fields) -> Vision:
    values = {"source": "tower", "architecture": "test_efficientnet", "image_size": 64}
    return Vision(**(values | {"num_patches": num_patches, "feature_size": feature_size} | fields))


def pargo_config(num_partial: int = 8, num_global: int = 3, num_layers: int = 3, **fields) -> PargoProjector:
    values = {"hidden_size": 16, "num_heads": 2, "intermediate_size": 32, "num_layers": num_layers}
    return PargoProjector(
        **({"name": "pargo", "num_partial_tokens": num_partial, "num_global_tokens": num_global} | values | fields)
    )


def qformer_config(num_tokens: int = 11, **fields) -> QFormerProjector:
    values = {"hidden_size": 16, "num_heads": 2, "intermediate_size": 32, "num_layers": 3}
    return QFormerProjector(**({"name": "qformer", "num_tokens": num_tokens} | values | fields))


def resampler_config(num_tokens: int = 7, **fields) -> ResamplerProjector:
    return ResamplerProjector(
        **({"name": "resampler", "num_tokens": num_tokens, "num_layers": 2, "num_heads": 2, "head_size": 8} | fields)
    )


def linear_config(**fields) -> LinearProjector:
    return LinearProjector(**({"name": "linear"} | fields))


def mlp_config(**fields) -> MLPProjector:
    return MLPProjector(**({"name": "mlp", "adjacent_patches": 4, "hidden_size": 20} | fields))


def c_abstractor_config(num_tokens: int = 4, **fields) -> CAbstractorProjector:
    return CAbstractorProjector(
        **({"name": "c_abstractor", "num_tokens": num_tokens, "hidden_size": 16, "depth": 2} | fields)
    )


def projector(
    config, seed: int = 0, *, num_patches: int = NUM_PATCHES, feature_size: int = FEATURE_SIZE, std: float = 0.3
) -> ProjectorBase:
    """A projector with seeded weights, large enough that attention is far from uniform."""
    torch.manual_seed(seed)
    built = build_projector(config, ProjectorShape(num_patches, feature_size, OUTPUT_SIZE))
    for parameter in built.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=std)
    return built
