"""Stage `report_training`: what each model cost and how its training went, from the models, for all other stages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pargo.errors import PargoError
from pargo.files import read_json, sha256_file, write_atomic
from pargo.layout import RUNS, manifest_path, seed_folder
from pargo.manifest import RUN_RECORD, read_provenance
from pargo.notes import read_notes
from pargo.report.cost import projector_cost
from pargo.report.settings import ReportSettings
from pargo.report.training_file import STAGES, Cost, Curve, Run, Training

METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
WEIGHTS = "model.safetensors"
DIGITS = 4  # of a loss


def run(settings: ReportSettings, models: Iterable[Path], output: Path) -> None:
    """Write `training.json`.

    Args:
        models: model directories of both training stages, `.../<arm>/seed-<n>/{pretrain,finetune}`.
        output: the file.

    Raises:
        PargoError: a model is missing, is none of the config's, or has no metrics or no projector.
    """
    found = {(path.parent.parent.name, path.parent.name, path.name): path for path in models}
    runs: dict[str, dict[str, dict[str, Run]]] = {}
    costs: dict[str, Cost] = {}
    trained: dict[str, dict[str, dict[str, Any]]] = {}
    for arm in settings.projectors:
        for seed in settings.seeds:
            for stage in STAGES:
                path = found.pop((arm, seed_folder(seed), stage), None)
                if path is None:
                    raise PargoError(f"no {stage} model of arm {arm}, seed {seed} given")
                runs.setdefault(arm, {}).setdefault(seed_folder(seed), {})[stage] = _run(path, arm, seed, stage)
                trained.setdefault(arm, {}).setdefault(stage, read_provenance(path)["settings"]["train"])
                if arm not in costs:
                    costs[arm] = projector_cost(settings.projectors[arm], settings.vision, path / WEIGHTS)
    if found:
        raise PargoError(f"not models of config {settings.config!r}: {', '.join(map(str, found.values()))}")
    write_atomic(output, to_json(Training(costs=costs, settings=trained, runs=runs)))


def to_json(training: Training) -> str:
    """Each cost, training and run on a line of its own, so that a number is found by its line."""
    return _lines(training.model_dump(mode="json"), 4) + "\n"


def _lines(value: Any, depth: int) -> str:
    """JSON with a line for each entry down to a depth; what is smaller than that in one line."""
    if depth == 0 or not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        return json.dumps(value, ensure_ascii=False)
    entries = (f"{json.dumps(key)}: {_lines(part, depth - 1)}" for key, part in value.items())
    return "{\n" + ",\n".join(entries) + "\n}"


def _run(directory: Path, arm: str, seed: int, stage: str) -> Run:
    manifest = manifest_path(directory)
    try:
        record = read_json(directory / RUN_RECORD)
    except PargoError:  # of an artifact that was restored: it is not versioned
        record = {}
    provenance = read_provenance(directory)
    train, notes = provenance["settings"]["train"], RUNS.glob(f"*/{stage}/{arm}/{seed_folder(seed)}/{TIMING}")
    return Run(
        model=manifest.as_posix(),
        sha256=sha256_file(manifest),
        hardware=provenance["hardware"],
        started=record.get("started"),
        seconds=record.get("seconds"),
        samples_per_second=_speed(record, train["num_samples"], train["batch_size"], notes),
        commit=record.get("commit"),
        curve=_curve(directory / METRICS),
    )


def _speed(record: Mapping[str, Any], num_samples: int, batch_size: int, notes: Iterable[Path]) -> float | None:
    """Samples per second over all steps, of all sittings of a training; None where what it noted is not at hand.

    The model may have been trained by another config, so the notes are those last written while it was trained. Of two
    such files neither counts, as they are not told apart.

    Args:
        notes: files of all configs, for this arm, seed and stage.
    """
    if not {"started", "seconds"} <= record.keys():
        return None
    began, steps = datetime.fromisoformat(record["started"]).timestamp(), range(1, num_samples // batch_size + 1)
    found = []
    for path in sorted(notes):
        if began <= path.stat().st_mtime <= began + record["seconds"] + 1:
            seconds = {row["step"]: row["seconds"] for row in read_notes(path)}  # of one made again, the last
            if seconds.keys() >= set(steps):
                found.append(round(num_samples / sum(seconds[step] for step in steps), 3))
    return found[0] if len(found) == 1 else None


def _curve(path: Path) -> Curve:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise PargoError(f"{path} does not exist: not a trained model") from None
    if not rows:
        raise PargoError(f"{path} is empty: nothing was trained")
    rows = [row for row in rows if row["loss"] is not None]  # a step that was skipped has none
    return Curve(samples=tuple(row["samples"] for row in rows), loss=tuple(round(row["loss"], DIGITS) for row in rows))
