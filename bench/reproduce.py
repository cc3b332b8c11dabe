"""What `make reproduce` costs from a clean clone: an older commit's, and this one's, on the same machine.

    python -m bench.reproduce COMMIT [COMMIT ...] [--cores 2]

Runs the whole of config/quick.yaml, download to page, in a new clone of each commit, one after the other, with this
environment. Writes reports/bench/reproduce.json and .md: time, CPU time of all processes, per trained and evaluated
model too, and the memory of the largest process. A commit that is measured anew replaces its row.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any

import yaml

from bench.spread import clone
from pargo.code import ROOT
from pargo.machine import hardware

PR_SET_CHILD_SUBREAPER = 36  # of Linux
WORK = ROOT / "runs/bench-reproduce"
RECORD = ROOT / "reports/bench/reproduce.json"


def measure(commit: str, cores: int) -> dict[str, Any]:
    """Run quick at a commit in a new clone."""
    target = WORK / commit
    shutil.rmtree(target, ignore_errors=True)
    clone(commit, target)
    config = yaml.safe_load((target / "config/quick.yaml").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "pargo", "reproduce", "--config", "config/quick.yaml", "--cores", str(cores)]
    # jobs live on when those that started them end: they become children of this process, so that their time counts
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    process, begin = subprocess.Popen(command, cwd=target), time.monotonic()
    cpu, largest, status, end = 0.0, 0, 0, begin
    while True:
        try:
            child, ended, used = os.wait4(-1, 0)
        except ChildProcessError:  # none is left
            break
        cpu, largest = cpu + used.ru_utime + used.ru_stime, max(largest, used.ru_maxrss * 1024)
        if child == process.pid:
            status, end = ended, time.monotonic()
    if status:
        raise SystemExit(f"pargo reproduce of {commit} ended with {os.waitstatus_to_exitcode(status)}: see above")
    return {
        "hardware": hardware(),
        "cores": cores,
        "models": len(config["arms"]) * len(config["seeds"]),
        "seconds": end - begin,
        "cpu_seconds": cpu,
        "largest_process_bytes": largest,
    }


def render(record: dict[str, Any]) -> str:
    lines = [
        f"| {commit} | {row['models']} | {row['seconds'] / 60:.1f} | {row['cpu_seconds']:,.0f} | "
        f"{row['cpu_seconds'] / row['models']:,.0f} | {row['largest_process_bytes'] / 1e9:.2f} | {row['cores']} | "
        f"{row['hardware']} |"
        for commit, row in record.items()
    ]
    return "\n".join(
        [
            "# What `make reproduce` costs",
            "",
            "Written by `python -m bench.reproduce`: the whole of `config/quick.yaml` in a clean clone of each commit, "
            "with everything installed. A model is trained and evaluated; CPU seconds of a model include its share of "
            "what all models use (features, warm-up, report).",
            "",
            "| commit | models | minutes | CPU seconds | CPU seconds a model | largest process, GB | cores | machine |",
            "|---|---:|---:|---:|---:|---:|---:|---|",
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commits", nargs="+", metavar="COMMIT")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name in options.commits:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=7", name], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()
        record[commit] = measure(commit, options.cores)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        RECORD.with_suffix(".md").write_text(render(record), encoding="utf-8")


if __name__ == "__main__":
    main()
