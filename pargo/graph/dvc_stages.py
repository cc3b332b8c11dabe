"""The job list as DVC stages: pure functions from jobs to the content of dvc.yaml and dvc-params.json.

One stage per job, named `<config>-<rule>-<wildcards>`. Config names hold no hyphen, so the part before the first one
tells whose stage it is, and writing one config's stages leaves those of others as they are.

dvc-params.json holds, by stage, the settings and two hashes: of the code and of the settings. dvc.yaml names the two
hashes as what the stage depends on, so dvc.lock holds these, and neither file holds settings or names source files.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pargo.config.base import canonical_json
from pargo.files import sha256_text
from pargo.graph.jobs import Job
from pargo.graph.stage_text import join, owner, read_params, split, stage_texts
from pargo.stages import STAGES

# DVC reads this file anew for every stage: of 26 stages, its YAML reader in 0.15 s, its JSON reader in 0.7 ms, which it
# takes for names with one dot alone
PARAMS_NAME = "dvc-params.json"
HASHES = ("code", "settings_sha256")  # of a stage in the file; DVC takes a dot for a level of it: stage names hold none
STAGES_NAME, LOCK_NAME = "dvc.yaml", "dvc.lock"
HEAD = "# Generated from the Snakemake graph by `pargo versions record`; do not edit.\n"
LOCK_HEAD = "schema: '2.0'\nstages:\n"  # as DVC writes it


def stage_name(config: str, job: Job) -> str:
    return f"{config}-{job.name}"


def stage_definition(config: str, job: Job) -> dict[str, Any]:
    """One stage of dvc.yaml. Directories of artifacts go into DVC's cache, single files stay in git."""
    outs: list[Any] = []
    for path in sorted(job.outputs):
        outs.append(path if path in job.directories else {path: {"cache": False}})
    name = stage_name(config, job)
    return {
        "cmd": _command(name, job),
        "deps": sorted(job.inputs),
        "params": [{PARAMS_NAME: [f"{name}.{key}" for key in HASHES]}],
        "outs": outs,
    }


def stage_params(job: Job) -> dict[str, Any]:
    """What dvc-params.json holds of one stage: the hashes that dvc.lock records, and the settings themselves."""
    settings = json.loads(job.settings)
    return {"code": job.code, "settings_sha256": settings_hash(settings), "settings": settings}


def recorded_hashes(stage: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """The hashes of code and settings that dvc.lock holds of a stage; None where an older form holds none."""
    held = (stage.get("params") or {}).get(PARAMS_NAME) or {}
    code, settings = (held.get(f"{name}.{key}") for key in HASHES)
    return code, settings


def recorded_settings(params: Mapping[str, Any], name: str, recorded: str | None) -> dict[str, Any] | None:
    """The settings of a stage in dvc-params.json, where these are still the ones that were recorded.

    Args:
        params: what the file holds.
        name: of the stage.
        recorded: hash of the recorded settings.
    """
    settings: dict[str, Any] | None = (params.get(name) or {}).get("settings")
    return settings if settings and settings_hash(settings) == recorded else None


def settings_hash(settings: dict[str, Any]) -> str:
    return sha256_text(canonical_json(settings))


def _command(stage: str, job: Job) -> str:
    """A job's command, which reads its settings from dvc-params.json."""
    option = f"--settings {shlex.quote(job.settings)}"
    executor = " --executor local" if STAGES[job.rule].heavy else ""
    return job.command.replace(option, f"--settings {PARAMS_NAME}:{stage}") + executor


def render_stages(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc.yaml: the existing one with the stages of a config replaced."""
    stages = {stage_name(config, job): stage_definition(config, job) for job in jobs}
    ours = stage_texts(dump({"stages": stages}), STAGES_NAME, dump) if stages else {}
    every = _others(config, stage_texts(existing, STAGES_NAME, dump)) | ours
    return HEAD + join("stages:\n", dict(sorted(every.items())))


def render_params(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc-params.json: each stage's code hash and settings, with those of other configs left as they are."""
    params = {stage_name(config, job): stage_params(job) for job in jobs}
    every = dict(sorted((_others(config, read_params(existing, PARAMS_NAME)) | params).items()))
    return json.dumps(every, indent=1, ensure_ascii=False) + "\n"


def render_lock(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc.lock without the stages that a config no longer has; unchanged when there are none."""
    stages, names = stage_texts(existing, LOCK_NAME, dump), {stage_name(config, job) for job in jobs}
    kept = {name: text for name, text in stages.items() if owner(name) != config or name in names}
    return existing if len(kept) == len(stages) else join(_lock_head(existing), kept)


def lock_with(stages: dict[str, str], existing: str) -> str:
    """Text of dvc.lock with some stages written anew, in their places; new ones are at its end.

    Args:
        stages: text by name.
        existing: text of dvc.lock.
    """
    return join(_lock_head(existing), stage_texts(existing, LOCK_NAME, dump) | stages)


def _lock_head(existing: str) -> str:
    parts = split(existing)
    return parts[0] if parts else LOCK_HEAD


def _others(config: str, entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if owner(name) != config}


def dump(value: Any) -> str:
    """YAML with one line per string."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
