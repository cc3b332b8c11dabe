"""Hashes of every job's source files and its settings, as JSON: run with another copy of the package in PYTHONPATH."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator

from pargo.code import code_hash, import_closure
from pargo.config.base import canonical_json
from pargo.config.experiment import Config, load_config
from pargo.graph.stage_settings import settings_of
from pargo.stages import STAGES

WILDCARDS = {
    "download": ("source",),
    "fingerprint": ("split",),
    "features": ("split",),
    "select": ("dataset",),
    "caption": ("dataset",),
    "filter": ("dataset",),
    "report_captions": ("dataset",),
    "pretrain": ("arm", "seed"),
    "finetune": ("arm", "seed"),
    "attention": ("arm",),
    "evaluate": ("arm", "benchmark"),
    "grade": ("benchmark",),
    "score": ("benchmark",),
}


def jobs(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    """Stage and wildcards of all jobs."""
    values = {
        "source": list(config.sources),
        "split": ["train", "test"],
        "dataset": list(config.datasets),
        "arm": list(config.arms),
        "benchmark": list(config.benchmarks),
        "seed": [str(config.seeds[0])],
    }
    for stage in STAGES:
        names = WILDCARDS.get(stage, ())
        for chosen in itertools.product(*(values[name] for name in names)):
            yield stage, dict(zip(names, chosen, strict=True))


def snapshot(paths: list[str]) -> dict[str, dict[str, str]]:
    """`code` and `settings` of all jobs of the configs."""
    found: dict[str, dict[str, str]] = {"code": {}, "settings": {}}
    hashes: dict[tuple[str, ...], str] = {}
    for path in paths:
        config = load_config(path)
        for stage, wildcards in jobs(config):
            name = " ".join([path, stage, *wildcards.values()])
            settings = settings_of(config, stage, wildcards)
            modules = STAGES[stage].modules(settings)
            if modules not in hashes:
                hashes[modules] = code_hash(import_closure(*modules))
            found["code"][name], found["settings"][name] = hashes[modules], canonical_json(settings)
    return found


if __name__ == "__main__":
    json.dump(snapshot(sys.argv[1:]), sys.stdout)
