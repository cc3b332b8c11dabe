"""Every projector with small settings, for 16 patches of 12 channels: a new one is a line here."""

from __future__ import annotations

from typing import Any

from pargo.config.projectors import PROJECTORS, ProjectorSettings
from tests.helpers.model_builders import (
    c_abstractor_config,
    linear_config,
    mlp_config,
    pargo_config,
    qformer_config,
    resampler_config,
)


def settings(name: str, **fields: Any) -> ProjectorSettings:
    """Settings of the projector of this name."""
    return PROJECTORS.settings(name)(name=name, **fields)


# by the projector's name, and what is special: settings, and how many tokens stand for an image
CASES: dict[str, tuple[ProjectorSettings, int]] = {
    "pargo-cascade": (pargo_config(), 11),
    "pargo-release": (pargo_config(self_attention="release"), 11),
    "pargo-window": (pargo_config(4, 3, group_shape="window"), 7),
    "pargo-partial-only": (pargo_config(4, 0), 4),
    "pargo-global-only": (pargo_config(0, 4), 4),
    "pargo-no-cascade": (pargo_config(cascade="full"), 11),
    "qformer": (qformer_config(), 11),
    "qformer-every-layer": (qformer_config(cross_attention_interval=1), 11),
    "resampler": (resampler_config(), 7),
    "linear": (linear_config(), 16),
    "linear-window": (linear_config(adjacent_patches=4, group_shape="window"), 4),
    "mlp": (mlp_config(), 4),
    "mlp-window": (mlp_config(group_shape="window", window=(4, 1)), 4),
    "c_abstractor": (c_abstractor_config(), 4),
}


def first_of_each() -> dict[str, str]:
    """The first case of every projector, by its name."""
    return {config.name: case for case, (config, _) in reversed(CASES.items())}
