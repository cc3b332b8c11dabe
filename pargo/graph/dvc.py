"""Record a finished run with DVC, and show what differs from it; `dvc_restore.py` brings it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pargo.code import ROOT
from pargo.config.experiment import load_config
from pargo.errors import PargoError
from pargo.files import write_atomic
from pargo.graph import dvc_stages
from pargo.graph.changes import describe_changes
from pargo.graph.dvc_repository import (
    LOCK_FILE,
    PARAMS_FILE,
    STAGES_FILE,
    alone,
    changes_dvc_sees,
    check_record,
    open_stages,
    text_of,
)
from pargo.graph.jobs import Job, jobs_of, list_jobs, with_reasons
from pargo.graph.recorded import Recorded
from pargo.graph.recorded_code import RecordedCode
from pargo.graph.stage_text import stage_texts
from pargo.made import some
from pargo.manifest import verify


def generate(config: str, jobs: Sequence[Job]) -> dict[Path, str]:
    """Content that dvc.yaml, dvc-params.json and dvc.lock should have; stages of other configs stay as they are."""
    renderers = {
        STAGES_FILE: dvc_stages.render_stages,
        PARAMS_FILE: dvc_stages.render_params,
        LOCK_FILE: dvc_stages.render_lock,
    }
    return {path: render(config, jobs, text_of(path)) for path, render in renderers.items()}


def changes_of(config: str, jobs: Sequence[Job]) -> list[str]:
    """Whose code or settings differ from the recorded run."""
    return describe_changes(config, jobs, text_of(LOCK_FILE), text_of(PARAMS_FILE), RecordedCode(ROOT).changed_files)


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
    with alone():
        return _record(config_file)


def _record(config_file: Path) -> bool:
    name = load_config(config_file).name
    check_record(name)
    jobs = list_jobs(config_file)
    refuse_pending(jobs, config_file)
    files = generate(name, jobs)
    current = all(text_of(path) == text for path, text in files.items())
    recorded = Recorded(name)
    if current and all(recorded.holds(job) for job in jobs):  # without DVC, which takes longer to load than all else
        return False
    for directory in sorted({Path(path) for job in jobs for path in job.directories}):
        verify(directory)  # what somebody changed by hand is not recorded as a run's
    for path, text in files.items():
        if text and text_of(path) != text:
            write_atomic(path, text)
    with open_stages(name) as stages:
        from dvc.stage.serialize import to_lockfile
        from dvc.utils.serialize import dumps_yaml

        for stage in stages:
            stage.save()
            stage.commit(relink=False)
        # as DVC writes it, but whole or not at all, and without reading what other configs have in it
        held = {"stages": {key: value for stage in stages for key, value in to_lockfile(stage).items()}}
        ours = stage_texts(dumps_yaml(held), LOCK_FILE.name, dvc_stages.dump)
        write_atomic(LOCK_FILE, dvc_stages.lock_with(ours, text_of(LOCK_FILE)))
    if changes := changes_dvc_sees(name):
        raise PargoError(f"recorded, but DVC still sees changes: {some(changes)}")
    return True


def refuse_pending(jobs: Sequence[Job], config_file: Path) -> None:
    """Raise PargoError when a job has a reason to run."""
    if pending := [f"{job.name} ({job.reason})" for job in jobs if job.reason]:
        raise PargoError(f"{config_file}: these would still run: {some(pending)}: run `pargo reproduce` first")


def status(config_file: Path) -> list[str]:
    """What differs between the working tree and the recorded versions of a config; empty when nothing.

    Artifacts that are not here, as in a clone, are counted in one line.

    Raises:
        PargoError: the workflow cannot be built, or DVC fails.
    """
    config = load_config(config_file)
    recorded = Recorded(config.name)
    jobs = with_reasons(jobs_of(config), recorded.same)
    changes = changes_of(config.name, jobs)
    away = [job for job in jobs if recorded.away(job)]
    lines = [*_away(away, recorded, changes), *changes]
    lines += [
        f"{job.name}: would run: {job.reason}" for job in jobs if job.reason and not job.follows and job not in away
    ]
    if follow := sum(job.follows for job in jobs):
        lines.append(f"{follow} more jobs may run after these")
    stale = [path.name for path, text in generate(config.name, jobs).items() if text_of(path) != text]
    lines += [f"{path}: out of date; `pargo versions write` writes it anew" for path in stale]
    if STAGES_FILE.name in stale:
        return lines
    return lines + changes_dvc_sees(config.name, hashes=False, away=[job.output.as_posix() for job in away])


def _away(away: Sequence[Job], recorded: Recorded, changes: Sequence[str]) -> list[str]:
    """How many artifacts are not here, and where they can come from."""
    if not away:
        return []
    same = [job for job in away if recorded.same(job)]
    count = f"not here: {len(away)} artifact{'s' if len(away) > 1 else ''}"
    if len(same) < len(away):
        count += f", {len(same)} of them recorded by code and settings as they are now"
    else:
        count += ", recorded"
    if lost := sum(not recorded.restorable(job) for job in same):
        where = "neither in DVC's cache nor in a remote"
        count += f", but {lost} of them {where}: `dvc remote add -d` names one, `pargo reproduce` makes them"
    elif same:
        count += ": `pargo reproduce` brings them" if changes else ": `pargo versions restore` brings them"
    return [f"{count}; code and settings as recorded" if not changes else count]
