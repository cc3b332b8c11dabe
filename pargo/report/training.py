"""Stage `report_training`: what each model cost and how its training went, from the models, for all other stages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pargo.errors import PargoError
from pargo.files import read_json, sha256_file, write_atomic
from pargo.layout import manifest_path, seed_folder
from pargo.manifest import RUN_RECORD, read_provenance
from pargo.report.cost import projector_cost
from pargo.report.settings import ReportSettings
from pargo.report.training_file import STAGES, Curve, Run, Training

METRICS = "metrics.jsonl"
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
    costs = {}
    for arm in settings.projectors:
        for seed in settings.seeds:
            for stage in STAGES:
                path = found.pop((arm, seed_folder(seed), stage), None)
                if path is None:
                    raise PargoError(f"no {stage} model of arm {arm}, seed {seed} given")
                runs.setdefault(arm, {}).setdefault(seed_folder(seed), {})[stage] = _run(path)
                if arm not in costs:
                    costs[arm] = projector_cost(settings.projectors[arm], settings.vision, path / WEIGHTS)
    if found:
        raise PargoError(f"not models of config {settings.config!r}: {', '.join(map(str, found.values()))}")
    write_atomic(output, to_json(Training(costs=costs, runs=runs)))


def to_json(training: Training) -> str:
    """One line for each cost and each run, so that a number of it is found on a line of its own."""
    costs = [f"{json.dumps(arm)}: {cost.model_dump_json()}" for arm, cost in training.costs.items()]
    arms = []
    for arm, seeds in training.runs.items():
        lines = [
            f"{json.dumps(seed)}: {{\n"
            + ",\n".join(f"{json.dumps(name)}: {run.model_dump_json()}" for name, run in of.items())
            + "\n}"
            for seed, of in seeds.items()
        ]
        arms.append(f"{json.dumps(arm)}: {{\n" + ",\n".join(lines) + "\n}")
    return '{"costs": {\n' + ",\n".join(costs) + '\n},\n"runs": {\n' + ",\n".join(arms) + "\n}}\n"


def _run(directory: Path) -> Run:
    manifest = manifest_path(directory)
    try:
        record = read_json(directory / RUN_RECORD)
    except PargoError:  # of an artifact that was restored: it is not versioned
        record = {}
    return Run(
        model=manifest.as_posix(),
        sha256=sha256_file(manifest),
        hardware=read_provenance(directory)["hardware"],
        started=record.get("started"),
        seconds=record.get("seconds"),
        commit=record.get("commit"),
        curve=_curve(directory / METRICS),
    )


def _curve(path: Path) -> Curve:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise PargoError(f"{path} does not exist: not a trained model") from None
    if not rows:
        raise PargoError(f"{path} is empty: nothing was trained")
    rows = [row for row in rows if row["loss"] is not None]  # a step that was skipped has none
    return Curve(samples=tuple(row["samples"] for row in rows), loss=tuple(round(row["loss"], DIGITS) for row in rows))
