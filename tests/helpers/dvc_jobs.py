"""A job of the graph as DVC's stages are made of it."""

from __future__ import annotations

from typing import Any

from pargo.graph.snakemake import Job


def make_job(rule: str = "score", **changes: Any) -> Job:
    """A job with a command, settings and files; `changes` replace fields."""
    values: dict[str, Any] = {
        "rule": rule,
        "wildcards": {"arm": "pargo", "seed": "0"},
        "inputs": ("b.manifest.json", "a"),
        "code_files": ("pargo/score.py",),
        "code": "c0de",
        "outputs": ("artifacts/x/d", "artifacts/x/d.manifest.json"),
        "directories": frozenset({"artifacts/x/d"}),
        "settings": '{"learning_rate":0.001}',
        "command": """python -m pargo score --settings '{"learning_rate":0.001}' --grades  --output artifacts/x/d""",
        "log": "runs/x/logs/score.log",
        "reason": "",
    }
    return Job(**(values | changes))
