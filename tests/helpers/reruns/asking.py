"""Asks the product for the states of all jobs, once per change, without the start of a process each time.

A process that has imported the libraries waits in the project's folder and forks for each question. A `warm` one has
imported `pargo` too and knows its code, which must not change then; a cold one
imports it anew in each fork and reads all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

SERVER = """
import json, os, sys, traceback
from pathlib import Path
import filelock, numpy, pydantic, yaml

def ask(config):
    from pargo.config.experiment import load_config
    from pargo.graph.recorded import jobs_here
    from pargo.graph.status import lines_of, state_of
    jobs = jobs_here(load_config(Path(config)))
    rows = [(job.name, state_of(job), job.reason) for job in jobs]
    return {"jobs": rows, "status": list(lines_of(jobs))}

if sys.argv[1] == "warm":
    ask("config/micro.yaml")
for line in sys.stdin:
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            answer = ask(line.strip())
        except BaseException:
            answer = {"error": traceback.format_exc()}
        with open(writing, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    print(text, flush=True)
"""


class Asking:
    """A process that answers which jobs would run; use as a context manager.

    Args:
        root: the project's folder.
        warm: it has imported `pargo`, so changes of code are not seen.
    """

    def __init__(self, root: Path, *, warm: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, "warm" if warm else "cold"],
            cwd=root,
            # a file of the same size, changed within a second, must not be taken from a compiled copy
            env=os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self, config: str) -> dict[str, list]:
        """`jobs`: name, state and reason of each; `status`: the lines of `pargo status`."""
        assert self._process.stdin
        assert self._process.stdout
        print(config, file=self._process.stdin, flush=True)
        found = json.loads(self._process.stdout.readline())
        assert "error" not in found, found["error"]
        return found

    def __enter__(self) -> Asking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
