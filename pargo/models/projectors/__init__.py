"""Projectors: from visual features to language model tokens. A new one is a file here and a line in `PROJECTORS`."""

from __future__ import annotations

from pargo.config.models import Projector, Vision
from pargo.errors import PargoError
from pargo.models.projectors.base import Attentions, ProjectorBase
from pargo.models.projectors.mlp import MLP
from pargo.models.projectors.pargo import ParGo
from pargo.models.projectors.qformer import QFormer

__all__ = ["PROJECTORS", "Attentions", "ProjectorBase", "build_projector"]

PROJECTORS: dict[str, type[ProjectorBase]] = {"mlp": MLP, "pargo": ParGo, "qformer": QFormer}


def build_projector(config: Projector, vision: Vision, output_size: int) -> ProjectorBase:
    """The projector that a config names, with random weights in float32.

    Args:
        config: its settings; `config.name` chooses the class.
        vision: gives the number of patches and their channels.
        output_size: width of the language model's embeddings.

    Raises:
        PargoError: unknown name; the message lists the choices.
    """
    if config.name not in PROJECTORS:
        raise PargoError(f"projector {config.name!r} is not known; choices: {', '.join(sorted(PROJECTORS))}")
    return PROJECTORS[config.name](
        config, num_patches=vision.num_patches, feature_size=vision.feature_size, output_size=output_size
    )
