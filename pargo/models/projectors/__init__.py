"""Projectors: from visual features to language model tokens. A new one is a file here and a line in `PROJECTORS`."""

from __future__ import annotations

from collections.abc import Callable

from pargo.config.projectors import Projector
from pargo.errors import InputError
from pargo.models.projectors.adjacent import MLP, LinearOnPatches
from pargo.models.projectors.base import Attentions, ProjectorBase
from pargo.models.projectors.c_abstractor import CAbstractor
from pargo.models.projectors.pargo import ParGo
from pargo.models.projectors.qformer import QFormer
from pargo.models.projectors.resampler import Resampler

__all__ = ["PROJECTORS", "Attentions", "ProjectorBase", "build_projector"]

PROJECTORS: dict[str, Callable[..., ProjectorBase]] = {
    "c_abstractor": CAbstractor,
    "linear": LinearOnPatches,
    "mlp": MLP,
    "pargo": ParGo,
    "qformer": QFormer,
    "resampler": Resampler,
}


def build_projector(config: Projector, *, num_patches: int, feature_size: int, output_size: int) -> ProjectorBase:
    """The projector that a config names, with random weights in float32.

    Args:
        config: its settings; `config.name` chooses the class.
        num_patches: N, patches of one image.
        feature_size: Dv, channels of a patch.
        output_size: D, width of the language model's embeddings.

    Raises:
        InputError: unknown name (the message lists the choices), or settings that do not fit the patches.
    """
    if config.name not in PROJECTORS:
        raise InputError(f"projector {config.name!r} is not known; choices: {', '.join(sorted(PROJECTORS))}")
    return PROJECTORS[config.name](config, num_patches=num_patches, feature_size=feature_size, output_size=output_size)
