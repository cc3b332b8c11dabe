"""Runs a heavy stage as a job and waits for it; a second call finds the job of the first.

What a call does depends on the run directory's job record: same spec and running -> attach and wait; finished -> take
the result; lost -> submit again; other spec -> cancel and submit. A back end (`BACKENDS`) knows how to submit, look
at and cancel a job; everything else is the same for all.
"""

from __future__ import annotations

import fcntl
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Literal

from pargo.config.base import Settings, canonical_json
from pargo.errors import PargoError
from pargo.jobs import local
from pargo.jobs.record import RECORD, JobRecord
from pargo.jobs.stage import Stage
from pargo.jobs.stream import LogStream, tail

BACKENDS: dict[str, ModuleType] = {local.name: local}
POLL = 0.25  # seconds between looks at a local job


def launch(
    function: str | Callable[..., None],
    kwargs: Mapping[str, Any],
    *,
    name: str,
    run_directory: Path,
    executor: Literal["local", "inline"] = "local",
    modules: Sequence[str] = (),
) -> None:
    """Run a stage to its end.

    Args:
        function: a module-level function that takes `settings` and paths, or its name: `module` (for its `run`) or
            `module:function`, which is imported in the job only.
        kwargs: its arguments; `settings` as an object or as JSON. An `output` path that is missing means that a
            finished job has to run again.
        name: for messages, e.g. `pretrain pargo seed 0`.
        run_directory: holds the job record, submitit's files and what the stage keeps there.
        executor: `local` for a job, `inline` for this process.
        modules: what the stage loads by name; with its own module's imports, their source decides what the job does.

    Raises:
        PargoError: the stage failed; the message holds the end of its log and the log's path.
        KeyboardInterrupt: interrupted; the job was cancelled.
    """
    if callable(function):
        function = f"{function.__module__}:{function.__qualname__}"
    module, _, attribute = function.partition(":")
    arguments = dict(kwargs)
    settings = arguments.pop("settings")
    text = canonical_json(settings) if isinstance(settings, Settings | Mapping) else settings
    run_directory = Path(run_directory)
    stage = Stage(module, attribute or "run", text, arguments, run_directory, tuple(modules))
    if executor == "inline":
        problem = stage()
        if problem is not None:
            raise PargoError(problem)
        return
    if executor not in BACKENDS:
        raise PargoError(f"executor {executor!r} is not known; choices: inline, {', '.join(sorted(BACKENDS))}")
    run_directory.mkdir(parents=True, exist_ok=True)
    with _terminable():
        record = _find_or_submit(stage, BACKENDS[executor], name, run_directory)
        backend = BACKENDS[record.backend]
        try:
            _wait(record, backend, run_directory)
        except KeyboardInterrupt:
            print(f"{name}: interrupted; cancelling job {record.job_id}", flush=True)
            backend.cancel(record)
            (run_directory / RECORD).unlink(missing_ok=True)
            raise
    _harvest(record, backend, name, run_directory)


def _find_or_submit(stage: Stage, backend: ModuleType, name: str, run_directory: Path) -> JobRecord:
    """The job to wait for; two launchers at the same time get the same one."""
    spec = stage.spec()
    with (run_directory / "launch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = JobRecord.read(run_directory)
        if record is not None and record.backend in BACKENDS:
            owner = BACKENDS[record.backend]
            outcome = owner.result(record, run_directory)
            if record.spec != spec:
                if owner.is_alive(record):
                    print(f"{name}: job {record.job_id} does something else; cancelling it", flush=True)
                    owner.cancel(record)
            elif outcome is None and owner.is_alive(record):
                print(f"{name}: attached to job {record.job_id}", flush=True)
                return record
            elif outcome == ("success", None) and _output_exists(stage):
                return record
            elif outcome is None:
                print(f"{name}: job {record.job_id} was lost; submitting it again", flush=True)
        record = backend.submit(stage, run_directory, spec)
        record.write(run_directory)
        log = backend.paths(record, run_directory).stdout
        print(f"{name}: job {record.job_id}, log {_shown(log)}", flush=True)
        return record


def _output_exists(stage: Stage) -> bool:
    output = stage.arguments.get("output")
    return output is None or Path(output).exists()


def _wait(record: JobRecord, backend: ModuleType, run_directory: Path) -> None:
    """Copy the job's log to stdout until it has a result or is gone."""
    stream = LogStream(backend.paths(record, run_directory).stdout, terminal=sys.stdout.isatty())
    while True:
        # in this order: a job that ends between the two looks has left its result
        alive = backend.is_alive(record)
        done = backend.result(record, run_directory) is not None
        for line in stream.read(last=done or not alive):
            print(line, flush=True)
        if done or not alive:
            return
        time.sleep(POLL)


def _harvest(record: JobRecord, backend: ModuleType, name: str, run_directory: Path) -> None:
    """Return on success; the record goes, so that a later call with the same spec runs the stage again."""
    outcome = backend.result(record, run_directory)
    if outcome == ("success", None):
        (run_directory / RECORD).unlink(missing_ok=True)
        return
    log = backend.paths(record, run_directory).stdout
    if outcome is None:
        reason = f"job {record.job_id} ended without a result (killed, or out of memory?)"
    else:
        kind, text = outcome
        reason = text if kind == "success" else f"job {record.job_id} failed: {text.strip().splitlines()[-1]}"
    lines = "\n".join(f"  | {line}" for line in tail(log))
    raise PargoError(f"{name}: {reason}\nlast lines of {_shown(log)}:\n{lines}")


def _shown(path: Path) -> str:
    """The path as a person in the current directory would write it."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM interrupts like Ctrl-C does, so that it cancels the job too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
