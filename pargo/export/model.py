"""A model directory, its language model and its vision tower put together: one transformers directory without LoRA."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from pargo.data.pieces import IMAGE_TOKEN
from pargo.data.template import stop_ids
from pargo.export.chat_templates import CHAT_TEMPLATES
from pargo.export.settings import ModelSettings
from pargo.models.build import build_model, load_own_weights
from pargo.models.configuration import PargoConfig
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.language import load_tokenizer
from pargo.models.processor import PargoProcessor
from pargo.models.vision import load_vision_tower, vision_config
from pargo.models.vlm import PargoForConditionalGeneration, PargoModel, Parts

MAX_NEW_TOKENS = 64  # of an answer, where a caller says nothing else


def assemble(
    settings: ModelSettings, weights: Path, language: Path, vision: Path, dtype: torch.dtype
) -> tuple[PargoForConditionalGeneration, PargoProcessor]:
    """The complete model and its processor.

    Args:
        settings: of the model directory.
        weights: the model directory.
        language: directory of the language model.
        vision: directory of the vision tower.
        dtype: of the language model; LoRA is added to its weights in float32 and rounded once. Tower and projector
            stay float32.

    Raises:
        PargoError: weights that do not fit.
    """
    exact = settings.language.model_copy(update={"precision": "fp32", "attention": "sdpa"})
    trained = build_model(PargoModel, settings.vision, exact, settings.projector, settings.lora, language, seed=0)
    load_own_weights(trained, weights)
    language_model = merge_lora(trained.language_model)
    tokenizer = load_tokenizer(language)
    processor = PargoProcessor(
        PargoImageProcessor.for_tower(settings.vision, vision),
        add_image_token(tokenizer, language_model),
        num_image_tokens=trained.projector.num_tokens,
        chat_template=CHAT_TEMPLATES[settings.template],
    )
    config = PargoConfig(
        vision_config=vision_config(settings.vision),
        text_config=deepcopy(language_model.config),
        projector_config=settings.projector.model_dump(mode="json"),
        image_token_id=processor.image_token_id,
    )
    parts = Parts(language_model.to(dtype), trained.projector, load_vision_tower(settings.vision, vision))
    model = PargoForConditionalGeneration(config, parts)
    model.generation_config = GenerationConfig(
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
        eos_token_id=stop_ids(tokenizer) if settings.template == "compact" else tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[processor.image_token_id],
    )
    return model.eval().requires_grad_(False), processor


def merge_lora(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters added to its weights, and without adapters; in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    return model


def add_image_token(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> PreTrainedTokenizerBase:
    """The tokenizer with `<image>`, and room for it in the model's embeddings (zeros: they are never read)."""
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]}, replace_extra_special_tokens=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    old = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > old:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        with torch.no_grad():
            for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
                embeddings.weight[old:] = 0
    return tokenizer
