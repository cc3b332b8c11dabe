"""A stage that takes more memory than it was given."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def run(settings: dict[str, Any], output: Path) -> None:
    taken = []
    for _ in range(30):
        taken.append(bytearray(b"x") * 100_000_000)
        print(f"{len(taken) * 100} MB", flush=True)
        time.sleep(0.2)
    output.mkdir()
