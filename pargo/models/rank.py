"""How likely a model finds given answers: the loss of each option's text after its question."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pargo.data.template import expand_images
from pargo.errors import InputError
from pargo.models.vlm import PargoForConditionalGeneration


def option_losses(
    model: PargoForConditionalGeneration,
    features: Tensor,
    prompts: Sequence[Sequence[int]],
    options: Sequence[Sequence[int]],
) -> list[float]:
    """Sum of the cross entropies, in nats, of the tokens of each option after its prompt; see `token_losses`."""
    return [loss.sum().item() for loss in token_losses(model, features, prompts, options)]


@torch.inference_mode()
def token_losses(
    model: PargoForConditionalGeneration,
    features: Tensor,
    prompts: Sequence[Sequence[int]],
    options: Sequence[Sequence[int]],
) -> list[Tensor]:
    """Cross entropy, in nats, of each token of each option after its prompt, in float64 [tokens of the option].

    Args:
        model: on the device it is on; its mode is left as it is found.
        features: [B, N, Dv], of each prompt's image.
        prompts: B lists of token ids with one `IMAGE` placeholder each.
        options: B lists of token ids that may follow, none of them empty.

    Raises:
        InputError: different numbers of prompts, options and images, or an empty option.
    """
    if not len(prompts) == len(options) == len(features):
        raise InputError(f"{len(prompts)} prompts and {len(options)} options for {len(features)} images")
    if empty := [index for index, option in enumerate(options) if not option]:
        raise InputError(f"option(s) {empty} have no token")
    image = [model.config.image_token_id] * model.projector.num_tokens
    rows = [[*expand_images(prompt, image), *option] for prompt, option in zip(prompts, options, strict=True)]
    length = max(map(len, rows))
    device = features.device
    # padded on the right: nothing sees it, and positions stay those of the text
    input_ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=device)
    training = model.training
    model.eval()
    try:
        embeddings = model.embed(input_ids, model.project(features))
        hidden = model.get_decoder()(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
        # the state before a token predicts it
        states = torch.cat(
            [hidden[i, len(row) - len(option) - 1 : len(row) - 1] for i, (row, option) in _pairs(rows, options)]
        )
        logits = model.get_output_embeddings()(states).float()
    finally:
        model.train(training)
    targets = torch.tensor([token for option in options for token in option], device=device)
    losses = F.cross_entropy(logits, targets, reduction="none").split([len(option) for option in options])
    return [loss.double() for loss in losses]


def _pairs(
    rows: Sequence[Sequence[int]], options: Sequence[Sequence[int]]
) -> enumerate[tuple[Sequence[int], Sequence[int]]]:
    return enumerate(zip(rows, options, strict=True))
