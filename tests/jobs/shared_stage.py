"""A stage with all that the table of stages knows: named inputs, several jobs that share it, a plug-in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pargo.config.base import Settings
from pargo.errors import PargoError


class Work(Settings):
    """What is done, by how many jobs."""

    kind: str
    num_shards: int


class SharedSettings(Settings):
    """Of the stage."""

    work: Work


def run(
    settings: SharedSettings, texts: Mapping[str, Path], output: Path, run_directory: Path, parts: Sequence[Path] = ()
) -> None:
    """Write who did which text into `output`; alone, or from the parts of others."""
    if not parts:
        part(settings, texts, 0, run_directory)
    lines = [line for path in parts or [run_directory / "done.txt"] for line in path.read_text().splitlines()]
    output.write_text("\n".join([f"together {os.getpid()}", *lines]))


def part(settings: SharedSettings, texts: Mapping[str, Path], shard: int, run_directory: Path) -> None:
    """Do every `num_shards`-th text."""
    mine = list(texts.items())[shard :: settings.work.num_shards]
    lines = [f"{os.getpid()} {name} {path.read_text()}" for name, path in mine]
    run_directory.mkdir(parents=True, exist_ok=True)
    (run_directory / "done.txt").write_text("\n".join(lines))


def modules(kind: str) -> tuple[str, ...]:
    """As of a kind of plug-ins."""
    if kind != "plain":
        raise PargoError(f"unknown work {kind!r}; choices: plain")
    return ("shared_stage",)
