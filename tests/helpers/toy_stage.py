"""A stage without heavy imports; it leaves a trace of every run and waits for a file where the test says so."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from pargo.errors import PargoError
from pargo.manifest import publish


def run(settings: dict[str, Any], output: Path, trace: Path, wait_for: Path | None = None) -> None:
    with trace.open("a") as file:
        file.write(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')} {os.environ.get('CUDA_VISIBLE_DEVICES')!r}\n")
    print("started", flush=True)
    for step in range(settings.get("lines", 0)):
        print(f"step {step}/9  loss", flush=True)
    if settings.get("child"):
        child = subprocess.Popen(["sleep", "100"])
        (trace.parent / "child").write_text(str(child.pid))
    while wait_for is not None and not wait_for.exists():
        time.sleep(0.05)
    if settings.get("fail") == "expected":
        raise PargoError("the width must be even")
    if settings.get("fail"):
        for line in range(50):
            print(f"line {line}")
        raise ValueError("a bug")
    with publish(output, settings=settings) as directory:
        (directory / "weights").write_text(f"of {os.getpid()}")
    print("finished", flush=True)
