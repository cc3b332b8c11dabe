"""The loss: a sum over supervised tokens, to be divided by their number in the whole optimizer step.

Dividing by the global count makes the loss and its gradient independent of how the step is split over micro-batches
and ranks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from pargo.data.template import IGNORE_INDEX
from pargo.errors import PargoError
from pargo.models.fused import FusedLlama
from pargo.models.vlm import PargoModel
from pargo.train.batch import Batch


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


class Objective(nn.Module):
    """A vision-language model whose forward pass is its summed loss; what the DeepSpeed engine trains.

    Args:
        model: in training mode, without its vision tower.
        fused: compute the language model with `FusedLlama`.
        recompute: keep only each layer's input for the backward pass.
    """

    def __init__(self, model: PargoModel, *, fused: bool, recompute: bool = False) -> None:
        super().__init__()
        _check_logits(model.language_model)
        self.model = model
        self._fused = FusedLlama(model.get_decoder(), recompute=recompute) if fused else None
        if recompute and not fused:
            model.get_decoder().gradient_checkpointing_enable({"use_reentrant": False})

    @property
    def head(self) -> nn.Parameter:
        """Weight [V, D] of the output layer."""
        return self.model.language_model.get_output_embeddings().weight

    def forward(self, batch: Batch) -> Tensor:
        """Summed loss of a batch, float32 scalar."""
        embeddings = self.model.embed(batch.input_ids, self.model.project(batch.images.float()))
        labels = batch.labels.flatten()
        supervised = (labels != IGNORE_INDEX).nonzero().squeeze(1)
        # a pass without any still takes part in everything that ranks do together, and adds zero
        rows = supervised if len(supervised) else supervised.new_zeros(1)
        if self._fused is not None:
            hidden = self._fused(embeddings.flatten(0, 1), batch.segments, rows)
        else:
            output = self.model(inputs_embeds=embeddings, position_ids=batch.position_ids, use_cache=False)
            hidden = output.last_hidden_state.flatten(0, 1)[rows]
        if not len(supervised):
            return hidden.float().sum() * 0.0
        return summed_cross_entropy(hidden, self.head, labels[rows])


def _check_logits(language_model: PreTrainedModel) -> None:
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
def check_packing(model: PargoModel) -> None:
    """Try whether a sample sees the one that is packed before it.

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
        raise PargoError(
            f"language model {type(model.language_model).__name__} lets a sample see the one packed before it: set "
            "packing: false"
        )
