"""A stage's job: found again by its record, or submitted, with the record written before and after."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pargo.config.jobs import Jobs, Resources
from pargo.errors import PargoError
from pargo.jobs.handover import give_back, is_in_place
from pargo.jobs.local import Local
from pargo.jobs.record import RECORD, Attempts, JobRecord
from pargo.jobs.slurm import Slurm
from pargo.jobs.stage import StageCall
from pargo.jobs.submitit_files import paths, result

Backend = Local | Slurm


def make_backend(name: str, jobs: Jobs, resources: Resources | None = None) -> Backend:
    """The back end of that name."""
    return Slurm(jobs, resources) if name == Slurm.name else Local()


def find_or_submit(
    stage: StageCall, jobs: Jobs, name: str, run_directory: Path, *, again: bool
) -> tuple[Backend, JobRecord]:
    """The job to wait for; two launchers at the same time get the same one.

    Args:
        again: this launcher saw a job end that has to be tried again.
    """
    with locked(run_directory):
        found = find(stage, jobs, name, again=again)
        if found is not None:
            return found
        [(backend, record)] = submit([stage], jobs, run_directory)
        print(f"{name}: job {record.job_id}, log {shown(paths(record, run_directory).stdout)}", flush=True)
        return backend, record


@contextmanager
def locked(run_directory: Path) -> Iterator[None]:
    """Hold a run directory's records: one launcher at a time finds, submits and takes results."""
    with (run_directory / "launch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find(stage: StageCall, jobs: Jobs, name: str, *, again: bool) -> tuple[Backend, JobRecord] | None:
    """The stage's job that runs, waits, or has finished; None when it has to be submitted.

    Raises:
        PargoError: SLURM does not answer, so nobody knows.
    """
    run_directory = stage.run_directory
    record = JobRecord.read(run_directory)
    if record is not None and record.backend in (Local.name, Slurm.name):
        owner = make_backend(record.backend, jobs)
        if not record.job_id:
            record = adopt(record, owner, name, run_directory)
        if record is not None and (usable := _usable(record, owner, stage, name, again=again)):
            return usable
    if not again:
        Attempts(run_directory).clear()  # of other settings, or of a run that was given up
    return None


def _usable(
    record: JobRecord, owner: Backend, stage: StageCall, name: str, *, again: bool
) -> tuple[Backend, JobRecord] | None:
    alive = owner.is_alive(record)  # first: a job that ends between the two looks has left its result
    outcome = result(record, stage.run_directory)
    if record.spec != stage.spec():
        if alive:
            print(f"{name}: job {record.job_id} does something else; cancelling it", flush=True)
            owner.cancel([record])
        return None
    if outcome is None and alive:
        print(f"{name}: attached to job {record.job_id}", flush=True)
        return owner, record
    if outcome is None:
        outcome = owner.late_result(record, stage.run_directory)
    if outcome == ("success", None) and _has_output(stage):
        return owner, record
    if alive:  # somebody requeued a job that had ended
        owner.cancel([record])
    if outcome is None and not again:
        print(f"{name}: job {record.job_id} was lost; submitting it again", flush=True)
    return None


def _has_output(stage: StageCall) -> bool:
    """Is what the job published in its place, or can it be given back? Nobody may have watched it end."""
    output = stage.arguments.get("output")
    if output is None:
        return True
    return is_in_place(Path(output), stage.run_directory) or give_back(Path(output), stage.run_directory)


def adopt(record: JobRecord, backend: Backend, name: str, run_directory: Path) -> JobRecord | None:
    """A job whose launcher died between submitting it and noting its id; None if it was never submitted."""
    job_id = backend.find(record, run_directory / record.folder)
    if job_id is None:
        return None
    print(f"{name}: found job {job_id}, whose launcher was killed", flush=True)
    record = replace(record, job_id=job_id, started=backend.started(job_id))
    record.write(run_directory)
    return record


def submit(stages: Sequence[StageCall], jobs: Jobs, run_directory: Path) -> list[tuple[Backend, JobRecord]]:
    """Submit stages, several as one array; their records say so before and after.

    Args:
        run_directory: of the stage, or of the whole array: holds submitit's files.

    Raises:
        PargoError: refused; it is on record no more, unless it may have been accepted all the same.
    """
    backend = make_backend(jobs.backend, jobs, stages[0].resources)
    number = 1 + max((int(path.name) for path in (run_directory / "jobs").glob("[0-9]*")), default=0)
    # each submission has a folder of its own: process ids, submitit's job ids, come again
    folder = run_directory / "jobs" / f"{number:04d}"
    folder.mkdir(parents=True)
    tag = f"pargo-{uuid.uuid4().hex}"
    records = []
    for index, stage in enumerate(stages):
        own = tag if len(stages) == 1 else f"{tag}:{index}"
        stage.run_directory.mkdir(parents=True, exist_ok=True)
        place = os.path.relpath(folder, stage.run_directory)
        records.append(JobRecord(stage.spec(), backend.name, own, place))
        records[-1].write(stage.run_directory)
    try:
        job_ids = backend.submit(stages, folder, tag)
    except PargoError as error:
        if "timed out" not in str(error):
            for stage in stages:
                (stage.run_directory / RECORD).unlink(missing_ok=True)
        raise
    found: list[tuple[Backend, JobRecord]] = []
    for stage, record, job_id in zip(stages, records, job_ids, strict=True):
        submitted = replace(record, job_id=job_id, started=backend.started(job_id))
        submitted.write(stage.run_directory)
        found.append((backend, submitted))
    return found


def shown(path: Path) -> str:
    """The path as a person in the current directory would write it."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()
