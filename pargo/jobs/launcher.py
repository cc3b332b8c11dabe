"""Runs a heavy stage as a job and waits for it; a second call finds the job of the first.

What a call does depends on the run directory's job record: same spec and running -> attach and wait; finished -> take
the result; lost -> submit again; other spec -> cancel and submit. A back end (`local.Local`, `slurm.Slurm`) knows how
to submit, look at and cancel a job; everything else is the same for all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from pargo.config.base import Settings, canonical_json
from pargo.config.jobs import LOCAL, Jobs, Resources, load_jobs
from pargo.errors import PargoError
from pargo.jobs.handover import forget
from pargo.jobs.log import LogStream
from pargo.jobs.outcome import harvest
from pargo.jobs.record import ON_INTERRUPT, RECORD, JobRecord
from pargo.jobs.shared_folder import patiently
from pargo.jobs.slurm import Slurm
from pargo.jobs.stage import StageCall
from pargo.jobs.submission import Backend, find, find_or_submit, locked, submit
from pargo.jobs.submitit_files import paths, result

MAX_ARRAY = 1000  # elements; SLURM's own limit is 1001 unless a cluster says otherwise


def launch(
    function: str | Callable[..., None],
    kwargs: Mapping[str, Any],
    *,
    name: str,
    run_directory: Path,
    executor: str = "local",
    modules: Sequence[str] = (),
    local: Mapping[str, str] | None = None,
    stage_name: str = "",
) -> None:
    """Run a stage to its end.

    Args:
        function: a module-level function that takes `settings` and paths, or its name: `module` (for its `run`) or
            `module:function`, which is imported in the job only.
        kwargs: its arguments; `settings` as an object or as JSON. An `output` path that is missing means that a
            finished job has to run again.
        name: for messages, e.g. `pretrain pargo seed 0`.
        run_directory: holds the job record, submitit's files and what the stage keeps there.
        executor: `local` for a job of this machine, `inline` for this process, or the path of a jobs file.
        modules: what the stage loads by name; with its own module's imports, their source decides what the job does.
        local: hashes of a person's files that the stage reads, by path.
        stage_name: the jobs file's name for the stage.

    Raises:
        PargoError: the stage failed; the message holds the end of its log and the log's path.
        KeyboardInterrupt: interrupted; the job was cancelled, or left running if `PARGO_ON_INTERRUPT` is `detach`.
    """
    jobs = read_jobs(executor)
    stage = _stage(function, kwargs, Path(run_directory), jobs.of(stage_name), modules, local)
    run_directory = stage.run_directory
    if executor == "inline":
        problem = stage()
        if problem is not None:
            raise PargoError(problem)
        forget(run_directory)
        return
    with _terminable():
        patiently(lambda: run_directory.mkdir(parents=True, exist_ok=True))
        done = _attempt(stage, jobs, name, run_directory)
        while not done:
            done = _attempt(stage, jobs, name, run_directory, again=True)


def _attempt(stage: StageCall, jobs: Jobs, name: str, run_directory: Path, *, again: bool = False) -> bool:
    """Find or submit the job, wait for its end, and say whether the stage is done."""
    backend, record = patiently(lambda: find_or_submit(stage, jobs, name, run_directory, again=again))
    try:
        _wait(record, backend, run_directory, name)
    except KeyboardInterrupt:
        if os.environ.get(ON_INTERRUPT) == "detach":
            print(f"{name}: interrupted; job {record.job_id} goes on", flush=True)
        else:
            print(f"{name}: interrupted; cancelling job {record.job_id}", flush=True)
            backend.cancel([record])
            (run_directory / RECORD).unlink(missing_ok=True)
        raise
    return patiently(lambda: harvest(record, backend, name, run_directory, stage.resources))


def _stage(
    function: str | Callable[..., None],
    kwargs: Mapping[str, Any],
    run_directory: Path,
    resources: Resources,
    modules: Sequence[str],
    local: Mapping[str, str] | None,
) -> StageCall:
    if callable(function):
        function = f"{function.__module__}:{function.__qualname__}"
    module, _, attribute = function.partition(":")
    arguments = dict(kwargs)
    settings = arguments.pop("settings")
    text = canonical_json(settings) if isinstance(settings, Settings | Mapping) else settings
    return StageCall(module, attribute or "run", text, arguments, run_directory, tuple(modules), local or {}, resources)


def launch_array(
    function: str | Callable[..., None],
    elements: Sequence[Mapping[str, Any]],
    *,
    run_directory: Path,
    executor: str = "local",
    modules: Sequence[str] = (),
    local: Mapping[str, str] | None = None,
    stage_name: str = "",
) -> None:
    """Run a stage several times with other arguments, on a cluster as one job array.

    At most `array_limit` of the jobs file run at the same time. What ended badly is submitted again without the others,
    as often as its resources say; each element's own run directory keeps its record, so a later call finds what is
    left.

    Args:
        function, executor, modules, local, stage_name: as of `launch`.
        elements: arguments, each with its own `run_directory`.
        run_directory: of the array; also its name for messages.

    Raises:
        PargoError: elements failed for good; the others are finished, and stay so.
        KeyboardInterrupt: as of `launch`.
    """
    jobs, name = read_jobs(executor), run_directory.as_posix()
    resources = jobs.of(stage_name)
    stages = [_stage(function, element, element["run_directory"], resources, modules, local) for element in elements]
    if executor == "inline":
        for stage in stages:
            if problem := stage():
                raise PargoError(problem)
            forget(stage.run_directory)
        return
    with _terminable():
        patiently(lambda: run_directory.mkdir(parents=True, exist_ok=True))
        waiting = {stage.run_directory: stage for stage in stages}
        seen: set[Path] = set()
        running: dict[Path, tuple[Backend, JobRecord]] = {}
        problems: list[str] = []
        told = (-1, -1)
        try:
            while waiting or running:
                patiently(lambda: _fill(waiting, running, seen, jobs, name, run_directory))
                over = [path for path, (backend, record) in running.items() if _is_over(record, backend, path)]
                for path in over:
                    backend, record = running.pop(path)
                    stage = next(stage for stage in stages if stage.run_directory == path)
                    try:
                        done = patiently(
                            partial(harvest, record, backend, stage.name, path, stage.resources, keep=True)
                        )
                    except PargoError as error:
                        problems.append(str(error))
                        continue
                    if not done:
                        waiting[path] = stage
                now = (len(stages) - len(waiting) - len(running) - len(problems), len(problems))
                if now != told:
                    failed = f", {now[1]} failed" if now[1] else ""
                    print(f"{name}: {now[0]}/{len(stages)} done{failed}", flush=True)
                    told = now
                if running:
                    time.sleep(next(iter(running.values()))[0].poll)
        except KeyboardInterrupt:
            if os.environ.get(ON_INTERRUPT) != "detach":
                print(f"{name}: interrupted; cancelling {len(running)} jobs", flush=True)
                for backend in {id(backend): backend for backend, _ in running.values()}.values():
                    backend.cancel([record for owner, record in running.values() if owner is backend])
                for path in running:
                    (path / RECORD).unlink(missing_ok=True)
            raise
    for stage in stages:
        # kept till now: a launcher that is killed, or fails, does not make the next one repeat what is done
        if not problems:
            (stage.run_directory / RECORD).unlink(missing_ok=True)
            forget(stage.run_directory)
    if problems:
        raise PargoError(f"{name}: {len(problems)} of {len(stages)} failed, the first: {problems[0]}")


def _fill(
    waiting: dict[Path, StageCall],
    running: dict[Path, tuple[Backend, JobRecord]],
    seen: set[Path],
    jobs: Jobs,
    name: str,
    run_directory: Path,
) -> None:
    """Move elements from `waiting` to `running`: those found, and where there is room, those submitted."""
    room = jobs.array_limit - len(running)
    if jobs.backend == Slurm.name:
        # SLURM keeps the limit; what failed waits for the rest, to come again as one array
        room = 0 if running and seen else MAX_ARRAY
    if not waiting or room <= 0:
        return
    with locked(run_directory):
        for path, stage in list(waiting.items()):
            found = find(stage, jobs, stage.name, again=path in seen)
            seen.add(path)
            if found is not None:
                running[path] = found
                del waiting[path]
        chosen = list(waiting.values())[: max(0, room)]
        if not chosen or (jobs.backend == Slurm.name and running):
            return
        groups = [chosen] if jobs.backend == Slurm.name else [[stage] for stage in chosen]
        for group in groups:
            for stage, submitted in zip(group, submit(group, jobs, run_directory), strict=True):
                running[stage.run_directory] = submitted
                del waiting[stage.run_directory]


def _is_over(record: JobRecord, backend: Backend, run_directory: Path) -> bool:
    alive = backend.is_alive(record)  # first: a job that ends between the two looks has left its result
    return patiently(lambda: result(record, run_directory)) is not None or not alive


def read_jobs(executor: str) -> Jobs:
    """The jobs file that an executor names, or what stands for one."""
    if executor in ("local", "inline"):
        return LOCAL
    if not executor.endswith((".yaml", ".yml")):
        raise PargoError(f"executor {executor!r} is not known; choices: inline, local, or the path of a jobs file")
    return load_jobs(Path(executor))


def _wait(record: JobRecord, backend: Backend, run_directory: Path, name: str) -> None:
    """Copy the job's log to stdout until it has a result or is gone."""
    stream = LogStream(paths(record, run_directory).stdout, terminal=sys.stdout.isatty())
    shown = "running"
    while True:
        # in this order: a job that ends between the two looks has left its result
        alive = backend.is_alive(record)
        done = patiently(lambda: result(record, run_directory)) is not None
        for line in patiently(partial(stream.read, last=done or not alive)):
            print(line, flush=True)
        if done or not alive:
            return
        state = backend.state(record)
        if state not in (shown, "unknown"):
            print(f"{name}: job {record.job_id} is {state}", flush=True)
            shown = state
        time.sleep(backend.poll)


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
