"""Stage `pretrain`: the projector learns from captions; encoder and language model are frozen (the paper's stage 1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pargo.config.base import Settings
from pargo.config.models import Language, Vision
from pargo.config.projectors import Projector
from pargo.config.training import Pretrain
from pargo.data.feature_store import FeatureStore
from pargo.models.build import build_model
from pargo.models.language import load_tokenizer
from pargo.models.vlm import PargoModel
from pargo.train.data import CaptionDataset, TrainingData
from pargo.train.sampler import seed_of
from pargo.train.stage import run_training


class PretrainSettings(Settings):
    """What this stage reads."""

    seed: int
    vision: Vision
    language: Language
    projector: Projector
    train: Pretrain


def run(
    settings: PretrainSettings,
    language: Path,
    captions: Mapping[str, Path],
    features: Mapping[str, Path],
    output: Path,
    run_directory: Path,
) -> None:
    """Train a new projector (and LoRA, where `train.lora` asks for it) on captions.

    Args:
        settings: of the stage.
        language: directory of the language model.
        captions: dataset name -> caption artifact.
        features: dataset name -> feature artifact of its images.
        output: artifact directory to publish (`model.safetensors`, `config.json`, `metrics.jsonl`).
        run_directory: checkpoints and timings.
    """
    train = settings.train

    def prepare() -> tuple[PargoModel, TrainingData]:
        tokenizer = load_tokenizer(language)
        texts = {name: CaptionDataset(captions[name], tokenizer) for name in train.mixture}
        stores = {name: FeatureStore(features[name]) for name in train.mixture}
        data = TrainingData(seed_of(settings.seed, "pretrain"), train.mixture, texts, stores)
        adapter = None if train.lora is None else train.lora.adapter
        model = build_model(
            PargoModel, settings.vision, settings.language, settings.projector, adapter, language, settings.seed
        )
        return model, data

    run_training(
        settings,
        train,
        train.lora,
        prepare,
        seed=settings.seed,
        module="pargo.train.pretrain",
        inputs=[language, *captions.values(), *dict.fromkeys(features.values())],
        output=output,
        run_directory=run_directory,
    )
