"""A copy of the project, in which the tests of the workflow run commands and change files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ("artifacts", "reports", "runs", "dvc.yaml", "dvc.lock", "dvc-params.json")
LIST_PENDING = """
import json, sys
from pathlib import Path
from pargo.graph.jobs import list_jobs
print(json.dumps([job.name for job in list_jobs(Path(sys.argv[1])) if job.reason]))
"""


@dataclass(frozen=True)
class Project:
    """A copy of the project with its own git and DVC."""

    root: Path
    KEY: ClassVar[str] = "a-key-that-must-not-be-kept"  # of a judge

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the commands."""
        return os.environ | {
            "PYTHONPATH": str(self.root),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
            "OPENAI_API_KEY": self.KEY,
            "CUDA_VISIBLE_DEVICES": "0",  # as on most machines with a GPU; here nothing is behind it
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, with the project's own `pargo`."""
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def pargo(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pargo", *arguments, check=check)

    def reproduce(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pargo("reproduce", "--config", "config/micro.yaml", *arguments, check=check)

    def pending(self, config: str = "config/micro.yaml") -> set[str]:
        """Names of the jobs that would run."""
        return set(json.loads(self.run(sys.executable, "-c", LIST_PENDING, config).stdout))

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        return self.run("git", *identity, *arguments).stdout

    def variant(self, file_name: str, **changes: object) -> str:
        """A changed copy of the micro config; keys are paths with `__` between their parts."""
        data = yaml.safe_load((self.root / "config/micro.yaml").read_text())
        for path, value in changes.items():
            *parents, key = path.split("__")
            node = data
            for parent in parents:
                node = node.setdefault(parent, {})
            node[key] = value
        file = self.root / "runs" / f"{file_name}.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return str(file)

    @contextmanager
    def edited(self, path: str, text: str = "\nA_CHANGE = 1\n") -> Iterator[None]:
        """The project while one file has another line at its end."""
        file = self.root / path
        before = file.read_bytes()
        file.write_bytes(before + text.encode())
        try:
            yield
        finally:
            file.write_bytes(before)


def copy_project(target: Path) -> None:
    """All files that git would take, without results."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if name.split("/")[0] not in RESULTS and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
