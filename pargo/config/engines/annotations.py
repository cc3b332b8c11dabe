"""Annotations of the source, put into words; made scenes have them."""

from __future__ import annotations

from typing import Literal

from pargo.config.engines import EngineSettings


class AnnotationsEngine(EngineSettings):
    """Annotations of the source, put into words; made scenes have them."""

    kind: Literal["annotations"]
