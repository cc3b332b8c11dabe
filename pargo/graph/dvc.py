"""Record a finished run with DVC, show what differs from it, and restore it in a clone or at another commit."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pargo.code import ROOT
from pargo.config.experiment import load_config
from pargo.errors import PargoError
from pargo.files import write_atomic
from pargo.graph import dvc_stages
from pargo.graph.changes import describe_changes
from pargo.graph.jobs import Job, list_jobs
from pargo.graph.recorded_code import RecordedCode
from pargo.manifest import verify

STAGES_FILE = ROOT / "dvc.yaml"
PARAMS_FILE = ROOT / dvc_stages.PARAMS_FILE
LOCK_FILE = ROOT / "dvc.lock"
SHOWN = 3  # names in an error


def generate(config: str, jobs: Sequence[Job]) -> dict[Path, str]:
    """Content that dvc.yaml, dvc-params.json and dvc.lock should have; stages of other configs stay as they are."""
    renderers = {
        STAGES_FILE: dvc_stages.render_stages,
        PARAMS_FILE: dvc_stages.render_params,
        LOCK_FILE: dvc_stages.render_lock,
    }
    return {path: render(config, jobs, _text(path)) for path, render in renderers.items()}


def write(config_file: Path) -> None:
    """Write dvc.yaml and dvc-params.json as config and code are now, and record nothing.

    From then on plain `dvc status` says what differs from the recorded run too.

    Raises:
        PargoError: the workflow cannot be built.
    """
    files = generate(load_config(config_file).name, list_jobs(config_file))
    for path in (STAGES_FILE, PARAMS_FILE):
        write_atomic(path, files[path])


def record(config_file: Path) -> bool:
    """Write the generated files and put the artifacts of a finished run into DVC's cache.

    Args:
        config_file: the config whose stages are recorded; those of other configs are not touched.

    Returns:
        False when everything had been recorded before.

    Raises:
        PargoError: a job would still run, an artifact is not as it was made, or DVC fails.
    """
    with _alone():
        return _record(config_file)


def _record(config_file: Path) -> bool:
    name = load_config(config_file).name
    jobs = list_jobs(config_file)
    _refuse_pending(jobs, config_file)
    files = generate(name, jobs)
    current = all(_text(path) == text for path, text in files.items())
    if current and not _status(name):
        return False
    for directory in sorted({Path(path) for job in jobs for path in job.directories}):
        verify(directory)  # what somebody changed by hand is not recorded as a run's
    for path, text in files.items():
        if text and _text(path) != text:
            write_atomic(path, text)
    with _stages(name) as recorded:
        # what `dvc commit -f --no-relink` does for each of its targets, without reading dvc.yaml anew for every one
        for stage in recorded:
            stage.save()
            stage.commit(relink=False)
        recorded[0].dvcfile.dump_stages(recorded, update_pipeline=False)
    if changes := _status(name):
        raise PargoError(f"recorded, but DVC still sees changes: {_some(changes)}")
    return True


def status(config_file: Path) -> list[str]:
    """What differs between the working tree and the recorded versions of a config, one line each; empty when nothing.

    Raises:
        PargoError: the workflow cannot be built, or DVC fails.
    """
    name = load_config(config_file).name
    jobs = list_jobs(config_file)
    lines = [f"{job.name}: would run: {job.reason}" for job in jobs if job.reason]
    lines += _changes(name, jobs)
    stale = [path.name for path, text in generate(name, jobs).items() if _text(path) != text]
    lines += [f"{path}: not what config and code give: `pargo versions write` writes it" for path in stale]
    if STAGES_FILE.name in stale:
        return lines
    return lines + _status(name, hashes=False)


def restore(config_file: Path) -> None:
    """Bring back the recorded artifacts of a config, so that Snakemake has nothing to do.

    Raises:
        PargoError: the recorded stages are of another config or code, an artifact is in neither cache nor remote, or
            something would still run afterwards.
    """
    with _alone():
        _restore(config_file)


def _restore(config_file: Path) -> None:
    name = load_config(config_file).name
    jobs = list_jobs(config_file)
    files = generate(name, jobs)
    different = [path.name for path, text in files.items() if _text(path) != text]
    if changes := _changes(name, jobs) or [f"{path}: not what config and code give" for path in different]:
        raise PargoError(f"{config_file}: recorded otherwise: {_some(changes)}: check out the commit that recorded it")
    # what `dvc pull` does for each of its targets, without reading dvc.yaml and dvc.lock anew for every one
    with _stages(name) as recorded:
        repo = recorded[0].repo
        if repo.config["core"].get("remote"):
            needed = [objects for stage in recorded for objects in stage.get_used_objs().get(None, ())]
            repo.cloud.pull(needed)
        failed = [path for stage in recorded for path in stage.checkout().get("failed", [])]
    if failed:
        raise PargoError(f"not in DVC's cache, and no remote holds it: {_some(sorted(failed))}")
    if changes := _status(name):
        raise PargoError(f"the files differ from the recorded versions: {_some(changes)}: commit or undo your changes")
    _refuse_pending(list_jobs(config_file), config_file)


def _refuse_pending(jobs: Sequence[Job], config_file: Path) -> None:
    if pending := [f"{job.name} ({job.reason})" for job in jobs if job.reason]:
        raise PargoError(f"{config_file}: these would still run: {_some(pending)}: run `pargo reproduce` first")


def _some(names: Sequence[str]) -> str:
    """Few enough of them for an error."""
    return "; ".join(names[:SHOWN]) + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _changes(config: str, jobs: Sequence[Job]) -> list[str]:
    """Whose code or settings differ from the recorded run."""
    return describe_changes(config, jobs, _text(LOCK_FILE), _text(PARAMS_FILE), RecordedCode(ROOT).changed_files)


def _status(config: str, *, hashes: bool = True) -> list[str]:
    """What DVC sees changed in the stages of a config: a line for each kind of change of each.

    Args:
        config: name of the config.
        hashes: with the hashes of dvc-params.json, which DVC compares as the file has them.
    """
    lines = []
    with _stages(config) as recorded:
        for stage in recorded:
            for entry in stage.status().get(stage.addressing, []):
                for what, paths in entry.items() if isinstance(entry, dict) else [(entry, {})]:
                    states = [f"{path}: {state}" for path, state in paths.items() if hashes or path != PARAMS_FILE.name]
                    if paths and not states:
                        continue
                    lines.append(": ".join([stage.name, what, *([_some(states)] if states else [])]))
    return lines


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time writes the record; another waits. DVC's own lock covers each of its calls alone."""
    path = ROOT / ".dvc" / "tmp" / "pargo.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _stages(config: str) -> Iterator[list[Any]]:
    """DVC's stages of a config, under DVC's lock."""
    with _repository() as repo:
        from dvc.repo import lock_repo

        with lock_repo(repo):
            named = [stage for stage in repo.index.stages if getattr(stage, "name", None)]
            yield [stage for stage in named if dvc_stages.owner(stage.name) == config]


@contextmanager
def _repository() -> Iterator[Any]:
    """DVC's view of the project.

    Raises:
        PargoError: the project is no git checkout, or DVC fails.
    """
    from dvc.exceptions import CheckoutError, DvcException
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data"):  # what they warn of is in the error, with what to do
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with Repo(str(ROOT)) as repo:
            yield repo
    except CheckoutError as error:
        raise PargoError(f"not in DVC's cache, and no remote holds it: {_some(error.target_infos)}") from error
    except DvcException as error:
        raise PargoError(f"DVC: {error}") from error
