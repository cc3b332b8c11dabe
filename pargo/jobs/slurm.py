"""The SLURM back end: submitit writes and submits the batch script; looking and cancelling need no accounting."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import submitit

from pargo.config.jobs import Jobs, Resources
from pargo.errors import PargoError
from pargo.jobs.partitions import check
from pargo.jobs.queue import ENDED, Entry, Snapshot, accounted_state, shared_queue
from pargo.jobs.record import JobRecord
from pargo.jobs.stage import StageCall
from pargo.jobs.submitit_files import hand_over, result, submitted_id

CAUSES = {
    "CANCELLED": "cancelled",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "OUT_OF_MEMORY": "out of memory",
    "PREEMPTED": "preempted",
    "TIMEOUT": "timed out",
    "DEADLINE": "timed out",
}
PATIENCE = 60.0  # seconds for a cancelled job to end, and for an answer of SLURM
LATE = 20.0  # seconds until other hosts see a new file in a shared folder
CLOCKS = 60.0  # seconds that the clocks of two login nodes may differ, and SLURM may need to list a new job


class Slurm:
    """Jobs of a cluster.

    Args:
        jobs: the jobs file, for the interval between looks.
        resources: of the jobs to submit.
    """

    name = "slurm"

    def __init__(self, jobs: Jobs | None = None, resources: Resources | None = None) -> None:
        self._jobs, self._resources = jobs or Jobs(), resources or Resources()
        self._queue = shared_queue(self._jobs.poll_seconds)
        self.poll = min(self._jobs.poll_seconds, 10.0)  # of the log; the queue is asked less often

    def submit(self, stages: Sequence[StageCall], folder: Path, tag: str) -> list[str]:
        """Submit a stage, or several as an array; their job ids.

        Raises:
            PargoError: no node could ever run it, or SLURM refused it.
        """
        check(self._resources)
        try:
            with _outside_of_jobs():
                return [job.job_id for job in self._executor(stages[0], folder, tag).submit_array(stages)]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise PargoError(f"sbatch: {error}") from error
        except (RuntimeError, FileNotFoundError) as error:
            raise PargoError(f"this is no SLURM cluster, or sbatch and srun are not in PATH: {error}") from error

    def _executor(self, stage: StageCall, folder: Path, tag: str) -> submitit.SlurmExecutor:
        asked = self._resources
        python = f"{asked.container} {shlex.quote(sys.executable)}".strip()
        executor = submitit.SlurmExecutor(folder, python=python)
        chosen = {name: getattr(asked, name) for name in ("partition", "account", "qos", "constraint")}
        executor.update_parameters(
            job_name=f"pargo-{stage.name}",
            comment=tag,
            time=asked.time_minutes,
            nodes=asked.nodes,
            ntasks_per_node=asked.processes_per_node,
            cpus_per_task=asked.cpus_per_task,
            signal_delay_s=asked.signal_seconds,
            setup=list(asked.setup),
            stderr_to_stdout=True,
            array_parallelism=self._jobs.array_limit,
            srun_args=["--kill-on-bad-exit=1"],  # one process alone cannot go on
            additional_parameters={"requeue": True}
            | {key: value for key, value in asked.sbatch.items() if value is not False},
            **{name: value for name, value in chosen.items() if value is not None},
            **({"gpus_per_node": asked.gpus_per_node} if asked.gpus_per_node else {}),
            **({"mem": f"{asked.memory_gb}GB"} if asked.memory_gb else {}),
        )
        return executor

    def find(self, record: JobRecord, folder: Path) -> str | None:
        """The job of a submission that was cut short, by its tag.

        Raises:
            PargoError: SLURM does not answer, so nobody knows.
        """
        snapshot = self._fresh()
        if snapshot is None:
            raise PargoError("SLURM does not answer (squeue): cannot tell whether the job was submitted; try again")
        tag, _, index = record.tag.partition(":")
        for entry in snapshot.jobs.values():
            if entry.comment == tag and entry.job_id.endswith(f"_{index}" if index else ""):
                if index and not (folder / f"{entry.job_id}_submitted.pkl").exists():
                    self._scancel(entry.job_id)  # which pickle is whose, nobody knows; it has not begun
                    return None
                hand_over(folder, entry.job_id)
                return entry.job_id
        return submitted_id(folder, f"_{index}" if index else "")

    def started(self, job_id: str) -> float:
        return time.time()

    def is_alive(self, record: JobRecord) -> bool:
        """Does SLURM still have the job, waiting or running? Yes while it does not answer."""
        snapshot = self._queue.look()
        if snapshot is None:
            return True
        entry = snapshot.jobs.get(record.job_id)
        return snapshot.time <= record.started + CLOCKS if entry is None else not entry.has_ended

    def state(self, record: JobRecord) -> str:
        """A job's state for people, e.g. `pending (Resources)`."""
        snapshot = self._queue.look()
        entry = None if snapshot is None else snapshot.jobs.get(record.job_id)
        return "unknown" if entry is None else describe(entry)

    def cause(self, record: JobRecord) -> str:
        """Why a job has no result."""
        snapshot = self._queue.look()
        entry = None if snapshot is None else snapshot.jobs.get(record.job_id)
        state = accounted_state(record.job_id) if entry is None else entry.state
        if state is None:
            return "lost"
        return CAUSES.get(state, "failed") if state in ENDED else "lost"

    def late_result(self, record: JobRecord, run_directory: Path) -> tuple[str, str | None] | None:
        """The result of a job that has ended, where this host may not see it yet."""
        end = time.monotonic() + LATE
        while (outcome := result(record, run_directory)) is None and time.monotonic() < end:
            if self.cause(record) not in ("failed", "lost"):
                return None  # SLURM ended it
            time.sleep(1)
            list((run_directory / record.folder).iterdir())  # makes a network file system ask its server
        return outcome

    def cancel(self, records: Sequence[JobRecord]) -> None:
        """Cancel jobs and wait until they have ended.

        Raises:
            PargoError: they have not.
        """
        ids = [record.job_id for record in records]
        self._scancel(*ids)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            snapshot = self._queue.look(newer_than=time.time())
            if snapshot is not None:
                entries = [snapshot.jobs[job_id] for job_id in ids if job_id in snapshot.jobs]
                if all(entry.has_ended for entry in entries):
                    return
            time.sleep(1)
        raise PargoError(
            f"could not cancel {', '.join(ids)}: SLURM does not answer, or they do not end; see `pargo jobs`"
        )

    def _fresh(self) -> Snapshot | None:
        """The queue as it is now; waits for a controller that is away."""
        end = time.monotonic() + PATIENCE
        while (snapshot := self._queue.look(newer_than=time.time())) is None and time.monotonic() < end:
            time.sleep(2)
        return snapshot

    def _scancel(self, *job_ids: str) -> None:
        with suppress(OSError, subprocess.TimeoutExpired):  # the queue tells whether it worked
            subprocess.run(["scancel", *job_ids], capture_output=True, timeout=PATIENCE)


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """The environment without what SLURM puts into it where the driver is itself a job: sbatch would obey it."""
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    names = [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_")) and name not in kept]
    taken = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(taken)


def describe(entry: Entry) -> str:
    """An entry's state in words."""
    word = entry.state.lower().replace("_", " ")
    return f"{word} ({entry.reason})" if entry.reason not in ("", "None") else word
