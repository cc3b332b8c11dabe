"""What the report compares and how it looks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pargo.config.base import Name, Positive, Settings

# files of its tables, whatever the benchmarks
TABLES = ("projectors", "claims")
MACROS = "numbers"


class Report(Settings):
    """What the report compares and how it looks."""

    title: str
    scale: str = Field(description="label that stands beside every measured number, e.g. 'toy scale'")
    headline_arm: Name
    reference_arm: Name
    attention_images: Positive = 3
    bootstrap_samples: Positive = 2000
    figure_format: Literal["svg", "png"] = "svg"
    palette: Literal["colorblind", "deep", "muted", "bright", "dark"] = "colorblind"
