"""Projectors: from visual features to language model tokens. Each is a module, found by the name of its settings.

A module holds one class that derives from `ProjectorBase`. What several of them share is in `parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pargo.config.projectors import Projector, projector_class
from pargo.models.projectors.shape import ProjectorShape

if TYPE_CHECKING:
    from pargo.models.projectors.base import ProjectorBase

__all__ = ["ProjectorShape", "build_projector"]


def build_projector(config: Projector, shape: ProjectorShape) -> ProjectorBase:
    """The projector that a config names, with random weights in float32.

    Args:
        config: its settings; `config.name` chooses the module.
        shape: what it stands between.

    Raises:
        InputError: settings that do not fit the patches.
        PargoError: no such projector (the message lists the choices), or one that is incomplete.
    """
    build: Callable[[Projector, ProjectorShape], ProjectorBase] = projector_class(config.name)
    return build(config, shape)
