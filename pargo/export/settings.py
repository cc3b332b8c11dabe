"""What a model directory says about the model in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pargo.config.base import Settings
from pargo.config.models import Adapter, Language, Vision
from pargo.config.projectors import Projector
from pargo.config.words import explain_all
from pargo.errors import PargoError
from pargo.files import read_json
from pargo.train.finetune import FinetuneSettings

CONFIG = "config.json"
ORIGIN = "origin.json"  # of a converted checkpoint: its file name and sha256


class ModelSettings(Settings):
    """`config.json` of a model directory that was not trained here (`pargo convert-release`)."""

    vision: Vision
    language: Language
    projector: Projector
    lora: Adapter
    template: Literal["compact", "release"]


def read_model_settings(directory: Path) -> ModelSettings:
    """The settings of a fine-tuned or converted model.

    Raises:
        PargoError: there is no such model, or it is not fine-tuned.
    """
    path = directory / CONFIG
    data = read_json(path)
    try:
        if "train" not in data:
            return ModelSettings.model_validate_json(path.read_bytes())
        trained = FinetuneSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise PargoError(f"{path} is not that of a fine-tuned model: {explain_all(error)}") from None
    return ModelSettings(
        vision=trained.vision,
        language=trained.language,
        projector=trained.projector,
        lora=trained.train.lora.adapter,
        template="compact",
    )
