"""What the jobs that would run cost, before they do: GPU-hours by the plan, and paid requests."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pargo.config.endpoint import Endpoint
from pargo.config.experiment import Config
from pargo.config.jobs import load_jobs
from pargo.errors import PargoError
from pargo.graph.jobs import Job
from pargo.train.peaks import PEAKS

if TYPE_CHECKING:
    from pargo.plan.jobs import Row

GPU, MFU, DECODING_MFU = "H100", 0.25, 0.02  # as `pargo plan` assumes
ASK_ABOVE = 24.0  # GPU-hours
ASK_REQUESTS = 1000  # of them


class Cost(NamedTuple):
    """What jobs cost, at most: what is found made, or answered, before is not made again.

    Args:
        gpu_hours: as `pargo plan` reckons.
        requests: paid ones: captions and grades of a served model.
        unknown: jobs of which one of the two is not known.
    """

    gpu_hours: float
    requests: int
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        hours = f"about {self.gpu_hours:,.0f} GPU-hours" if self.gpu_hours >= 1 else ""
        requests = f"up to {self.requests:,} requests to served models" if self.requests else ""
        more = f"requests of {', '.join(self.unknown)}, whose number is not known" if self.unknown else ""
        return " and ".join(filter(None, (hours, requests, more))) or "less than a GPU-hour"

    @property
    def is_high(self) -> bool:
        """Is it so much that a person is asked first?"""
        return self.gpu_hours > ASK_ABOVE or self.requests > ASK_REQUESTS or bool(self.unknown)


def pending_cost(config: Config, jobs: Sequence[Job], jobs_file: Path | None) -> Cost:
    """What the jobs of a config that would run cost.

    Args:
        config: the config.
        jobs: all of it, with their reasons.
        jobs_file: how many GPUs each has; without it they run on this machine, and no GPU-hours are counted.
    """
    rows: list[Row] = []
    if jobs_file is not None:
        # it loads torch and the models, which takes longer than all else that a driver does
        from pargo.plan.jobs import Assumptions, plan

        with contextlib.suppress(PargoError):  # nothing states the sizes of a model: then no hours are reckoned
            rows = plan(config, load_jobs(jobs_file), Assumptions(GPU, PEAKS[GPU], MFU, DECODING_MFU))
    return cost_of(config, jobs, rows)


def cost_of(config: Config, jobs: Sequence[Job], rows: Sequence[Row]) -> Cost:
    """What the jobs of a config that would run cost.

    Args:
        config: the config.
        jobs: all of it, with their reasons.
        rows: of its plan.
    """
    pending = [job for job in jobs if job.reason and job.made_before is None]
    shares, hours, requests = Counter(row_of(job) for job in pending), 0.0, 0
    unknown: list[str] = []
    for row in rows:
        if row.gpu_seconds and (count := shares[row.stage, row.what]):
            hours += row.gpu_seconds / 3600 * min(1.0, count / max(row.jobs, 1))
    for job in pending:
        asked = _requests(config, job)
        if asked is None:
            unknown.append(job.name)
        requests += asked or 0
    return Cost(hours, requests, tuple(unknown))


def row_of(job: Job) -> tuple[str, str]:
    """Stage and what of a job's row in the plan."""
    wildcards = job.wildcards
    what = f"{wildcards['source']} {wildcards['split']}" if job.rule == "features" else wildcards.get("arm", "")
    return job.rule, what


def _requests(config: Config, job: Job) -> int | None:
    """Paid requests of a job; None where their number is not known."""
    if job.rule == "caption":
        dataset = config.datasets[job.wildcards["dataset"]]
        engine = (dataset.captions or config.captions).engine
        if not isinstance(engine, Endpoint):
            return 0
        return (dataset.selection or config.selection).num_images or config.sources[dataset.source].known_images
    if job.rule == "grade":
        size = config.benchmarks[job.wildcards["benchmark"]].size
        return None if size is None else size[0]
    return 0
