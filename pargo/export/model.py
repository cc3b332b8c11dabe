"""A model directory, its language model and its vision tower put together: one transformers directory without LoRA."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from pargo.data.pieces import IMAGE_TOKEN
from pargo.data.template import stop_ids
from pargo.errors import PargoError
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
        PargoError: weights that do not fit, or a language model whose logits change.
    """
    tokenizer = load_tokenizer(language)
    exact = settings.language.model_copy(update={"precision": "fp32", "attention": "sdpa"})
    trained = build_model(PargoModel, settings.vision, exact, settings.projector, settings.lora, language, seed=0)
    load_own_weights(trained, weights)
    rows = trained.get_input_embeddings().num_embeddings
    before = probe(trained.language_model.eval(), rows)
    language_model = merge_lora(trained.language_model)
    processor = PargoProcessor(
        PargoImageProcessor.for_tower(settings.vision, vision),
        add_image_token(tokenizer, language_model),
        num_image_tokens=trained.projector.num_tokens,
        chat_template=CHAT_TEMPLATES[settings.template],
    )
    check_same(before, probe(language_model, rows), "with its adapters merged and <image> added")
    config = PargoConfig(
        vision_config=vision_config(settings.vision),
        text_config=deepcopy(language_model.config),
        projector_config=settings.projector.model_dump(mode="json"),
        image_token_id=processor.image_token_id,
    )
    for parameter in language_model.parameters():
        parameter.data = parameter.data.to(dtype)  # not buffers: rotary frequencies are float32 when it is loaded, too
    parts = Parts(language_model, trained.projector, load_vision_tower(settings.vision, vision))
    model = PargoForConditionalGeneration(config, parts)
    model.generation_config = GenerationConfig(
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
        eos_token_id=stop_ids(tokenizer) if settings.template == "compact" else tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[processor.image_token_id],
    )
    return model.eval().requires_grad_(False), processor


@torch.inference_mode()
def probe(language_model: PreTrainedModel, rows: int) -> Tensor:
    """Logits [1, 16, rows], float32, of a fixed text of tokens below `rows`."""
    ids = torch.randint(0, rows, (1, 16), generator=torch.Generator().manual_seed(0))
    return language_model(input_ids=ids.to(language_model.device)).logits[..., :rows].float().cpu()


def check_same(before: Tensor, after: Tensor, what: str) -> None:
    """Raise PargoError where logits differ by more than the rounding of a different order of sums."""
    difference, spread = (before - after).abs().max().item(), before.std().item()
    if not difference <= 1e-3 * spread:
        raise PargoError(
            f"the language model {what} answers differently: logits move by {difference:.3g} where their standard "
            f"deviation is {spread:.3g}; nothing is written"
        )


def merge_lora(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters added to its weights, and without adapters; in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    return model


def add_image_token(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> PreTrainedTokenizerBase:
    """The tokenizer with `<image>`, and room for it in the model's embeddings (zeros: they are never read).

    Raises:
        PargoError: the new token gets the id of another one, since the tokenizer's ids have gaps.
    """
    taken = {index: token for token, index in tokenizer.get_vocab().items() if token != IMAGE_TOKEN}
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]}, replace_extra_special_tokens=False)
    number = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    if number in taken:
        raise PargoError(f"the tokenizer's ids have gaps: {IMAGE_TOKEN} would get {number}, which is {taken[number]!r}")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    old = model.get_input_embeddings().num_embeddings
    if number >= old:
        model.resize_token_embeddings(number + 1, mean_resizing=False)
        with torch.no_grad():
            for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
                embeddings.weight[old:] = 0
    return tokenizer
