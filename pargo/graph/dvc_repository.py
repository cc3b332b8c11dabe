"""DVC's view of the project: its files, its stages of one config, and what they say of the working tree."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pargo.code import ROOT
from pargo.errors import PargoError
from pargo.graph import dvc_stages
from pargo.graph.stage_text import read_params, stages_of
from pargo.made import some

STAGES_FILE = ROOT / dvc_stages.STAGES_NAME
PARAMS_FILE = ROOT / dvc_stages.PARAMS_NAME
LOCK_FILE = ROOT / dvc_stages.LOCK_NAME


def text_of(path: Path) -> str:
    """A file's text; empty where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def check_record(config: str) -> None:
    """Raise PargoError where the record cannot be read, as after an unfinished merge."""
    for path in (STAGES_FILE, LOCK_FILE):
        stages_of(text_of(path), path.name, config)
    read_params(text_of(PARAMS_FILE), PARAMS_FILE.name)


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time writes the record; another waits. DVC's own lock covers each of its calls alone.

    The system frees it when the process ends, however it ends; a file that was left counts for nothing.
    """
    path = ROOT / ".dvc" / "tmp" / "pargo.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def open_stages(config: str) -> Iterator[list[Any]]:
    """DVC's stages of a config, under DVC's lock; those of other configs are not read.

    Raises:
        PargoError: the project is no git checkout, a file of DVC's is broken, or DVC fails.
    """
    defined = stages_of(text_of(STAGES_FILE), STAGES_FILE.name, config)
    locked = stages_of(text_of(LOCK_FILE), LOCK_FILE.name, config)
    with _repository() as repo:
        from dvc.dvcfile import ProjectFile
        from dvc.repo import lock_repo

        with lock_repo(repo):
            file = ProjectFile(repo, str(STAGES_FILE), verify=False)
            # what DVC would read of the files; of one with megabytes of other configs that takes it a minute
            file.__dict__["contents"] = {"stages": defined}
            file.__dict__["lockfile_contents"] = {"stages": locked}
            yield [file.stages[name] for name in sorted(defined)]


@contextmanager
def _repository() -> Iterator[Any]:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data"):  # what they warn of is in the error, with what to do
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with Repo(str(ROOT)) as repo:
            _forget_torn_locks(repo)
            yield repo
    except DvcException as error:
        raise PargoError(f"DVC: {error}") from error


def _forget_torn_locks(repo: Any) -> None:
    """Remove DVC's list of locked files where a kill left half of it, since DVC refuses to go on with one.

    DVC writes the list in place. Under DVC's own guard nobody is writing it, so half of one is from a process that
    ended.
    """
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    path = Path(repo.tmp_dir) / RWLOCK_FILE
    hardlink = repo.config["core"].get("hardlink_lock", False)
    guard = make_lock(str(path.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=hardlink)
    with guard, suppress(FileNotFoundError):
        try:
            json.loads(path.read_bytes())
        except ValueError:  # no JSON, or no UTF-8
            path.unlink()


def changes_dvc_sees(config: str, *, hashes: bool = True, away: Sequence[str] = ()) -> list[str]:
    """What DVC sees changed in the stages of a config: a line for each kind of change of each.

    Args:
        config: name of the config.
        hashes: with the hashes of dvc-params.json, which DVC compares as the file has them.
        away: paths that are known not to be here, which are not told.
    """
    from dvc.dependency import ParamsDependency

    lines = []
    with open_stages(config) as recorded:
        for stage in recorded:
            if not hashes:  # DVC would read the whole file for every stage
                stage.deps = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
            for entry in stage.status().get(stage.addressing, []):
                for what, paths in entry.items() if isinstance(entry, dict) else [(entry, {})]:
                    states = [f"{path}: {state}" for path, state in paths.items() if path not in away]
                    if not paths or states:
                        lines.append(": ".join([stage.name, what, *([some(states)] if states else [])]))
    return lines
