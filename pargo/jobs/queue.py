"""SLURM's queue, asked for by one process on behalf of all launchers of a user."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from functools import cache

from pargo.files import user_cache_directory, write_atomic

# job (123 or 123_4), state, reason, nodes, seconds since the start, limit, start, comment; our comments hold no bar
FORMAT = "%i|%T|%r|%N|%M|%l|%S|%k"
TIMEOUT = 60.0  # seconds for an answer of SLURM
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
ENDED |= {"REVOKED", "TIMEOUT"}


@dataclass(frozen=True)
class Entry:
    """A job as `squeue` shows it."""

    job_id: str
    state: str
    reason: str
    nodes: str
    elapsed: str
    limit: str
    start: str
    comment: str

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True)
class Snapshot:
    """The user's jobs at a time (seconds since the epoch), by id; jobs that ended stay for some minutes."""

    time: float
    jobs: dict[str, Entry]


class Queue:
    """The user's jobs.

    Args:
        interval: seconds for which an answer is used, by this process and by others.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        # each cluster and user has its own
        cluster = f"{getpass.getuser()} {os.environ.get('SLURM_CONF', '')} {os.environ.get('SLURM_CLUSTERS', '')}"
        name = hashlib.sha256(cluster.encode()).hexdigest()[:16]
        self._path = user_cache_directory() / "slurm" / f"queue-{name}.json"
        self._known: tuple[int, Snapshot] | None = None

    def look(self, newer_than: float | None = None) -> Snapshot | None:
        """The newest answer; None before SLURM gave one.

        Args:
            newer_than: ask again unless the answer is newer than this time, and return no older one; by default ask
                again unless it is fresh enough.
        """
        snapshot = self._read()
        due = time.time() - self._interval if newer_than is None else newer_than
        if snapshot is not None and snapshot.time > due:
            return snapshot
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            try:
                # who needs no newer answer lets the other ask, and uses the old one meanwhile
                fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if newer_than is None else 0))
            except BlockingIOError:
                return snapshot
            snapshot = self._read()
            if snapshot is None or snapshot.time <= due:
                began = time.time()
                lines = ask()
                if lines is not None:
                    write_atomic(self._path, json.dumps({"time": began, "lines": lines}))
        snapshot = self._read()
        return snapshot if snapshot is not None and (newer_than is None or snapshot.time > due) else None

    def _read(self) -> Snapshot | None:
        try:
            changed = self._path.stat().st_mtime_ns
            if self._known is None or self._known[0] != changed:
                content = json.loads(self._path.read_text(encoding="utf-8"))
                # a comment of somebody's job may have lines of its own
                jobs = [Entry(*line.split("|", 7)) for line in content["lines"] if line.count("|") >= 7]
                self._known = changed, Snapshot(content["time"], {job.job_id: job for job in jobs})
            return self._known[1]
        except (OSError, ValueError, KeyError, TypeError):
            return None


@cache
def shared_queue(interval: float) -> Queue:
    """The one queue that all of this process look at."""
    return Queue(interval)


def ask() -> list[str] | None:
    """Lines of `squeue`; None when SLURM does not answer."""
    command = ["squeue", "--me", "--array", "--states=all", "--noheader", f"--format={FORMAT}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def accounted_state(job_id: str) -> str | None:
    """How a job ended, from SLURM's accounting, which many clusters have and some do not."""
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", f"--jobs={job_id}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split() if done.returncode == 0 else []
    return words[0] if words else None
