"""What machine and which versions a result was made on."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

COMPUTING = ("torch", "numpy", "transformers", "tokenizers", "safetensors", "timm", "deepspeed", "peft")
PACKAGES = (*COMPUTING, "snakemake", "dvc", "submitit")


@cache
def hardware() -> str:
    """Processor (and GPU, when torch is loaded) in words, e.g. `2 x Intel Xeon, amx_bf16`."""
    model, flags = platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().split("\n\n")[0].splitlines())
        fields = {name.strip(): value.strip() for name, _, value in lines}
        model, flags = fields.get("model name", model), fields.get("flags", "")
    feature = next((name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags.split()), "")
    text = f"{os.cpu_count()} x {model}" + (f", {feature}" if feature else "")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        text += f"; {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return text


@cache
def git_commit() -> str | None:
    """The commit of the checkout, with `-dirty` when tracked files differ; None outside git."""
    root = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.strip() + ("-dirty" if changed.strip() else "")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that make numbers, or run what does."""
    return {"python": platform.python_version()} | _versions(*PACKAGES)


def computing_versions() -> dict[str, str]:
    """Versions of the packages that make numbers."""
    return dict(_versions(*COMPUTING))


@cache
def _versions(*packages: str) -> dict[str, str]:
    found = {}  # of every package a text with its whole description is read
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def run_record() -> Callable[[], dict[str, Any]]:
    """Start the clock of a run; call the result at the end for its record."""
    started, clock = datetime.now(UTC), time.monotonic()

    def finish() -> dict[str, Any]:
        return {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 2),
            "commit": git_commit(),
            "versions": versions(),
        }

    return finish
