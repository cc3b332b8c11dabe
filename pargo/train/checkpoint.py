"""Checkpoints of a running training: whole or not there, checked when read, the last few kept.

A checkpoint is a directory of trainable float32 weights, AdamW's state of each, the metrics so far, and `state.json`
with the step (which is also the sample cursor) and the sha256 of each file. Nothing in it depends on the number of
ranks or the ZeRO stage. Random numbers need no place in it: they follow from seed, step and rank (see `loop`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pargo.code import code_hash
from pargo.config.base import canonical_json
from pargo.errors import PargoError
from pargo.files import sha256_file, sha256_text
from pargo.machine import computing_versions
from pargo.manifest import read_manifest

WEIGHTS, OPTIMIZER, METRICS, STATE = "model.safetensors", "optimizer.safetensors", "metrics.jsonl", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a training continues from after `step` optimizer steps.

    Attributes:
        step: number of steps made.
        weights: trainable parameters by name, float32.
        optimizer: AdamW's state: `exp_avg.<parameter>`, `exp_avg_sq.<parameter>`, and the number of updates `step`.
        metrics: one JSON line for each step.
        computed: how, where a measurement decided: `attention` and `precision` of the config's `language`.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    metrics: list[str]
    computed: dict[str, str]


def spec_of(what: Mapping[str, Any], inputs: Iterable[Path], code: Iterable[Path]) -> str:
    """One hash of everything that decides the numbers of a training.

    Args:
        what: settings, without those that change no number.
        inputs: artifact directories that are read.
        code: source files, relative to the project root.

    Raises:
        PargoError: an input does not exist.
    """
    return sha256_text(
        canonical_json(
            {
                "settings": what,
                "inputs": [read_manifest(path)["files"] for path in inputs],
                "code": code_hash(code),
                "versions": computing_versions(),
            }
        )
    )


class Checkpoints:
    """The checkpoints of one run; one process writes them.

    Args:
        directory: holds `step-<n>/`; made when needed.
        spec: hash of everything that decides the numbers; checkpoints of another spec are ignored.
        keep: how many stay.
        warn: takes a message about a checkpoint that is not used.
        how: settings that change no number (`pargo.no_effect`), by path.
        goes_on: may a training go on from a checkpoint that was made with another `how`?
    """

    def __init__(
        self,
        directory: Path,
        spec: str,
        *,
        keep: int = 2,
        warn: Callable[[str], None] = print,
        how: Mapping[str, Any] | None = None,
        goes_on: Callable[[Mapping[str, Any]], bool] = lambda how: True,
    ) -> None:
        self.directory = directory
        self.spec = spec
        self.keep = keep
        self.warn = warn
        self.how = dict(how or {})
        self.goes_on = goes_on

    def _all(self) -> list[Path]:
        """Complete checkpoints, newest first (a temporary one has another name)."""
        return sorted(self.directory.glob("step-*"), reverse=True)

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
        metrics: Sequence[str],
        computed: Mapping[str, str],
    ) -> None:
        """Write a checkpoint; it gets its name when every byte is on disk. Older ones of these settings
        than the last few go; those of other settings stay.

        Raises:
            PargoError: it cannot be written, e.g. because the disk is full; those that are there stay.
        """
        final = self.directory / f"step-{step:08d}"
        temporary = self.directory / f".{final.name}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            _write(temporary, step, {"spec": self.spec, "how": self.how}, weights, optimizer, metrics, computed)
            self._make_room(final)
            temporary.replace(final)
            _sync(self.directory)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            last = next((path.name for path in self._all()), "none")
            raise PargoError(f"cannot write checkpoint {final}: {error}; the last good one: {last}") from error
        # later ones are of a run that this one did not continue: they must not push out its own
        own = [path for path in self._all() if self._is_own(path)]
        kept = [path for path in own if path.name <= final.name][: self.keep]
        for path in own:
            if path not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _make_room(self, final: Path) -> None:
        """A checkpoint of other settings stays, under another name: somebody may go back to them."""
        if final.exists() and not self._is_own(final):
            name = sha256_text(canonical_json(_state(final)))[:8]
            aside = final.with_name(f"{final.name}-{name}")
            shutil.rmtree(aside, ignore_errors=True)
            final.replace(aside)
        shutil.rmtree(final, ignore_errors=True)

    def load(self) -> Checkpoint | None:
        """The newest usable checkpoint, or None; each one passed over is reported."""
        for path in self._all():
            try:
                problem = self._problem(path)
                if problem is None:
                    state = json.loads((path / STATE).read_text(encoding="utf-8"))
                    return Checkpoint(
                        step=state["step"],
                        computed=state["computed"],
                        weights=load_file(path / WEIGHTS),
                        optimizer=load_file(path / OPTIMIZER),
                        metrics=(path / METRICS).read_text(encoding="utf-8").splitlines(keepends=True),
                    )
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                problem = f"it is damaged ({error})"
            self.warn(f"checkpoint {path.name} is not used: {problem}")
        return None

    def _problem(self, path: Path) -> str | None:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        if state["spec"] != self.spec:
            return "it belongs to other settings, data or code"
        if not self.goes_on(state.get("how", {})):
            return f"it was made with {canonical_json(state.get('how', {}))}"
        bad = [name for name, digest in state["files"].items() if sha256_file(path / name) != digest]
        return f"it is damaged ({', '.join(bad)})" if bad else None

    def _is_own(self, path: Path) -> bool:
        """Is a checkpoint of this training, or so damaged that it is of none?"""
        state = _state(path)
        return state is None or (state["spec"] == self.spec and self.goes_on(state["how"]))


def _state(path: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None where that cannot be read."""
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        return {"spec": str(state["spec"]), "how": dict(state.get("how", {}))}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    directory: Path,
    step: int,
    of: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    metrics: Sequence[str],
    computed: Mapping[str, str],
) -> None:
    save_file(dict(weights), directory / WEIGHTS)
    save_file(dict(optimizer), directory / OPTIMIZER)
    (directory / METRICS).write_text("".join(metrics), encoding="utf-8")
    files = {path.name: sha256_file(path) for path in sorted(directory.iterdir())}
    text = json.dumps({"step": step, **of, "computed": dict(computed), "files": files}, indent=1) + "\n"
    (directory / STATE).write_text(text, encoding="utf-8")
    for path in (*sorted(directory.iterdir()), directory):
        _sync(path)


def _sync(path: Path) -> None:
    """Wait until a file or directory is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
