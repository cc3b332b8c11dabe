"""Answers of a model from stored features: the most likely ones, for prompts of different lengths at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pargo.data.template import IMAGE, expand_images
from pargo.errors import InputError
from pargo.models.vlm import PargoForConditionalGeneration


@torch.inference_mode()
def generate(
    model: PargoForConditionalGeneration,
    features: Tensor,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    num_beams: int = 1,
    stop_ids: Sequence[int] = (),
) -> list[list[int]]:
    """Greedy or beam search without sampling, in evaluation mode.

    Args:
        model: answers on the device it is on.
        features: [B, N, Dv], of one image for each prompt.
        prompts: B lists of token ids with one `IMAGE` placeholder each, of any lengths.
        max_new_tokens: length limit of an answer.
        num_beams: 1 is greedy.
        stop_ids: tokens that end an answer.

    Raises:
        InputError: no prompt, another number of images, or a prompt without its one placeholder.

    Returns:
        B lists of token ids, without the prompt and without the stop token.
    """
    if not prompts:
        raise InputError("expected at least one prompt, got none")
    if len(prompts) != len(features):
        raise InputError(f"{len(prompts)} prompts for {len(features)} images")
    if other := [index for index, prompt in enumerate(prompts) if list(prompt).count(IMAGE) != 1]:
        raise InputError(f"prompt(s) {other} do not have exactly one image placeholder")
    image = [model.config.image_token_id] * model.projector.num_tokens
    rows = [expand_images(prompt, image) for prompt in prompts]
    length = max(map(len, rows))
    # padding comes first, so that prompts end together
    input_ids = torch.tensor([[0] * (length - len(row)) + row for row in rows], device=features.device)
    attention_mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=features.device)
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        num_beams=num_beams,
        do_sample=False,
        eos_token_id=list(stop_ids) or None,
        pad_token_id=stop_ids[0] if stop_ids else 0,
    )
    training = model.training
    model.eval()
    try:
        answers = model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=model.project(features))},
            generation_config=settings,
        )
    finally:
        model.train(training)
    return [_until(answer[length:], stop_ids) for answer in answers.tolist()]


def _until(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    end = next((index for index, token in enumerate(ids) if token in stop_ids), len(ids))
    return ids[:end]
