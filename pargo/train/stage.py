"""What both training stages share around the loop: process group, threads, hash of the run, publication."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import distributed

from pargo.code import import_closure
from pargo.config.base import Settings, canonical_json
from pargo.config.models import Language, LoRA, Vision
from pargo.config.training import Train
from pargo.data.feature_store import FeatureStore
from pargo.data.images import open_images
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.vlm import PargoModel
from pargo.train.checkpoint import Checkpoints, spec_of
from pargo.train.data import ImageStore, Pixels, TrainingData
from pargo.train.determinism import be_deterministic
from pargo.train.engine import start_process_group
from pargo.train.loop import Trained, find_start, say, train_model


def run_training(
    settings: Settings,
    train: Train,
    lora: LoRA | None,
    language: Language,
    prepare: Callable[[Language], tuple[PargoModel, TrainingData]],
    *,
    seed: int,
    modules: Sequence[str],
    inputs: Sequence[Path],
    output: Path,
    run_directory: Path,
    begin: Callable[[PargoModel, TrainingData], None] | None = None,
) -> None:
    """Train and publish `model.safetensors`, `config.json` and `metrics.jsonl` as the artifact `output`.

    Args:
        settings: of the stage; written to `config.json`.
        train, lora, language: the parts of them that the loop reads.
        prepare: makes the model and the data, with the number of threads already set; a training that goes on, maybe on
            another machine, computes its language model as it began, whatever would be fastest there.
        seed: of the run.
        modules: of the stage, which is called as the first of them, and of what it loads by name; their import closure
            is the code of the artifact.
        inputs: artifact directories that are read.
        output: where to publish.
        run_directory: checkpoints and timings; the checkpoints go when the artifact is published.
        begin: what comes before the first step, and is not repeated by a training that goes on.

    Raises:
        PargoError: an input does not exist, or the training failed.
    """
    code, given = import_closure(*modules), json.loads(canonical_json(settings))
    rule = modules[0].rpartition(".")[2]
    # loaded by name: one more setting in the table is no other code of a training
    table = import_module("pargo.no_effect")
    how, what = table.how_and_what(rule, given)  # with another `how` a run may go on
    spec = spec_of(what, inputs, code)

    def goes_on(before: Mapping[str, Any]) -> bool:
        others = [path for path, now in how.items() if before.get(path) != now]
        return all(table.is_free(rule, path, before.get(path), how[path], given, strict=True) for path in others)

    torch.set_num_threads(train.num_threads)
    be_deterministic(train.deterministic)
    rank, _ = start_process_group()
    checkpoints = Checkpoints(
        run_directory / "checkpoints", spec, keep=train.keep_checkpoints, warn=say, how=how, goes_on=goes_on
    )
    checkpoint = find_start(checkpoints)
    if checkpoint is not None:
        language = language.model_copy(update=checkpoint.computed)

    def work() -> Trained:
        model, data = prepare(language)
        if begin is not None and checkpoint is None:
            begin(model, data)
        return train_model(
            model,
            data,
            train,
            lora,
            language.attention,
            seed=seed,
            checkpoints=checkpoints,
            checkpoint=checkpoint,
            run_directory=run_directory,
        )

    if rank:
        work()
        distributed.barrier()
        return
    measured: dict[str, Any] = {}
    with publish(output, settings=settings, inputs=inputs, code=code, measured=measured) as directory:
        trained = work()
        measured |= trained.computed
        if trained.cut:
            measured["cut"] = {name: cut._asdict() for name, cut in trained.cut.items()}
        save_file(trained.weights, directory / "model.safetensors")
        (directory / "config.json").write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (directory / "metrics.jsonl").write_text("".join(trained.metrics), encoding="utf-8")
    shutil.rmtree(run_directory / "checkpoints", ignore_errors=True)
    if distributed.get_world_size() > 1:
        distributed.barrier()
    print(f"published {output}", flush=True)


def image_stores(
    train: Train,
    vision: Vision,
    features: Mapping[str, Path],
    images: Mapping[str, tuple[Path, str]],
    tower: Path | None,
) -> dict[str, ImageStore]:
    """What the model reads of each dataset's images.

    Args:
        train: `features` says whether they are stored or computed in the loop.
        vision: settings of the tower.
        features: dataset name -> stored features.
        images: dataset name -> source directory and split, for the loop.
        tower: weights of the tower, for the loop.

    Raises:
        PargoError: a directory that is needed was not given.
    """
    given: Mapping[str, object] = features if train.features == "stored" else images
    if absent := sorted(set(train.mixture) - set(given)):
        raise PargoError(f"train.features is {train.features}, but no directory was given for {', '.join(absent)}")
    if train.features == "stored":
        return {name: FeatureStore(features[name]) for name in train.mixture}
    if tower is None:
        raise PargoError(f"train.features is {train.features}, but no directory was given for the vision tower")
    processor = PargoImageProcessor.for_tower(vision, tower)
    return {name: Pixels(open_images(*images[name]), processor) for name in train.mixture}
