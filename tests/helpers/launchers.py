"""Launchers in processes of their own, which tests kill and start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CODE = """
import json, os, sys
from pathlib import Path
from pargo.jobs import launcher

def paths(value):
    if isinstance(value, dict):
        return {name: item if name == "settings" else paths(item) for name, item in value.items()}
    return Path(value)

given = json.loads(sys.argv[1])
exec(given.pop("before"))
given["kwargs"] = paths(given["kwargs"])
try:
    launcher.launch(**given)
except launcher.PargoError as error:
    sys.exit(str(error))
"""


class Launchers:
    """Starts launchers of one folder; `log(n)` is what the n-th printed."""

    def __init__(self, root: Path, **jobs: Any) -> None:
        self.root = root
        self.jobs_file = root / "jobs.yaml"
        self.configure(**jobs)
        self.processes: list[subprocess.Popen] = []

    def configure(self, **jobs: Any) -> None:
        defaults = {"partition": "low", "time_minutes": 5, "signal_seconds": 5, "memory_gb": 2} | jobs.pop(
            "defaults", {}
        )
        self.jobs_file.write_text(yaml.safe_dump({"poll_seconds": 1, "defaults": defaults} | jobs))

    def start(
        self, function: str, kwargs: dict, name: str = "toy", before: str = "", stage_name: str = "", **variables: str
    ) -> subprocess.Popen:
        """Start a launcher; `before` is code to run first in its process."""
        given = {"function": function, "kwargs": kwargs, "name": name, "executor": str(self.jobs_file)}
        given |= {"run_directory": str(self.root / "runs" / name), "before": before, "stage_name": stage_name}
        log = self.root / f"launcher-{len(self.processes)}.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with log.open("w") as file:
            command = [sys.executable, "-c", CODE, json.dumps(given, default=str)]
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment | variables,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.processes.append(process)
        return process

    def log(self, number: int = -1) -> str:
        number %= len(self.processes)
        return (self.root / f"launcher-{number}.log").read_text()

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
