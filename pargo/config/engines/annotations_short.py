"""Annotations of the source as a short caption, as web pages have them: what there is, without details."""

from __future__ import annotations

from typing import Literal

from pargo.config.engines import EngineSettings


class ShortAnnotationsEngine(EngineSettings):
    """The annotations' caption without colors, places and words."""

    kind: Literal["annotations_short"]
