"""What the report compares and how it looks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pargo.config.base import Name, Positive, Settings

# files of its tables, whatever the benchmarks
TABLES = ("projectors", "cost", "ablations", "captions", "claims")
MACROS = "numbers"
DRAWS = 2000  # of the bootstrap, for report, `pargo score` and `pargo compare` alike


class Published(Settings):
    """A number that somebody published. It stands beside ours, marked, and nothing is computed from it."""

    arm: Name
    minus: Name | None = Field(None, description="for a difference: the arm that is subtracted")
    benchmark: Name
    value: float = Field(description="as our tables write it: points, or per cent")
    source: Annotated[str, Field(min_length=4)] = Field(description="where it stands, e.g. `Table 2 of the paper`")


class Report(Settings):
    """What the report compares and how it looks."""

    title: str
    scale: str = Field(description="label that stands beside every measured number, e.g. 'toy scale'")
    headline_arm: Name
    reference_arm: Name
    limits: tuple[str, ...] = Field((), description="sentences on what the run does not say, for the top of the page")
    published: tuple[Published, ...] = Field((), description="numbers of others, shown beside ours")
    attention_images: Positive = 3
    bootstrap_samples: Positive = DRAWS
    figure_format: Literal["svg", "png"] = "svg"
    latex_width: Annotated[int, Field(ge=120)] = Field(
        345, description="width in points that LaTeX tables keep to: 345 is a page's, 240 a column's of two"
    )
