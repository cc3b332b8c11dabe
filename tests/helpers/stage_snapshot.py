"""Hashes of every job's source files and its settings, as JSON: run with another copy of the package in PYTHONPATH."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from pargo.benchmarks import answer_modules, score_modules
from pargo.code import import_closure
from pargo.config.base import canonical_json
from pargo.config.experiment import Config, load_config
from pargo.graph import settings as stages
from pargo.manifest import code_hash
from pargo.sources.download import source_modules

STAGES = (
    *(
        "pargo.data.selection.fingerprint",
        "pargo.data.selection.select",
        "pargo.captions.build",
        "pargo.captions.filter",
    ),
    *("pargo.models.features", "pargo.train.pretrain", "pargo.train.finetune", "pargo.benchmarks.mmvet.grade"),
    *("pargo.report.attention", "pargo.report.tables", "pargo.report.figures", "pargo.report.captions"),
    "pargo.report.page",
)


def settings(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each job reads, by the job's name."""
    for source in config.sources:
        yield f"download {source}", stages.download(config, source)
    for dataset in config.datasets:
        for function in (stages.select, stages.caption, stages.filter_captions, stages.report_captions):
            yield f"{function.__name__} {dataset}", function(config, dataset)
    for arm in config.arms:
        yield f"attention {arm}", stages.attention(config, arm)
        for train in (stages.pretrain, stages.finetune):
            yield f"{train.__name__} {arm}", train(config, arm, config.seeds[0])
        for benchmark in config.benchmarks:
            yield f"evaluate {arm} {benchmark}", stages.evaluate(config, arm, benchmark)
    for benchmark in config.benchmarks:
        yield f"score {benchmark}", stages.score(config, benchmark)
        yield f"grade {benchmark}", stages.grade(config, benchmark)
    yield "report", stages.report(config)


def modules(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where each job's code begins."""
    for source in config.sources:
        made = stages.download(config, source)
        yield f"download {source}", source_modules(made["source"], made["pin"])
    for name, benchmark in config.benchmarks.items():
        yield f"evaluate {name}", answer_modules(benchmark.kind)
        yield f"score {name}", score_modules(benchmark.kind)
    yield from ((name, (name,)) for name in STAGES)


def snapshot(paths: list[str]) -> dict[str, dict[str, str]]:
    """`code` and `settings` of all jobs of the configs."""
    found: dict[str, dict[str, str]] = {"code": {}, "settings": {}}
    for path in paths:
        config = load_config(path)
        found["code"] |= {f"{path} {job}": code_hash(import_closure(*names)) for job, names in modules(config)}
        found["settings"] |= {f"{path} {job}": canonical_json(value) for job, value in settings(config)}
    return found


if __name__ == "__main__":
    json.dump(snapshot(sys.argv[1:]), sys.stdout)
