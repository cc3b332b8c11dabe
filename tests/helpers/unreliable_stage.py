"""A stage that fails by chance, and is soon done."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def run(settings: dict[str, Any], output: Path, trace: Path, run_directory: Path) -> None:
    name = output.name
    earlier = trace.read_text().split().count(name) if trace.exists() else 0
    fails = int(hashlib.sha256(f"{name} {earlier}".encode()).hexdigest(), 16) % 20 == 0
    with trace.open("a") as file:
        file.write(f"{name} {'fails' if fails else 'works'}\n")
    if fails:
        raise ValueError("by chance")
    output.mkdir(parents=True)
