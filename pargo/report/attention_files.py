"""Files of the stage `attention`, for those that read them without loading the model code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

MAPS = "attention.safetensors"
INDEX = "attention.json"
EVEN = 0.5  # of an even share of attention: a patch with less counts as not looked at


@dataclass(frozen=True)
class AttentionMaps:
    """Output of the stage `attention`: `maps` [images, tokens, patches], partial tokens first; rows sum to 1."""

    images: tuple[Image.Image, ...]
    names: tuple[str, ...]
    maps: np.ndarray
    num_partial: int
    num_global: int

    @classmethod
    def read(cls, directory: Path) -> AttentionMaps:
        index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
        entries = index["images"]
        return cls(
            images=tuple(Image.open(directory / entry["file"]).convert("RGB") for entry in entries),
            names=tuple(entry["id"] for entry in entries),
            maps=load_file(directory / MAPS)["maps"],
            num_partial=index["num_partial_tokens"],
            num_global=index["num_global_tokens"],
        )

    def rows(self) -> list[dict[str, object]]:
        """A row for each token of each image: its attention to each patch."""
        kinds = ["partial"] * self.num_partial + ["global"] * self.num_global
        return [
            {"image": name, "token": place + 1, "kind": kind}
            | {f"patch_{patch}": round(float(value), 5) for patch, value in enumerate(values)}
            for name, of in zip(self.names, self.maps, strict=True)
            for place, (kind, values) in enumerate(zip(kinds, of, strict=True))
        ]
