"""Answers of a model from stored features, by greedy or beam search, for prompts of different lengths at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
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
    images: Sequence[int] | None = None,
    is_decided: Callable[[int, list[int]], bool] | None = None,
) -> list[list[int]]:
    """Greedy or beam search without sampling, in evaluation mode.

    An image that several prompts begin with is read once, unless beams are searched.

    Args:
        model: answers on the device it is on.
        features: [I, N, Dv].
        prompts: B lists of token ids with one `IMAGE` placeholder each, of any lengths.
        max_new_tokens: length limit of an answer.
        num_beams: 1 is greedy.
        stop_ids: tokens that end an answer.
        images: which of the I images each prompt is about; by default each has its own.
        is_decided: of a row's number and its token ids so far; true ends the answer. Not asked with beams, where an
            answer that leads may be overtaken.

    Raises:
        InputError: no prompt, another number of images, or a prompt without its one placeholder.

    Returns:
        B lists of token ids, without the prompt and without the stop token.
    """
    if not prompts:
        raise InputError("expected at least one prompt, got none")
    images = range(len(features)) if images is None else images
    if len(prompts) != len(images):
        raise InputError(f"{len(prompts)} prompts for {len(images)} images")
    if other := [index for index, prompt in enumerate(prompts) if list(prompt).count(IMAGE) != 1]:
        raise InputError(f"prompt(s) {other} do not have exactly one image placeholder")
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
        # where nothing follows an image, its last token has to be read after the others
        if num_beams == 1 and all(prompt[0] == IMAGE and len(prompt) > 1 for prompt in prompts):
            inputs = _after_images(model, features, prompts, images)
        else:
            inputs = _with_images(model, features[list(images)], prompts)
        start = inputs["input_ids"].shape[1]
        stop = _Decided(is_decided, start, stop_ids) if is_decided and num_beams == 1 else None
        criteria = StoppingCriteriaList([stop] if stop else [])
        answers = model.generate(**inputs, generation_config=settings, stopping_criteria=criteria)[:, start:].tolist()
    finally:
        model.train(training)
    lengths = stop.lengths if stop else {}
    return [_until(answer[: lengths.get(row)], stop_ids) for row, answer in enumerate(answers)]


class _Decided(StoppingCriteria):
    """Ends the rows of a batch whose answer `is_decided`; `lengths` says where, as the batch goes on with padding."""

    def __init__(self, is_decided: Callable[[int, list[int]], bool], start: int, stop_ids: Sequence[int]) -> None:
        self.is_decided, self.start, self.stop_ids = is_decided, start, stop_ids
        self.lengths: dict[int, int] = {}

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        for row, ids in enumerate(input_ids[:, self.start :].tolist()):
            if row not in self.lengths and self.is_decided(row, _until(ids, self.stop_ids)):
                self.lengths[row] = len(ids)
        return torch.tensor([row in self.lengths for row in range(len(input_ids))], device=input_ids.device)


def _with_images(
    model: PargoForConditionalGeneration, features: Tensor, prompts: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Inputs of transformers' `generate` with an image of its own in every prompt."""
    image = [model.config.image_token_id] * model.projector.num_tokens
    input_ids, attention_mask = _pad([expand_images(prompt, image) for prompt in prompts], features.device)
    encoded = {"image": BaseModelOutputWithPooling(pooler_output=model.project(features))}
    return {"input_ids": input_ids, "attention_mask": attention_mask, "mm_encoder_outputs": encoded}


def _after_images(
    model: PargoForConditionalGeneration, features: Tensor, prompts: Sequence[Sequence[int]], images: Sequence[int]
) -> dict[str, Any]:
    """Inputs of transformers' `generate` with the images in the cache already: each is read once, and copied there."""
    tokens = model.project(features)
    cache = model.get_decoder()(inputs_embeds=tokens, use_cache=True).cache
    cache.batch_select_indices(torch.tensor(images, device=features.device))
    input_ids, attention_mask = _pad([prompt[1:] for prompt in prompts], features.device)
    # ids of what is in the cache are not looked at
    before = input_ids.new_zeros(len(prompts), tokens.shape[1])
    return {
        "input_ids": torch.cat([before, input_ids], 1),
        "attention_mask": torch.cat([torch.ones_like(before), attention_mask], 1),
        "cache": cache,
    }


def _pad(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids [B, L] with padding in front, so that prompts end together, and the mask [B, L] of what is none."""
    length = max(map(len, rows))
    input_ids = torch.tensor([[0] * (length - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=device)
    return input_ids, mask


def _until(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    end = next((index for index, token in enumerate(ids) if token in stop_ids), len(ids))
    return ids[:end]
