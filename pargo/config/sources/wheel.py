from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.sources import SourceSettings


class WheelSource(SourceSettings):
    """A package of the Python index: the row of its name in the version table; its code is never imported."""

    kind: Literal["wheel"]
    max_images: Positive | None = Field(None, description="keep only the first images of every split")

    def modules(self, pin: Any = None) -> tuple[str, ...]:
        return *super().modules(), *([importer(pin.importer)] if pin else [])


def importer(name: str) -> str:
    """Dotted name of the module with the importer that a row of the version table names."""
    return f"pargo.data.wheels.{name}"
