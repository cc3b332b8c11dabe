"""Which stages' code or settings differ from the recorded run, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from pargo.graph.dvc_stages import LOCK_NAME, PARAMS_NAME, recorded_hashes, recorded_settings, settings_hash, stage_name
from pargo.graph.jobs import Job
from pargo.graph.stage_text import read_params, stages_of
from pargo.made import differences, some


def describe_changes(
    config: str, jobs: Sequence[Job], lock: str, params: str, changed_files: Callable[[Job, str], list[str]]
) -> list[str]:
    """What differs between a config's jobs as they are now and as dvc.lock has them, one line each.

    Args:
        config: name of the config.
        jobs: its jobs.
        lock: text of dvc.lock.
        params: text of dvc-params.json, which still holds the recorded settings where it was not written anew.
        changed_files: source files of a job that differ from those of a code hash, as far as known.
    """
    recorded = stages_of(lock, LOCK_NAME, config)
    by_name = {stage_name(config, job): job for job in jobs}
    lines = [f"{name}: not recorded" for name in by_name if name not in recorded]
    lines += [f"{name}: recorded, but the config has it no longer" for name in recorded if name not in by_name]
    older = 0
    known = read_params(params, PARAMS_NAME)
    for name, stage in sorted(recorded.items()):
        code, settings = recorded_hashes(stage, name)
        if code is None or settings is None:
            older += 1
        elif name in by_name:
            job = by_name[name]
            if code != job.code:
                lines.append(_line(f"{name}: its code differs from the recorded run's", changed_files(job, code)))
            now = json.loads(job.settings)
            if settings != settings_hash(now):
                before = recorded_settings(known, name, settings)
                given = list(differences(before, now)) if before else []
                lines.append(_line(f"{name}: its settings differ from the recorded run's", given))
    if older:
        lines.insert(0, f"dvc.lock: {older} stages are in the form of an older ParGo-Repro: {_REWRITE}")
    return lines


_REWRITE = "`pargo versions record` writes them anew where their run is finished"


def _line(text: str, details: Sequence[object]) -> str:
    return f"{text}: {some(details)}" if details else text
