"""What is up to date, what would run and why: `pargo status` and `pargo why`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pargo.errors import PargoError, UsageError
from pargo.files import read_json
from pargo.graph.jobs import Job, makers
from pargo.jobs.overview import find_jobs
from pargo.layout import Layout
from pargo.made import other_versions
from pargo.manifest import RUN_RECORD
from pargo.stages import STAGES
from pargo.units import duration

STATES = ("up to date", "running", "restorable", "would run", "may run")


def state_of(job: Job, running: frozenset[str] = frozenset()) -> str:
    """One of `STATES`.

    Args:
        job: with its reason.
        running: names of jobs that run now.
    """
    if job.name in running:
        return "running"
    if not job.reason:
        return "up to date"
    return "restorable" if job.made_before or job.recorded else "may run" if job.follows else "would run"


def running_jobs(layout: Layout) -> frozenset[str]:
    """Names of the jobs that run now, as their records say; a job runs while one of its shards does."""
    found = set()
    for job in find_jobs(layout.runs):
        parts = job.arm.split()
        if job.alive:
            stage = STAGES.get(job.stage)
            of_shard = stage is not None and stage.shards and parts[-1].isdigit()
            found.add("-".join([job.stage, *(parts[:-1] if of_shard else parts)]))
    return frozenset(found)


def lines_of(jobs: Sequence[Job], running: frozenset[str] = frozenset(), *, every: bool = False) -> Iterator[str]:
    """What `pargo status` prints: how many are in which state, and of each that is not up to date why.

    Args:
        jobs: with their reasons, in an order in which they could run.
        running: names of jobs that run now.
        every: a line for jobs that are up to date, too.
    """
    states = [state_of(job, running) for job in jobs]
    counts = Counter(states)
    yield f"{len(jobs)} jobs: {', '.join(f'{counts[state]} {state}' for state in STATES if counts[state])}"
    for job, state in zip(jobs, states, strict=True):
        if state == "restorable":
            where = f"made before: {job.made_before}" if job.made_before else "dvc.lock records it"
            yield f"  {state:<10}  {job.name}: {job.reason}; {where}"
        elif state == "up to date":
            if every:
                yield f"  {state:<10}  {job.name}"
        else:
            yield f"  {state:<10}  {job.name}: {job.reason or 'its job has not ended'}{_cost(job)}"
    yield from _environment(jobs)


def chain_of(jobs: Sequence[Job], name: str) -> Iterator[str]:
    """What `pargo why` prints: a job's reason, and those of the jobs before it that make it run.

    Args:
        jobs: with their reasons.
        name: of the job.

    Raises:
        UsageError: there is no such job.
    """
    by_name = {job.name: job for job in jobs}
    if name not in by_name:
        raise UsageError(f"JOB: there is no job {name!r}; `pargo status --all` lists them")
    before = makers(jobs)
    todo, told = [(name, 0)], set()
    while todo:
        current, depth = todo.pop()
        job, again = by_name[current], current in told
        told.add(current)
        text = f"{state_of(job)}{': ' + job.reason if job.reason else ''}"
        yield f"{'  ' * depth}{current}: {'as above' if again else text}"
        if not again:
            todo += [(other, depth + 1) for other in reversed(before[current]) if by_name[other].reason]


def _cost(job: Job) -> str:
    """How long it took when it ran last."""
    try:
        seconds = read_json(job.output / RUN_RECORD)["seconds"]
    except (PargoError, KeyError, TypeError):
        return ""
    return f" (took {duration(float(seconds))})"


def _environment(jobs: Sequence[Job]) -> Iterator[str]:
    """Artifacts that other versions of the packages computed, by what differs."""
    found = Counter[str]()
    for job in jobs:
        found.update([] if job.files else other_versions(job.output))
    for text, count in sorted(found.items()):
        yield f"  {count} artifact{'s were' if count > 1 else ' was'} computed with {text}"
