"""The job list as DVC stages: pure functions from jobs to the content of dvc.yaml and dvc-params.json.

One stage per job, named `<config>-<rule>-<wildcards>`. Config names hold no hyphen, so the part before the first one
tells whose stage it is, and writing one config's stages leaves those of others as they are.

dvc-params.json holds, by stage, the settings and two hashes: of the code and of the settings. dvc.yaml names the two
hashes as what the stage depends on, so dvc.lock holds these, and neither file holds settings or names source files.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

import yaml

try:
    from yaml import CSafeLoader
except ImportError:  # PyYAML was built without it
    from yaml import SafeLoader as CSafeLoader  # type: ignore[assignment]

from pargo.config.base import canonical_json
from pargo.files import sha256_text
from pargo.graph.jobs import Job
from pargo.stages import STAGES

# DVC reads this file anew for every stage: of 26 stages, its YAML reader in 0.15 s, its JSON reader in 0.7 ms, which it
# takes for names with one dot alone
PARAMS_FILE = "dvc-params.json"
HASHES = ("code", "settings_sha256")  # of a stage in the file; DVC takes a dot for a level of it: stage names hold none
HEAD = "# Generated from the Snakemake graph by `pargo versions record`; do not edit.\n"


def owner(stage: str) -> str:
    """The config a stage belongs to."""
    return stage.partition("-")[0]


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
        "params": [{PARAMS_FILE: [f"{name}.{key}" for key in HASHES]}],
        "outs": outs,
    }


def stage_params(job: Job) -> dict[str, Any]:
    """What dvc-params.json holds of one stage: the hashes that dvc.lock records, and the settings themselves."""
    settings = json.loads(job.settings)
    return {"code": job.code, "settings_sha256": settings_hash(settings), "settings": settings}


def settings_hash(settings: dict[str, Any]) -> str:
    return sha256_text(canonical_json(settings))


def _command(stage: str, job: Job) -> str:
    """A job's command, which reads its settings from dvc-params.json."""
    option = f"--settings {shlex.quote(job.settings)}"
    executor = " --executor local" if STAGES[job.rule].heavy else ""
    return job.command.replace(option, f"--settings {PARAMS_FILE}:{stage}") + executor


def render_stages(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc.yaml: the existing one with the stages of a config replaced."""
    stages = {stage_name(config, job): stage_definition(config, job) for job in jobs}
    others = _others(config, (read_yaml(existing) or {}).get("stages") or {})
    return HEAD + _dump({"stages": dict(sorted((others | stages).items()))})


def render_params(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc-params.json: each stage's code hash and settings, with those of other configs left as they are."""
    params = {stage_name(config, job): stage_params(job) for job in jobs}
    every = dict(sorted((_others(config, json.loads(existing or "{}")) | params).items()))
    return json.dumps(every, indent=1, ensure_ascii=False) + "\n"


def render_lock(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc.lock without the stages that a config no longer has; unchanged when there are none."""
    lock = read_yaml(existing) or {}
    names = {stage_name(config, job) for job in jobs}
    gone = [name for name in lock.get("stages") or {} if owner(name) == config and name not in names]
    if not gone:
        return existing
    for name in gone:
        del lock["stages"][name]
    return yaml.safe_dump(lock, sort_keys=False, width=10**6, allow_unicode=True)


def read_yaml(text: str) -> Any:
    """YAML by the C reader where there is one: a record of the paper's size has megabytes."""
    return yaml.load(text, Loader=CSafeLoader)


def _others(config: str, entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if owner(name) != config}


def _dump(value: Any) -> str:
    """YAML with one line per string."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
