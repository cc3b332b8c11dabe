"""The loss: a sum over supervised tokens, to be divided by their number in the whole optimizer step.

Dividing by the global count makes the loss and its gradient independent of how the step is split over micro-batches
and ranks.
"""

from __future__ import annotations

from torch import Tensor, nn

from pargo.data.template import IGNORE_INDEX
from pargo.models.fused import FusedLlama
from pargo.models.vlm import PargoModel
from pargo.train.batch import Batch
from pargo.train.cross_entropy import check_logits, summed_cross_entropy


class Objective(nn.Module):
    """A vision-language model whose forward pass is its summed loss; what the DeepSpeed engine trains.

    Args:
        model: in training mode, without its vision tower.
        fused: compute the language model with `FusedLlama`.
        recompute: keep only each layer's input for the backward pass.
    """

    def __init__(self, model: PargoModel, *, fused: bool, recompute: bool = False) -> None:
        super().__init__()
        check_logits(model.language_model)
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
