"""What each job reads of the config.

The canonical JSON of what the function with a stage's name gives is the `--settings` of the job's command, all that it
knows of the config, and is compared with the record of what it made (`pargo/made.py`). Each stage declares the same
fields as a typed class of its own.

A record holds which artifacts were read, and not as what. Where several of one kind are read, their names are in the
settings too, so that two that are exchanged differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pargo.config.experiment import Config
from pargo.config.projectors import ProjectorSettings
from pargo.config.sources import LocalSource
from pargo.config.training import Train
from pargo.fetch.table import wheel, without_remarks
from pargo.report.settings import in_reading_order
from pargo.sources.needed import source_downloads


def settings_of(config: Config, stage: str, wildcards: Mapping[str, Any]) -> dict[str, Any]:
    """What a job reads of the config.

    Args:
        config: the whole of it.
        stage: its name in `pargo.stages`.
        wildcards: what tells the stage's jobs apart, by name; others than the stage needs are left alone.
    """
    function = globals()[stage]
    names = list(inspect.signature(function).parameters)[1:]
    return function(config, **{name: int(wildcards[name]) if name == "seed" else wildcards[name] for name in names})


def download(config: Config, source: str) -> dict[str, Any]:
    chosen = config.sources[source]
    pin = without_remarks(wheel(source)) if chosen.kind == "wheel" else None
    rows = {name: without_remarks(row) for name, row in source_downloads(chosen).items()}
    if isinstance(chosen, LocalSource):
        chosen = chosen.model_copy(update={"estimate": None})  # a better guess is no other source
    return {"id": source, "source": chosen, "pin": pin, "downloads": rows}


def fingerprint(config: Config, split: str) -> dict[str, Any]:
    return {"split": split}


def select(config: Config, dataset: str) -> dict[str, Any]:
    chosen = config.datasets[dataset]
    return {"source": chosen.source, "split": chosen.split, "selection": chosen.selection or config.selection}


def caption(config: Config, dataset: str) -> dict[str, Any]:
    chosen = config.datasets[dataset]
    return {"split": chosen.split, "captions": chosen.captions or config.captions}


def filter(config: Config, dataset: str) -> dict[str, Any]:
    chosen = config.datasets[dataset]
    return {"split": chosen.split, "quality": chosen.quality or config.quality}


def features(config: Config, split: str) -> dict[str, Any]:
    # projectors whiten, the tower does not
    return {"split": split, "vision": config.vision.model_copy(update={"whiten": False})}


def warm_up(config: Config) -> dict[str, Any]:
    mixture = config.language.warm_up.mixture if config.language.warm_up else {}
    attention = "eager" if config.language.attention == "eager" else "auto"  # it knows no other ways
    return {"language": config.language.model_copy(update={"attention": attention})} | _datasets(config, mixture)


def pretrain(config: Config, arm: str, seed: int) -> dict[str, Any]:
    return _model(config, arm) | _training(config, config.arms[arm].pretrain, seed)


def finetune(config: Config, arm: str, seed: int) -> dict[str, Any]:
    train = config.arms[arm].finetune
    shuffled = tuple(name for name in train.mixture if config.datasets[name].shuffle_turns)
    return _model(config, arm) | _training(config, train, seed) | {"shuffle_turns": shuffled}


def evaluate(config: Config, arm: str, benchmark: str) -> dict[str, Any]:
    experiment, generation = config.arms[arm], config.arms[arm].generation
    lora = getattr(experiment, config.benchmarks[benchmark].asked_model).lora
    if generation.precision == config.language.precision:
        generation = generation.model_copy(update={"precision": None})  # which means the same
    return _model(config, arm) | {
        "benchmark": config.benchmarks[benchmark].ungraded,
        "lora": lora and lora.adapter,
        "generation": generation,
    }


def score(config: Config, benchmark: str) -> dict[str, Any]:
    return {"benchmark": config.benchmarks[benchmark].ungraded, "bootstrap_samples": config.report.bootstrap_samples}


def grade(config: Config, benchmark: str) -> dict[str, Any]:
    return {"judge": config.benchmarks[benchmark].grader}


def attention(config: Config, arm: str) -> dict[str, Any]:
    split = config.benchmarks[in_reading_order(config.benchmarks)[0]].split
    return {
        "vision": config.vision,
        "projector": _projector(config, arm),
        "split": split,
        "count": config.report.attention_images,
    }


def report_captions(config: Config, dataset: str) -> dict[str, Any]:
    return {"config": config.name, "dataset": dataset, **caption(config, dataset)}


def report(config: Config) -> dict[str, Any]:
    return {
        "config": config.name,
        "seeds": config.seeds,
        "vision": config.vision,
        "language": config.language,
        "projectors": {name: _projector(config, name) for name in config.arms},
        "benchmarks": config.benchmarks,
        "report": config.report,
    }


report_training = report_answers = report_tables = report_figures = report_page = report


def _projector(config: Config, arm: str) -> ProjectorSettings:
    return config.arms[arm].projector.as_by_default(config.vision.num_patches)


def _training(config: Config, train: Train, seed: int) -> dict[str, Any]:
    return {"seed": seed, "train": train} | _datasets(config, train.mixture)


def _datasets(config: Config, mixture: Iterable[str]) -> dict[str, Any]:
    datasets = {name: config.datasets[name] for name in mixture}
    sources = {name: dataset.source for name, dataset in datasets.items()}
    return {"sources": sources, "splits": {name: dataset.split for name, dataset in datasets.items()}}


def _model(config: Config, arm: str) -> dict[str, Any]:
    return {"vision": config.vision, "language": config.language, "projector": _projector(config, arm)}
