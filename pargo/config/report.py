"""What the report compares and how it looks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pargo.config.base import Name, Positive, Settings

# files of its tables, whatever the benchmarks
TABLES = ("projectors", "claims")
MACROS = "numbers"
DRAWS = 2000  # of the bootstrap, for report, `pargo score` and `pargo compare` alike


class Report(Settings):
    """What the report compares and how it looks."""

    title: str
    scale: str = Field(description="label that stands beside every measured number, e.g. 'toy scale'")
    headline_arm: Name
    reference_arm: Name
    attention_images: Positive = 3
    bootstrap_samples: Positive = DRAWS
    figure_format: Literal["svg", "png"] = "svg"
    palette: Literal["colorblind", "deep", "muted", "bright", "dark"] = "colorblind"
