"""`make bench-jobs`: what waiting costs the head node, with a hundred jobs of a private SLURM watched.

A launcher waits for each job, as under `pargo reproduce`. After all have submitted theirs, the CPU time of all of them
and of the SLURM commands that they start is read from the system over some minutes. SLURM's own daemons do not count:
on a cluster they run elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console

from pargo.files import write_atomic
from pargo.jobs.record import JobRecord
from pargo.machine import hardware
from tests.helpers.launchers import Launchers
from tests.helpers.private_slurm import Cluster, missing_programs, wait_until

OUTPUT = Path("reports/bench")
SETTLE = 30  # seconds between the last submission and the measurement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=180)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    if missing := missing_programs():
        sys.exit(f"no SLURM here: {', '.join(missing)} missing")
    cluster = Cluster()
    with tempfile.TemporaryDirectory() as folder:
        launchers = Launchers(Path(folder), poll_seconds=15.0, defaults={"memory_gb": 1, "time_minutes": 60})
        try:
            cluster.start()
            os.environ.update({name: cluster.environment[name] for name in ("SLURM_CONF", "PATH")})
            figures = measure(launchers, arguments.jobs, arguments.seconds)
        finally:
            launchers.stop()
            cluster.stop()
    record = {"hardware": hardware(), "time": time.strftime("%Y-%m-%d"), "poll_seconds": 15.0, **figures}
    write_atomic(OUTPUT / "jobs.json", json.dumps(record, indent=1) + "\n")
    text = (
        "# What waiting for jobs costs the head node\n\n"
        f"`make bench-jobs` on {hardware()}: {figures['jobs']} launchers, a job of a private SLURM each, "
        f"{figures['seconds']:.0f} s after all were submitted; SLURM asked every 15 s, by one launcher for all.\n\n"
        "| CPU, % of one core | memory of all launchers, GB (USS) | calls of squeue a minute |\n|---:|---:|---:|\n"
        f"| {figures['core_percent']:.2f} | {figures['memory_gb']:.1f} | {figures['calls_per_minute']:.1f} |\n"
    )
    write_atomic(OUTPUT / "jobs.md", text)
    console.print(text)


def measure(launchers: Launchers, number: int, seconds: float) -> dict[str, float]:
    """Start launchers, wait until all have submitted, and read their CPU time."""
    for index in range(number):
        name = f"job-{index}"
        kwargs = {"settings": {}, "output": launchers.root / f"out-{index}", "trace": launchers.root / "trace"}
        launchers.start("tests.helpers.toy_stage", kwargs | {"wait_for": launchers.root / "never"}, name)
        if index % 4 == 3:
            time.sleep(2)  # as many as two cores start

    def submitted() -> bool:
        records = [JobRecord.read(launchers.root / f"runs/job-{index}") for index in range(number)]
        return all(record is not None and record.job_id for record in records)

    wait_until(submitted, 600, "all submissions")
    time.sleep(SETTLE)
    processes = [psutil.Process(launcher.pid) for launcher in launchers.processes]
    calls = _count_calls()
    before, began = _cpu(processes), time.monotonic()
    time.sleep(seconds)
    used, passed = _cpu(processes) - before, time.monotonic() - began
    return {
        "jobs": number,
        "seconds": passed,
        "core_percent": 100 * used / passed,
        "memory_gb": sum(process.memory_full_info().uss for process in processes) / 1e9,
        "calls_per_minute": 60 * (_count_calls() - calls) / passed,
    }


def _cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU time, with that of commands they waited for."""
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


def _count_calls() -> int:
    """Calls of squeue that the controller has answered."""
    text = subprocess.run(["sdiag"], capture_output=True, text=True, check=True).stdout
    line = next((line for line in text.splitlines() if "REQUEST_JOB_INFO " in line), "count:0 ")
    return int(line.partition("count:")[2].split()[0])


if __name__ == "__main__":
    main()
