"""`training.json`: what each model cost and how its training went; read without torch, and without the models.

It is in git, so a clone has what loss curves and parameter counts come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pargo.config.base import Settings
from pargo.errors import PargoError
from pargo.files import read_json
from pargo.layout import seed_folder

STAGES = ("pretrain", "finetune")


class Cost(Settings):
    """What a projector costs. `flops`: of the matrix products for one image, a multiply-add counted as two."""

    tokens: int
    parameters: int
    flops: int


class Curve(Settings):
    """Loss after each optimizer step (nats a token), over the samples seen so far."""

    samples: tuple[int, ...]
    loss: tuple[float, ...]


class Run(Settings):
    """One training of one model. What a run record alone knows is None where an artifact came without it."""

    model: str  # its manifest
    sha256: str  # of that
    hardware: str
    started: str | None = None  # UTC
    seconds: float | None = None  # of its last sitting, from the start to the saved model
    samples_per_second: float | None = None  # over all steps, of all sittings
    commit: str | None = None
    curve: Curve


class Training(Settings):
    """All of a config: costs by arm, settings by arm and stage, runs by arm, seed (`seed-0`) and stage."""

    costs: dict[str, Cost]
    settings: dict[str, dict[str, dict[str, Any]]]  # as the models' records have them, of the first seed
    runs: dict[str, dict[str, dict[str, Run]]]

    def run(self, arm: str, seed: int, stage: str) -> Run:
        return self.runs[arm][seed_folder(seed)][stage]


def read_training(path: Path, expected: Mapping[str, str] | None = None) -> Training:
    """Read the file.

    Args:
        expected: manifest of a model -> sha256, as scores and answers were made by; others may be in the file.

    Raises:
        PargoError: no such file, it is broken, or it tells of other models than those expected.
    """
    try:
        found = Training.model_validate(read_json(path), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise PargoError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    runs = [run for seeds in found.runs.values() for stages in seeds.values() for run in stages.values()]
    known = {run.model: run.sha256 for run in runs}
    for model, sha256 in (expected or {}).items():
        if known.get(model) != sha256:
            state = f"tells of {known[model][:12]}" if model in known else "does not know it"
            raise PargoError(
                f"{path}: the scores are of {model} with sha256 {sha256[:12]}, and it {state}: run it again"
            )
    return found
