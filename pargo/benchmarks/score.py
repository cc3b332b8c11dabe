"""Stage `score`: a pure function of the predictions file; the model, and torch, are not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pargo.benchmarks import find
from pargo.benchmarks.easy_vqa import score as easy_vqa
from pargo.benchmarks.mini_mme import score as mini_mme
from pargo.benchmarks.records import PREDICTIONS, read_predictions
from pargo.config.base import Positive, Settings
from pargo.config.data import Benchmark
from pargo.files import sha256_file, write_atomic
from pargo.layout import manifest_path
from pargo.manifest import verify
from pargo.report.statistics import Groups

# each has score(predictions, benchmark, samples) -> record and image_values(correct) -> Groups
SCORERS: dict[str, ModuleType] = {"easy_vqa": easy_vqa, "mini_mme": mini_mme}


class ScoreSettings(Settings):
    """What the stage reads of the config."""

    benchmark: Benchmark
    bootstrap_samples: Positive


def run(settings: ScoreSettings, predictions: Path, output: Path) -> None:
    """Write the score of a predictions directory as JSON.

    Keys: `benchmark` (kind), `parser`, `headline` {name, value, interval, maximum, num_questions, num_images},
    `tasks` {task: {score, accuracy, accuracy_plus, interval, num_questions, num_images, unparseable}},
    `baselines` {name: {value, interval?, how}}, `correct` {task: {image: [0 or 1, ...]}}, `inputs` {manifest: sha256}.
    Intervals hold 95 % and are a bootstrap by image.

    Raises:
        PargoError: predictions that differ from their manifest, or that the benchmark cannot score.
    """
    verify(predictions)
    scorer = find(SCORERS, settings.benchmark.kind)
    record = scorer.score(read_predictions(predictions / PREDICTIONS), settings.benchmark, settings.bootstrap_samples)
    manifest = manifest_path(predictions)
    record = {"benchmark": settings.benchmark.kind, **record, "inputs": {manifest.as_posix(): sha256_file(manifest)}}
    write_atomic(output, json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def headline_groups(record: Mapping[str, Any]) -> Groups:
    """What `pargo.report.statistics` needs to compare the headlines of score records of one benchmark."""
    return find(SCORERS, record["benchmark"]).image_values(record["correct"])


def task_groups(record: Mapping[str, Any], task: str) -> Groups:
    """The same for the score of one task."""
    return find(SCORERS, record["benchmark"]).image_values({task: record["correct"][task]})
