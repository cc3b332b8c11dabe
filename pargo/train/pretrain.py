"""Stage `pretrain`: the projector learns from captions; encoder and language model are frozen (the paper's stage 1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import Field

from pargo.config.base import Name, Settings
from pargo.config.models import Language, Vision
from pargo.config.projectors import Projector, projector_modules
from pargo.config.training import Pretrain
from pargo.models.build import build_model
from pargo.models.language import load_tokenizer
from pargo.models.vlm import PargoModel
from pargo.train.align import align
from pargo.train.cut import check_room
from pargo.train.data import TrainingData
from pargo.train.loop import say
from pargo.train.sampler import seed_of
from pargo.train.stage import image_stores, run_training
from pargo.train.texts import CaptionDataset

WHITENING_IMAGES = 400


class PretrainSettings(Settings):
    """What this stage reads; `sources` and `splits` are those of the datasets in the mixture."""

    seed: int
    vision: Vision
    language: Language
    projector: Projector
    train: Pretrain
    sources: dict[Name, Name] = Field({})  # models that were trained before do not say
    splits: dict[Name, str]


def run(
    settings: PretrainSettings,
    language: Path,
    captions: Mapping[str, Path],
    features: Mapping[str, Path],
    output: Path,
    run_directory: Path,
    images: Mapping[str, Path] | None = None,
    vision: Path | None = None,
) -> None:
    """Train a new projector (and LoRA, where `train.lora` asks for it) on captions.

    Args:
        settings: of the stage.
        language: directory of the language model.
        captions: dataset name -> caption artifact.
        features: dataset name -> feature artifact of its images; empty when they are computed in the loop.
        output: artifact directory to publish (`model.safetensors`, `config.json`, `metrics.jsonl`).
        run_directory: checkpoints, timings and events.
        images: dataset name -> source directory of its images, to compute features in the loop.
        vision: weights of the vision tower, likewise.
    """
    train, images = settings.train, images or {}

    def prepare(computed: Language) -> tuple[PargoModel, TrainingData]:
        tokenizer = load_tokenizer(language)
        texts = {name: CaptionDataset(captions[name], tokenizer) for name in train.mixture}
        shown = {name: (path, settings.splits[name]) for name, path in images.items()}
        stores = image_stores(train, settings.vision, features, shown, vision)
        order = seed_of(settings.seed, "pretrain")
        data = TrainingData(order, train.mixture, texts, stores, skip_bad=train.on_bad_sample == "skip")
        check_room(data, train, settings.projector.num_image_tokens(settings.vision.num_patches))
        adapter = None if train.lora is None else train.lora.adapter
        model = build_model(
            PargoModel, settings.vision, computed, settings.projector, adapter, language, settings.seed, vision
        )
        return model, data

    def begin(model: PargoModel, data: TrainingData) -> None:
        if model.projector.whitening is not None:
            images = [image for index in range(WHITENING_IMAGES) if (image := data.image(index)) is not None]
            model.projector.whitening.fit(torch.stack(images))
        if train.alignment:
            embeddings = model.get_input_embeddings().weight
            align(model.projector, load_tokenizer(language), embeddings, data, train.alignment, say)

    run_training(
        settings,
        train,
        train.lora,
        settings.language,
        prepare,
        seed=settings.seed,
        modules=("pargo.train.pretrain", *projector_modules(settings.projector.name)),
        inputs=[
            language,
            *captions.values(),
            *dict.fromkeys([*features.values(), *images.values()]),
            *([vision] if vision else []),
        ],
        output=output,
        run_directory=run_directory,
        begin=begin,
    )
