"""Files of JSON lines that people and tools look at, and no result depends on: attempts of jobs; read here,
but written by the training loop: seconds of steps.

What must not be lost is kept in a journal (`pargo.journal`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_note(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line to a file of notes: several processes may, and no result depends on them, so nobody waits or locks.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = file.read(1) not in (b"", b"\n")  # of a killed process; this line begins on one of its own
        file.write(b"\n" * torn + json.dumps(row).encode() + b"\n")


def read_notes(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of notes; what a kill tore is passed over. None where there is no such file."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    found = []
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found += [row] if isinstance(row, dict) else []
    return found
