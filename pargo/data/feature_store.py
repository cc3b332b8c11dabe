"""Features of images in a directory: written by the stage `features`, read one by one by training and evaluation."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pargo.data.shard_index import Ids
from pargo.errors import PargoError

FEATURES = "features.safetensors"
IDS = "ids.json"


def write_features(directory: Path, ids: Sequence[str], batches: Iterable[Tensor]) -> None:
    """Stream batches [b, N, Dv] of all images, in the order of `ids`, into a feature directory, as float16.

    Raises:
        PargoError: ids are not unique, or a feature is not finite in float16.
        ValueError: there are not as many features as ids.
    """
    if len(set(ids)) != len(ids):
        raise PargoError("image ids are not unique")
    written = 0
    with (directory / FEATURES).open("wb") as file:
        for batch in batches:
            half = batch.half().contiguous().cpu()
            if not half.isfinite().all():
                raise PargoError(f"features of images {written}..{written + len(half) - 1} are not finite in float16")
            if not written:
                file.write(_header((len(ids), *half.shape[1:])))
            file.write(half.numpy().tobytes())
            written += len(half)
    if written != len(ids):
        raise ValueError(f"{written} features for {len(ids)} ids")
    (directory / IDS).write_text(json.dumps(list(ids)) + "\n", encoding="utf-8")


def _header(shape: tuple[int, ...]) -> bytes:
    """The safetensors header of one float16 tensor `features`; written by hand, as the library cannot stream."""
    size = 2 * torch.Size(shape).numel()
    text = json.dumps({"features": {"dtype": "F16", "shape": shape, "data_offsets": [0, size]}}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


class FeatureStore:
    """Features by image id, memory-mapped: `store[id]` reads one image's [N, Dv] float16 and nothing else.

    Raises:
        PargoError: the directory is incomplete, or an id is not in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            # in Arrow: a string of Python would be copied into every process that looks at it
            self.ids = Ids.of(json.loads((directory / IDS).read_text(encoding="utf-8")), directory / IDS)
            file = safe_open(directory / FEATURES, framework="pt")
        except (OSError, ValueError, TypeError, SafetensorError, pa.ArrowException) as error:
            raise PargoError(f"{directory} is not a feature directory: {error}") from error
        self._features = file.get_slice("features")
        rows = self._features.get_shape()[0]
        if rows != len(self.ids):
            raise PargoError(f"{directory}: {rows} features for {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: str) -> bool:
        return name in self.ids

    def __getitem__(self, name: str) -> Tensor:
        try:
            row = self.ids.index(name)
        except ValueError:
            raise PargoError(f"{self.directory} has no features of image {name!r}") from None
        return self._features[row]

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        return FeatureStore, (self.directory,)
