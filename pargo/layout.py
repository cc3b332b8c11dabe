"""Where everything lives. The Snakefile, the CLI and the report all take their paths from here.

`artifacts/` holds what DVC versions (only the manifests are in git), `reports/` what git holds, `runs/` what nobody
needs after success: checkpoints, job records, logs.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SEED = re.compile(r"seed-\d+")


def manifest_path(directory: Path) -> Path:
    """The manifest of an artifact directory stands beside it: `x/y` -> `x/y.manifest.json`."""
    return directory.with_name(directory.name + ".manifest.json")


@dataclass(frozen=True)
class Layout:
    """Paths of one config, relative to the project root (or below `root`)."""

    config: str
    root: Path = Path()

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts" / self.config

    @property
    def reports(self) -> Path:
        return self.root / "reports" / self.config

    @property
    def runs(self) -> Path:
        return self.root / "runs" / self.config

    def source(self, source: str) -> Path:
        return self.artifacts / "sources" / source

    def fingerprints(self, source: str, split: str) -> Path:
        return self.artifacts / "fingerprints" / f"{source}-{split}"

    def selection(self, dataset: str) -> Path:
        return self.artifacts / "selection" / dataset

    def raw_captions(self, dataset: str) -> Path:
        return self.artifacts / "raw_captions" / dataset

    def captions(self, dataset: str) -> Path:
        return self.artifacts / "captions" / dataset

    def features(self, source: str, split: str) -> Path:
        return self.artifacts / "features" / f"{source}-{split}"

    def model(self, arm: str, seed: int | str, stage: str) -> Path:
        return self.artifacts / "models" / arm / f"seed-{seed}" / stage

    @staticmethod
    def of_model(directory: Path) -> ModelPlace | None:
        """Where a model directory is, also as seen from a folder in between; None when it lies elsewhere."""
        for path in (directory, Path(os.path.abspath(directory))):  # noqa: PTH100 - links stay
            match path.parts:
                case (*root, "artifacts", config, "models", arm, seed, _) if SEED.fullmatch(seed):
                    return ModelPlace(Layout(config, Path(*root)), arm, int(seed.removeprefix("seed-")))
        return None

    def predictions(self, arm: str, seed: int | str, benchmark: str) -> Path:
        return self.artifacts / "predictions" / arm / f"seed-{seed}" / benchmark

    def attention(self, arm: str, seed: int | str) -> Path:
        return self.artifacts / "attention" / arm / f"seed-{seed}"

    def score(self, arm: str, seed: int | str, benchmark: str) -> Path:
        return self.reports / "scores" / arm / f"seed-{seed}" / f"{benchmark}.json"

    def table(self, name: str, extension: str) -> Path:
        return self.reports / "tables" / f"{name}.{extension}"

    def figure(self, name: str, extension: str) -> Path:
        return self.reports / "figures" / f"{name}.{extension}"

    def caption_report(self, dataset: str, name: str) -> Path:
        return self.reports / "captions" / dataset / name

    @property
    def page(self) -> Path:
        return self.reports / "index.html"


class ModelPlace(NamedTuple):
    """Which arm and seed of which layout a model directory belongs to."""

    layout: Layout
    arm: str
    seed: int
