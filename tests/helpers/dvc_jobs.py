"""A job of the graph as DVC's stages are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pargo.graph.jobs import Job


def make_job(rule: str = "score", **changes: Any) -> Job:
    """A job with a command, settings and files; `changes` replace fields."""
    values: dict[str, Any] = {
        "rule": rule,
        "wildcards": {"arm": "pargo", "seed": "0"},
        "paths": (Path("artifacts/x/b"), Path("reports/x/a.json")),
        "code_files": ("pargo/score.py",),
        "code": "c0de",
        "output": Path("artifacts/x/d"),
        "files": (),
        "settings": '{"learning_rate":0.001}',
        "chosen": "{}",
        "command": """python -m pargo score --settings '{"learning_rate":0.001}' --output artifacts/x/d""",
        "log": "runs/x/logs/score.log",
    }
    return Job(**(values | changes))
