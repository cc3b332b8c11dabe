"""The cross-entropy of a language model's supervised tokens, and what a language model must be like for it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from pargo.errors import PargoError


def summed_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross-entropy, float32 scalar.

    Args:
        hidden: [R, D] of the supervised positions only: most of a conversation is questions, and the vocabulary is the
            largest matrix of a small language model.
        weight: of the output layer, [V, D].
        labels: [R].
    """
    # In chunks, so that never all logits exist at once, where there are more than chunks pay for (torch's own advice).
    options = nn.LinearCrossEntropyOptions() if len(hidden) >= hidden.shape[1] else None
    # summed by us in float32: in bf16 a sum of hundreds keeps only two or three digits
    return F.linear_cross_entropy(hidden, weight, labels, reduction="none", options=options).float().sum()


def check_logits(language_model: PreTrainedModel) -> None:
    """Raise PargoError where logits are more than products with the output layer: the loss would be another."""
    config = language_model.config
    found = [
        f"{name} {value}"
        for name in ("final_logit_softcapping", "logit_scale", "logits_scaling")
        if (value := getattr(config, name, None)) not in (None, 1)
    ]
    if getattr(language_model.get_output_embeddings(), "bias", None) is not None:
        found.append("a bias of the output layer")
    if found:
        raise PargoError(
            f"language model {type(language_model).__name__} changes its logits by {', '.join(found)}, which this "
            "training's loss does not do: it would train for other numbers than evaluation sees"
        )


@torch.no_grad()
def check_packing(model: PreTrainedModel) -> None:
    """Try whether a sample sees the one that is packed before it.

    Args:
        model: a language model, or one that has one.

    Raises:
        PargoError: it does, because the language model does not read `position_ids` as the places where samples begin.
    """
    was_training = model.training
    model.eval()
    ids = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8], [4, 3, 2, 1, 5, 6, 7, 8]])
    embedding = model.get_input_embeddings()
    places = torch.arange(4).repeat(2).unsqueeze(0).to(embedding.weight.device)
    first, second = (
        model.get_decoder()(
            inputs_embeds=embedding(row.unsqueeze(0).to(embedding.weight.device) % len(embedding.weight)),
            position_ids=places,
            use_cache=False,
        ).last_hidden_state[:, 4:]
        for row in ids
    )
    model.train(was_training)
    if (first - second).abs().max() > 1e-2 * first.abs().max():
        name = type(getattr(model, "language_model", model)).__name__
        raise PargoError(f"language model {name} lets a sample see the one packed before it: set packing: false")
