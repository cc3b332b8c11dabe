"""The job list as DVC stages: pure functions from jobs to the content of dvc.yaml and dvc-params.json.

One stage per job, named `<config>-<rule>-<wildcards>`. Config names hold no hyphen, so the part before the first one
tells whose stage it is, and writing one config's stages leaves those of others as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import yaml

from pargo.versioning.graph import Job

# DVC reads this file anew for every stage: of 26 stages, its YAML reader in 0.15 s, its JSON reader in 0.7 ms, which it
# takes for names with one dot alone
PARAMS_FILE = "dvc-params.json"
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
    return {
        "cmd": single_spaced(job.command),
        "deps": sorted(job.inputs),
        "params": [{PARAMS_FILE: [stage_name(config, job)]}],
        "outs": outs,
    }


def single_spaced(command: str) -> str:
    """A command without gaps where an option is empty, but for what stands in quotes.

    DVC breaks long commands of dvc.lock at a space and reads two spaces back as one: it would see a change.
    """
    quoted_or_gap = r"'[^']*'|\"[^\"]*\"| {2,}"
    return re.sub(quoted_or_gap, lambda found: " " if found[0].isspace() else found[0], command)


def render_stages(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc.yaml: the existing one with the stages of a config replaced."""
    stages = {stage_name(config, job): stage_definition(config, job) for job in jobs}
    others = _others(config, (yaml.safe_load(existing) or {}).get("stages") or {})
    return HEAD + _dump({"stages": dict(sorted((others | stages).items()))})


def render_params(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc-params.json: each stage's resolved settings, with those of other configs left as they are."""
    params = {stage_name(config, job): json.loads(job.settings) for job in jobs}
    every = dict(sorted((_others(config, json.loads(existing or "{}")) | params).items()))
    return json.dumps(every, indent=1, ensure_ascii=False) + "\n"


def render_lock(config: str, jobs: Iterable[Job], existing: str) -> str:
    """Text of dvc.lock without the stages that a config no longer has; unchanged when there are none."""
    lock = yaml.safe_load(existing) or {}
    names = {stage_name(config, job) for job in jobs}
    gone = [name for name in lock.get("stages") or {} if owner(name) == config and name not in names]
    if not gone:
        return existing
    for name in gone:
        del lock["stages"][name]
    return yaml.safe_dump(lock, sort_keys=False, width=10**6, allow_unicode=True)


def _others(config: str, entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if owner(name) != config}


def _dump(value: Any) -> str:
    """YAML with one line per string."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without anchors: equal lists are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
