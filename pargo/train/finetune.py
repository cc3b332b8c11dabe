"""Stage `finetune`: projector and LoRA learn from multi-turn conversations (the paper's stage 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from pargo.config.base import Name, Settings
from pargo.config.models import Language, Vision
from pargo.config.projectors import Projector, projector_modules
from pargo.config.training import Finetune
from pargo.models.build import build_model, load_own_weights
from pargo.models.language import load_tokenizer
from pargo.models.vlm import PargoModel
from pargo.train.cut import check_room
from pargo.train.data import TrainingData
from pargo.train.sampler import seed_of
from pargo.train.stage import image_stores, run_training
from pargo.train.texts import ConversationDataset


class FinetuneSettings(Settings):
    """What this stage reads; `sources` and `splits` are those of the mixture's datasets, `shuffle_turns` names some."""

    seed: int
    vision: Vision
    language: Language
    projector: Projector
    train: Finetune
    sources: dict[Name, Name] = Field({})  # models that were trained before do not say
    splits: dict[Name, str]
    shuffle_turns: tuple[Name, ...]


def run(
    settings: FinetuneSettings,
    language: Path,
    pretrained: Path,
    sources: Mapping[str, Path],
    features: Mapping[str, Path],
    output: Path,
    run_directory: Path,
    vision: Path | None = None,
) -> None:
    """Train the pretrained projector and LoRA on the conversations of the sources.

    Args:
        settings: of the stage.
        language: directory of the language model.
        pretrained: artifact of the pretrain stage.
        sources: dataset name -> source directory.
        features: dataset name -> feature artifact of its images; empty when they are computed in the loop.
        output: artifact directory to publish (`model.safetensors`, `config.json`, `metrics.jsonl`).
        run_directory: checkpoints, timings and events.
        vision: weights of the vision tower, to compute features in the loop.
    """
    train = settings.train
    seed = seed_of(settings.seed, "finetune")

    def prepare(computed: Language) -> tuple[PargoModel, TrainingData]:
        tokenizer = load_tokenizer(language)
        texts = {
            name: ConversationDataset(
                sources[name] / settings.splits[name],
                tokenizer,
                name=name,
                seed=seed,
                max_turns=train.max_turns,
                shuffle=name in settings.shuffle_turns,
            )
            for name in train.mixture
        }
        shown = {name: (path, settings.splits[name]) for name, path in sources.items()}
        stores = image_stores(train, settings.vision, features, shown, vision)
        data = TrainingData(seed, train.mixture, texts, stores, skip_bad=train.on_bad_sample == "skip")
        check_room(data, train, settings.projector.num_image_tokens(settings.vision.num_patches))
        model = build_model(
            PargoModel,
            settings.vision,
            computed,
            settings.projector,
            train.lora.adapter,
            language,
            settings.seed,
            vision,
        )
        load_own_weights(model, pretrained, allow_missing_lora=True)
        return model, data

    run_training(
        settings,
        train,
        train.lora,
        settings.language,
        prepare,
        seed=settings.seed,
        modules=("pargo.train.finetune", *projector_modules(settings.projector.name)),
        inputs=[
            language,
            pretrained,
            *dict.fromkeys([*sources.values(), *features.values()]),
            *([vision] if vision else []),
        ],
        output=output,
        run_directory=run_directory,
    )
