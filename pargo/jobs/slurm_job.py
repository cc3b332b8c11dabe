"""Inside a job of SLURM: its processes find each other, and a warning or an end by SLURM loses no work."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import submitit

from pargo.config.jobs import Resources
from pargo.jobs.partitions import minutes
from pargo.jobs.record import Attempts
from pargo.jobs.submitit_files import load

WARNING, END = signal.SIGUSR2, signal.SIGTERM
SLACK = 65.0  # seconds: SLURM looks at time limits once a minute


class Terminated(BaseException):
    """Raised by SIGTERM where nothing else handles it; no Exception, so that no stage swallows it."""


class SlurmJob:
    """The job that this process is part of."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("SLURM_PROCID", "0"))
        self._size = int(os.environ.get("SLURM_NTASKS", "1"))
        element = os.environ.get("SLURM_ARRAY_TASK_ID")
        self.id = os.environ["SLURM_JOB_ID"]
        if element is not None:
            self.id = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{element}"
        self.signals: set[int] = set()

    @staticmethod
    def current() -> SlurmJob | None:
        """None in a process that submitit did not start on SLURM."""
        return SlurmJob() if os.environ.get("SUBMITIT_EXECUTOR") == "slurm" else None

    def join(self) -> None:
        """Tell torch.distributed which process of how many this is, and where the first one is."""
        if self._size > 1:
            submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
            try:
                socket.getaddrinfo(os.environ["MASTER_ADDR"], None)
            except OSError:  # SLURM's name of the first node is none of the network's
                os.environ["MASTER_ADDR"] = os.environ["SLURM_LAUNCH_NODE_IPADDR"]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note signals. A training ends its step and saves when SIGTERM comes; other stages are left at once.

        SIGUSR2, SLURM's warning before the time limit and before a preemption, is passed on as SIGTERM. Which signals
        came is read from Python's wake-up descriptor: it hears those too that the training handles itself.
        """
        reading, writing = socket.socketpair()
        for end in (reading, writing):
            end.setblocking(False)

        def warn(number: int, frame: FrameType | None) -> None:
            os.kill(os.getpid(), END)

        def terminate(number: int, frame: FrameType | None) -> None:
            raise Terminated

        handlers = {WARNING: warn, END: terminate}
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        before = signal.set_wakeup_fd(writing.fileno())
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in previous.items():
                signal.signal(number, handler)
            with suppress(BlockingIOError):
                self.signals |= set(reading.recv(4096)) & {WARNING, END}
            reading.close()
            writing.close()

    def give_way(self, run_directory: Path, resources: Resources) -> str:
        """After a signal: requeue the job where SLURM only warned, and wait for the end, without a result.

        Returns:
            What is wrong, if the job has run into its time limit too often.
        """
        signal.signal(END, signal.SIG_DFL)
        if WARNING in self.signals and self.rank == 0:
            attempts, cause = Attempts(run_directory), self._cause(resources)
            attempts.add(self.id, cause)
            number = attempts.count(cause)
            if cause == "timed out" and number > resources.max_timeouts:
                return (
                    f"ran into its limit of {resources.time_minutes} min {number} times; what it saved is kept: raise "
                    "time_minutes or max_timeouts in the jobs file"
                )
            print(f"{cause} for the {number}. time; requeued, to go on from what is saved", flush=True)
            _requeue(self.id)
        # SLURM ends this process, and knows better than we do whether the job comes again
        time.sleep(SLACK)
        _leave("ended by a signal")

    def _cause(self, resources: Resources) -> str:
        """Whether SLURM warned of the time limit or of something else."""
        left = _ask("squeue", "--noheader", f"--jobs={self.id}", "--format=%L")
        soon = resources.signal_seconds + SLACK
        return "preempted" if left is not None and 60 * minutes(left.strip()) > soon else "timed out"

    def begin(self) -> bool:
        """Remove what an earlier run of the job left; False when that run has finished the stage."""
        own = submitit.JobEnvironment().paths
        if self.rank == 0 and load(own.result_pickle) == ("success", None):
            return False
        for path in (own.result_pickle, own.result_pickle.with_suffix(".pkl.save_tmp")):
            path.unlink(missing_ok=True)
        return True


def _requeue(job_id: str) -> None:
    for _ in range(5):
        if _ask("scontrol", "requeue", job_id) is not None:
            return
        time.sleep(3)
    _leave("scontrol requeue does not work; the launcher submits the job anew")


def _ask(*command: str) -> str | None:
    """What a command of SLURM prints; None where it fails, or is not there, as in many containers."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _leave(reason: str) -> NoReturn:
    """End this process without a result, and without waiting for other ranks."""
    print(reason, flush=True)
    sys.stderr.flush()
    os._exit(128 + END)
