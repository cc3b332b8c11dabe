"""Makes the model known to transformers: after `import pargo.models.auto`, its Auto classes and pipelines load it."""

from __future__ import annotations

import transformers
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from pargo.models.configuration import PargoConfig
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.processor import PargoProcessor
from pargo.models.vlm import PargoForConditionalGeneration, PargoModel

__all__ = [
    "PargoConfig",
    "PargoForConditionalGeneration",
    "PargoImageProcessor",
    "PargoModel",
    "PargoProcessor",
]

AutoConfig.register("pargo", PargoConfig, exist_ok=True)
AutoModel.register(PargoConfig, PargoModel, exist_ok=True)
AutoModelForImageTextToText.register(PargoConfig, PargoForConditionalGeneration, exist_ok=True)
AutoImageProcessor.register(PargoConfig, image_processor_classes={"pil": PargoImageProcessor}, exist_ok=True)
AutoProcessor.register(PargoConfig, PargoProcessor, exist_ok=True)
# `transformers serve` looks a class up by its name, in these two places
MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES["pargo"] = PargoForConditionalGeneration.__name__
transformers.PargoForConditionalGeneration = PargoForConditionalGeneration
