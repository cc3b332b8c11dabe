"""The loss: a sum over supervised tokens, to be divided by their number in the whole optimizer step.

Dividing by the global count makes the loss and its gradient independent of how the step is split over micro-batches
and ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pargo.data.template import IGNORE_INDEX
from pargo.models.vlm import PargoModel
from pargo.train.batch import Batch, Sample, collate


def summed_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross-entropy over the supervised positions, float32 scalar.

    Only supervised positions reach the output layer: most of a conversation is questions, and the vocabulary is the
    largest matrix of a small language model.

    Args:
        hidden: [B, L, D]; position i predicts label i.
        weight: of the output layer, [V, D].
        labels: [B, L], `IGNORE_INDEX` where not supervised.
    """
    supervised = labels != IGNORE_INDEX
    # summed by us in float32: in bf16 a sum of hundreds keeps only two or three digits
    losses = F.linear_cross_entropy(hidden[supervised], weight, labels[supervised], reduction="none")
    return losses.float().sum()


class Objective(nn.Module):
    """A vision-language model whose forward pass is its summed loss; what the DeepSpeed engine trains."""

    def __init__(self, model: PargoModel) -> None:
        super().__init__()
        self.model = model

    @property
    def head(self) -> nn.Parameter:
        """Weight [V, D] of the output layer."""
        return self.model.language_model.get_output_embeddings().weight

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """A batch as this model takes it."""
        tokens = self.model.projector.num_tokens
        return collate(samples, num_image_tokens=tokens, image_token_id=self.model.config.image_token_id)

    def forward(self, batch: Batch) -> Tensor:
        """Summed loss of a batch, float32 scalar."""
        # the last token predicts nothing
        embeddings = self.model.embed(batch.input_ids[:, :-1], self.model.project(batch.features))
        hidden = self.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        return summed_cross_entropy(hidden, self.head, batch.labels[:, 1:])
