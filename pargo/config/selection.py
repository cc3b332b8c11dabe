"""Which images of a dataset are captioned. Thresholds were chosen on photographs: reports/bench/selection.md."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pargo.config.base import Fraction, Positive, Settings

# pHash, 256 bits: unrelated photographs differ in 128 +- 8 bits, crops of one photograph that overlap in 62 or more. A
# copy that was resized, recompressed or made brighter differs in up to 32 in 97 % of cases and more, in 16 in 82 %.
Bits = Annotated[int, Field(ge=0, le=96)]
AspectRatio = Annotated[float, Field(ge=1)]
Weight = Annotated[float, Field(gt=0)]


class Selection(Settings):
    """Rules before captioning, in this order; a rule whose threshold is null drops nothing."""

    min_side: Positive | None = Field(None, description="pixels of the shorter side, at least")
    max_aspect_ratio: AspectRatio | None = Field(None, description="longer side / shorter side, at most")
    max_nsfw: Fraction | None = Field(None, description="probability, at most; images without the field are kept")
    nsfw_origins: tuple[str, ...] = Field((), description="pools that should have the field; a gap is reported")
    max_watermark: Fraction | None = Field(None, description="the same for watermarks")
    exact_duplicates: bool = Field(True, description="drop files with the bytes of another one")
    contamination_distance: Bits | None = Field(
        32, description="bits of 256 in which an image differs from one of a benchmark, to be dropped: that or less"
    )
    contamination_mirrored: bool = Field(True, description="compare the mirror image with the benchmarks as well")
    near_duplicate_distance: Bits | None = Field(16, description="the same for an image of the dataset that is kept")
    num_images: Positive | None = Field(None, description="images to draw of what is left; null: all")
    weights: dict[str, Weight] = Field(
        {}, description="shares of the pools in `num_images`, by origin; none: equal. What a pool lacks others give"
    )
    seed: int = Field(0, description="of the draw")
