"""Snakemake profiles of the project: the folder that `--profile` names, checked before anything runs.

Snakemake itself takes a folder that is not there for none at all, and would run everything on this machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pargo.arguments import did_you_mean
from pargo.errors import ConfigError, UsageError

PROFILES = Path("workflow/profiles")
PROFILE, OLDER = "profile.yaml", "config.yaml"  # Snakemake takes both names


def check_profile_files(folder: Path) -> None:
    """Refuse a profile that is none, or whose jobs nobody could submit.

    Args:
        folder: with `profile.yaml`, or `config.yaml`; paths in it are relative to the project, which is the current
            folder.

    Raises:
        UsageError: no such profile, or SLURM is not there; the message names those that there are.
        ConfigError: its file or a jobs file is wrong.
    """
    if not profile_file(folder).is_file():
        known = sorted(path.parent.as_posix() for path in PROFILES.glob(f"*/{PROFILE}"))
        by_name = {Path(path).name: path for path in known}
        problem = "does not exist" if not folder.exists() else "is a file" if folder.is_file() else f"has no {PROFILE}"
        near = did_you_mean(folder.name, by_name)
        for name, known_path in by_name.items():
            near = near.replace(repr(name), known_path)
        raise UsageError(f"--profile: {folder} {problem}{near}; profiles: {', '.join(known) or 'none'}")
    for stage, path in jobs_files(folder):
        if not path.is_file():
            raise ConfigError(f"{profile_file(folder)}: {stage}: there is no jobs file {path}")
    files = {path for _, path in jobs_files(folder)}
    if any(_backend(path) == "slurm" for path in sorted(files)) and shutil.which("sbatch") is None:
        raise UsageError(
            f"--profile: {folder} runs jobs on SLURM, and this machine has no `sbatch`: start it on one that has"
        )


def profile_file(folder: Path) -> Path:
    """The file of a profile's folder, by either of Snakemake's names."""
    return folder / OLDER if (folder / OLDER).is_file() and not (folder / PROFILE).is_file() else folder / PROFILE


def jobs_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Stage and jobs file, of each stage that the profile runs by one."""
    from pargo.config.yaml_file import read_yaml  # a folder that is no profile is said before

    resources = _mapping(_mapping(read_yaml(profile_file(folder), "profile"), folder).get("set-resources"), folder)
    for stage, asked in resources.items():
        # quoted twice: Snakemake evaluates it
        executor = str(_mapping(asked, folder).get("executor", "")).strip("'\"")
        if executor.endswith((".yaml", ".yml")):
            yield stage, Path(executor)


def _mapping(value: Any, folder: Path) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        from pargo.config.yaml_file import kind_of

        raise ConfigError(f"{profile_file(folder)}: expected a mapping, got {kind_of(value)}")
    return value or {}


def _backend(path: Path) -> str:
    from pargo.config.yaml_file import read_yaml

    data = read_yaml(path, "jobs file")
    return data.get("backend", "slurm") if isinstance(data, dict) else "slurm"
