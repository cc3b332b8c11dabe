"""Checkpoints of a running training: whole or not there, checked when read, the last two kept.

A checkpoint is a directory of trainable float32 weights, every rank's optimizer state, the metrics so far, and
`state.json` with the step (which is also the sample cursor) and the sha256 of each file. Random numbers need no place
in it: they depend on seed, step and rank (see `loop`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pargo.files import sha256_file

KEEP = 2
WEIGHTS, METRICS, STATE = "model.safetensors", "metrics.jsonl", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a training continues from after `step` optimizer steps."""

    step: int
    weights: dict[str, Tensor]
    optimizer: list[dict[str, Any]]
    metrics: list[str]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: holds `step-<n>/`; made when needed.
        spec: hash of everything that decides the numbers; checkpoints of another spec are ignored.
        rank, world_size: this process among all; every rank calls `save`.
        barrier: waits for all ranks.
        warn: takes a message about a checkpoint that is not used.
    """

    def __init__(
        self,
        directory: Path,
        spec: str,
        *,
        rank: int = 0,
        world_size: int = 1,
        barrier: Callable[[], None] = lambda: None,
        warn: Callable[[str], None] = print,
    ) -> None:
        self.directory = directory
        self.spec = spec
        self.rank = rank
        self.world_size = world_size
        self.barrier = barrier
        self.warn = warn

    def _all(self) -> list[Path]:
        """Complete checkpoints, newest first (a temporary one has another name)."""
        return sorted(self.directory.glob("step-*"), reverse=True)

    def save(
        self, step: int, weights: Mapping[str, Tensor], optimizer: Sequence[Mapping[str, Any]], metrics: Sequence[str]
    ) -> None:
        """Write a checkpoint; it gets its name when every byte is on disk.

        Only this one and the one before it stay.
        """
        final = self.directory / f"step-{step:08d}"
        temporary = self.directory / f".{final.name}"
        if self.rank == 0:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self.barrier()
        torch.save(list(optimizer), temporary / _optimizer_name(self.rank))
        _sync(temporary / _optimizer_name(self.rank))
        self.barrier()
        if self.rank:
            return
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary / WEIGHTS)
        (temporary / METRICS).write_text("".join(metrics), encoding="utf-8")
        state = {
            "step": step,
            "spec": self.spec,
            "world_size": self.world_size,
            "files": {path.name: sha256_file(path) for path in sorted(temporary.iterdir())},
        }
        (temporary / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        for path in (temporary / WEIGHTS, temporary / METRICS, temporary / STATE, temporary):
            _sync(path)
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        _sync(self.directory)
        # later ones are of a run that this one did not continue: they must not push out its own
        kept = [path for path in self._all() if path.name <= final.name][:KEEP]
        for path in self._all():
            if path not in kept:
                shutil.rmtree(path)

    def load(self) -> Checkpoint | None:
        """The newest usable checkpoint, or None; each one passed over is reported."""
        for path in self._all():
            try:
                problem = self._problem(path)
                if problem is None:
                    return Checkpoint(
                        step=json.loads((path / STATE).read_text(encoding="utf-8"))["step"],
                        weights=load_file(path / WEIGHTS),
                        optimizer=torch.load(path / _optimizer_name(self.rank), weights_only=True),
                        metrics=(path / METRICS).read_text(encoding="utf-8").splitlines(keepends=True),
                    )
            except (OSError, ValueError, KeyError, TypeError) as error:
                problem = f"it is damaged ({error})"
            self.warn(f"checkpoint {path.name} is not used: {problem}")
        return None

    def _problem(self, path: Path) -> str | None:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        if state["spec"] != self.spec:
            return "it belongs to other settings, data or code"
        if state["world_size"] != self.world_size:
            return f"it was written by {state['world_size']} ranks, not {self.world_size}"
        bad = [name for name, digest in state["files"].items() if sha256_file(path / name) != digest]
        return f"it is damaged ({', '.join(bad)})" if bad else None

    def clear(self) -> None:
        """Remove all checkpoints: the run is over."""
        if self.rank == 0:
            shutil.rmtree(self.directory, ignore_errors=True)


def _optimizer_name(rank: int) -> str:
    return f"optimizer-{rank:05d}.pt"


def _sync(path: Path) -> None:
    """Wait until a file or directory is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
