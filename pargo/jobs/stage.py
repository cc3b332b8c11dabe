"""A stage as a picklable callable: the job process imports and runs it, the launcher needs no heavy import."""

from __future__ import annotations

import fcntl
import json
import os
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from pargo.code import code_hash, import_closure
from pargo.config.base import Settings, canonical_json
from pargo.config.jobs import Resources
from pargo.config.words import explain_all
from pargo.errors import PargoError, UsageError
from pargo.files import sha256_file, sha256_text
from pargo.imports import for_good
from pargo.jobs.gpus import check_gpus
from pargo.jobs.handover import keep
from pargo.jobs.slurm_job import SlurmJob, Terminated
from pargo.layout import manifest_path, run_parts

LOCK = "job.lock"
ENDED = "ended by"  # how the message of a training begins that a signal ended


@dataclass(frozen=True)
class StageCall:
    """Call it to run `module.function(settings=..., **arguments)`.

    Args:
        module, function: of the stage, e.g. `pargo.train.pretrain` and `run`.
        settings: canonical JSON of the stage's settings.
        arguments: the other arguments, mostly paths.
        run_directory: held by at most one running job (a file lock).
        modules: loaded by name, so that the imports of `module` do not tell of them.
        local: hashes of a person's files that it reads, by path.
        resources: what the job was given; no part of what it does.
    """

    module: str
    function: str
    settings: str
    arguments: Mapping[str, Any]
    run_directory: Path
    modules: tuple[str, ...] = ()
    local: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)

    @property
    def name(self) -> str:
        """The stage's name for people, e.g. `pretrain-pargo-seed-0`."""
        return "-".join(run_parts(self.run_directory))

    @property
    def num_threads(self) -> int | None:
        """CPU threads that the arguments or settings ask for."""
        settings = json.loads(self.settings)
        parts = [self.arguments, settings.get("train", {}), settings.get("generation", {})]
        if not any(parts[1:]):
            parts.append((settings.get("language") or {}).get("warm_up") or {})
        return next((part["num_threads"] for part in parts if part.get("num_threads")), None)

    def spec(self) -> str:
        """Hash of what the job does: stage, settings, arguments, code, and content of what it reads."""
        inputs = {}
        for path in _paths(self.arguments):
            manifest = manifest_path(path)
            if path != self.arguments.get("output") and manifest.is_file():
                inputs[path.as_posix()] = sha256_file(manifest)
        return sha256_text(
            canonical_json(
                {
                    "stage": [self.module, self.function],
                    "settings": json.loads(self.settings),
                    "arguments": self.arguments,
                    "inputs": inputs,
                    "local": self.local,
                    "code": self._code(),
                }
            )
        )

    def _code(self) -> str | None:
        """Hash of its source files, which a process reads once: what it records later is of this moment."""
        ours = self.module.startswith("pargo.")
        return code_hash(import_closure(self.module, *self.modules)) if ours else None

    def __call__(self) -> str | None:
        """Run the stage; the message of an expected failure (PargoError), or None.

        As a job of SLURM that is warned or ended, it does not return: it is requeued, or ends without a result.
        """
        job = SlurmJob.current()
        if job is None:
            with self._alone():
                return self._run_and_keep()
        with job.watched():
            try:
                if not job.begin():
                    return None
                job.join()
                if job.rank == 0:
                    with self._alone():
                        problem = self._run_and_keep()
                else:
                    problem = self._run()
            except Terminated:
                problem = f"{ENDED} a signal"
        # a training ends on all its ranks when one gets a signal
        if problem is not None and (job.signals or problem.startswith(ENDED)):
            problem = job.give_way(self.run_directory, self.resources)
        return problem

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the run directory: no two jobs run in it, whatever a scheduler believes of the first."""
        self.run_directory.mkdir(parents=True, exist_ok=True)
        with (self.run_directory / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"another job is running in {self.run_directory}; waiting for it", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run_and_keep(self) -> str | None:
        problem, output = self._run(), self.arguments.get("output")
        if problem is None and isinstance(output, Path) and manifest_path(output).is_file():
            keep(output, self.run_directory)
        return problem

    def _run(self) -> str | None:
        if self.num_threads is not None:
            # read when torch is loaded
            os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(self.num_threads)
        self._code()  # what is edited while it runs did not make the result
        try:
            check_gpus(self.resources)  # before what is heavy
            if self.resources.num_tasks > 1 and SlurmJob.current() is None:
                raise PargoError(
                    f"the jobs file asks for {self.resources.num_tasks} processes, but without SLURM a job is one "
                    "process and uses one GPU: set tasks_per_node: 1 and nodes: 1, or backend: slurm"
                )
            call_stage(self.module, self.function, self.settings, self.arguments)
        except PargoError as error:
            return str(error)
        return None


def call_stage(module: str, name: str, settings: str, arguments: Mapping[str, Any]) -> None:
    """Import a stage and call its function in this process.

    Args:
        module, name: of the function.
        settings: as JSON; parsed as the type that the function declares.
        arguments: the others.

    Raises:
        UsageError: the settings are not of that type.
    """
    parsed = parse_settings(module, name, settings)
    getattr(_load(module), name)(settings=parsed, **arguments)


def parse_settings(module: str, name: str, settings: str) -> Any:
    """Settings as the type that a stage's function declares; imports it. Arguments and errors as of `call_stage`."""
    kind = typing.get_type_hints(getattr(_load(module), name))["settings"]
    if not (isinstance(kind, type) and issubclass(kind, Settings)):
        return json.loads(settings)
    try:
        return kind.model_validate_json(settings)
    except ValidationError as error:
        raise UsageError(f"--settings are no {kind.__name__}: {explain_all(error, kind.model_json_schema())}") from None


def _load(module: str) -> ModuleType:
    with for_good():
        return import_module(module)


def _paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    return [path for item in value.values() for path in _paths(item)] if isinstance(value, Mapping) else []
