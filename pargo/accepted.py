"""Changes of code that a person accepted: what was made by the code before counts as made by the code after.

They stand in `reports/<config>/accepted.json`, in git, and on the report's page. Each is of one job and of one change:
the next change of its code is told again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pargo.errors import PargoError
from pargo.files import read_json, write_atomic

FILE = "accepted.json"


def accepted_file(output: Path) -> Path:
    """Where the accepted changes of a config are, seen from what a job of it makes."""
    return Path("reports", *output.parts[1:2], FILE)


def read_accepted(file: Path) -> list[dict[str, Any]]:
    """All accepted changes of a config: `job`, `output`, `from` and `to` (hashes of code), `reason`, `when`.

    Raises:
        PargoError: the file is broken.
    """
    if not file.is_file():
        return []
    rows = read_json(file)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"output", "from", "to"} <= row.keys() for row in rows
    ):
        raise PargoError(f"{file}: expected a list of accepted changes, as `pargo accept` writes it")
    return rows


def same_code(output: Path, code: str) -> set[str]:
    """Hashes of code that count as a job's code of today.

    Args:
        output: what the job makes.
        code: hash of its code today.
    """
    found, rows = {code}, read_accepted(accepted_file(output))
    while more := {row["from"] for row in rows if row["output"] == output.as_posix() and row["to"] in found} - found:
        found |= more
    return found


def accept(output: Path, row: dict[str, Any]) -> None:
    """Write an accepted change down."""
    file = accepted_file(output)
    write_atomic(file, json.dumps([*read_accepted(file), row], indent=1, ensure_ascii=False) + "\n")
