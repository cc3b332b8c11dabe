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

RUNS = Path("runs")
MANIFEST = ".manifest.json"  # behind the name of an artifact
SEED = re.compile(r"seed-(\d+)")


def seed_folder(seed: int | str) -> str:
    """Name of the folder of one seed, e.g. `seed-0`."""
    return f"seed-{seed}"


def seed_of(folder: Path) -> int | None:
    """The seed that a folder is of; None for a folder of another name."""
    found = SEED.fullmatch(folder.name)
    return int(found[1]) if found else None


def run_parts(run_directory: Path) -> tuple[str, ...]:
    """What tells run directories apart: stage, arm, ... below `runs/<config>/`; else the last part of the path."""
    parts = run_directory.parts
    return parts[parts.index(RUNS.name) + 2 :] if RUNS.name in parts[:-2] else parts[-1:]


def project_of_run(run_directory: Path) -> Path | None:
    """The project's folder, seen from a run directory below its `runs/<config>/`; None for any other folder."""
    parts = run_directory.parts
    return Path(*parts[: parts.index(RUNS.name)]) if RUNS.name in parts[:-2] else None


def manifest_path(directory: Path) -> Path:
    """The manifest of an artifact directory stands beside it: `x/y` -> `x/y.manifest.json`."""
    return directory.with_name(directory.name + MANIFEST)


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
        return self.root / RUNS / self.config

    def source(self, source: str) -> Path:
        return self.artifacts / "sources" / source

    def language(self, source: str, warmed_up: bool) -> Path:
        """The language model that projectors are trained with: of the source, or after its warm-up."""
        return self.artifacts / "language" / source if warmed_up else self.source(source)

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
        return self.artifacts / "models" / arm / seed_folder(seed) / stage

    @staticmethod
    def of_model(directory: Path) -> ModelPlace | None:
        """Where a model directory is, also as seen from a folder in between; None when it lies elsewhere."""
        for path in (directory, Path(os.path.abspath(directory))):  # noqa: PTH100 - links stay
            match path.parts:
                case (*root, "artifacts", config, "models", arm, seed, _) if (
                    number := seed_of(Path(seed))
                ) is not None:
                    return ModelPlace(Layout(config, Path(*root)), arm, number)
        return None

    def predictions(self, arm: str, seed: int | str, benchmark: str) -> Path:
        return self.artifacts / "predictions" / arm / seed_folder(seed) / benchmark

    def grades(self, arm: str, seed: int | str, benchmark: str) -> Path:
        return self.artifacts / "grades" / arm / seed_folder(seed) / benchmark

    def attention(self, arm: str, seed: int | str) -> Path:
        return self.artifacts / "attention" / arm / seed_folder(seed)

    def score(self, arm: str, seed: int | str, benchmark: str) -> Path:
        return self.reports / "scores" / arm / seed_folder(seed) / f"{benchmark}.json"

    @property
    def training(self) -> Path:
        return self.reports / "training.json"

    @property
    def answers(self) -> Path:
        return self.reports / "answers"

    @property
    def tables(self) -> Path:
        return self.reports / "tables"

    @property
    def figures(self) -> Path:
        return self.reports / "figures"

    def caption_report(self, dataset: str) -> Path:
        return self.reports / "captions" / dataset

    @property
    def page(self) -> Path:
        return self.reports / "index.html"

    def run_directory(self, stage: str, *parts: str) -> Path:
        """Where a job keeps checkpoints and its job record: no output, so Snakemake never deletes it."""
        return (self.runs / stage).joinpath(*parts)

    def log(self, name: str) -> Path:
        return self.runs / "logs" / f"{name}.log"


class ModelPlace(NamedTuple):
    """Which arm and seed of which layout a model directory belongs to."""

    layout: Layout
    arm: str
    seed: int
