"""What all projectors share: what is frozen in front, the output Linear and its initialisation.

Every arm of a comparison gets the same input and the same output layer, so that only what is in between differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pargo.config.projectors import Projector
from pargo.errors import InputError
from pargo.models.projectors.parts.kernels import GeluLinear, Linear
from pargo.models.projectors.parts.recompute import keep_all
from pargo.models.projectors.parts.whitening import Whitening
from pargo.models.projectors.shape import ProjectorShape

INITIALIZER_STD = 0.02
FRONT = ("whitening.", "input_norm.")  # names of what is frozen


@dataclass(frozen=True)
class Attentions:
    """Attention probabilities of a projector, layer by layer; T tokens, N patches, H heads.

    Attributes:
        self_attention: [B, H, T, T] per layer. A row of zeros is a token that skips self-attention in this layer.
        cross_attention: [B, H, T, N] per layer that has cross-attention (none for a projector without attention);
            patches in raster order.
    """

    self_attention: tuple[Tensor, ...] = ()
    cross_attention: tuple[Tensor, ...] = ()

    def cross_maps(self) -> tuple[Tensor, ...]:
        """Cross-attention averaged over heads: [B, T, N] per layer; rows sum to 1."""
        return tuple(layer.mean(1) for layer in self.cross_attention)


class ProjectorBase(nn.Module, ABC):
    """Features [B, N, Dv] -> tokens [B, T, D] for the language model.

    In front is a LayerNorm over channels that is never trained: the release has BLIP's frozen `ln_vision` there. Its
    weight and bias are 1 and 0 unless a released checkpoint brings others. Where the shape says `whiten`, features are
    whitened before it; that is this project's choice, for toy scale, and is frozen too.

    Set `gradient_checkpointing` to recompute each attention layer in the backward pass instead of keeping its
    activations; projectors without attention are small and keep theirs.

    A subclass is made with `config` and `shape` alone, and passes `hidden_size` on.

    Args:
        config: settings of the projector.
        shape: what it stands between: N patches of Dv channels, and a language model of width D.
        hidden_size: width of what `encode` returns.

    Raises:
        InputError: the settings cannot be built on so many patches.
    """

    def __init__(self, config: Projector, shape: ProjectorShape, *, hidden_size: int) -> None:
        super().__init__()
        config.check_patches(shape.num_patches)
        self.config = config
        self.shape = shape
        self.num_tokens = config.num_image_tokens(shape.num_patches)
        self.gradient_checkpointing = False
        self.whitening = Whitening(shape.feature_size) if shape.whiten else None
        self.input_norm = nn.LayerNorm(shape.feature_size).requires_grad_(False)
        self.output = Linear(hidden_size, shape.output_size)
        nn.init.normal_(self.output.weight, std=INITIALIZER_STD)
        nn.init.zeros_(self.output.bias)

    @abstractmethod
    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        """Normalised features [B, N, Dv] -> hidden state [B, T, hidden_size] before the output Linear."""

    @abstractmethod
    def flops(self, batch: int = 1) -> int:
        """Floating point operations of the matrix products of one forward pass (a multiply-add counts as two).

        Products that are the same for all images (queries that have not seen one yet) count once a batch.
        """

    @property
    def num_parameters(self) -> int:
        """All but those that are frozen in front."""
        return sum(parameter.numel() for name, parameter in self.named_parameters() if not name.startswith(FRONT))

    def forward(self, features: Tensor, output_attentions: bool = False) -> Tensor | tuple[Tensor, Attentions]:
        """Features [B, N, Dv] of any float type -> tokens [B, T, D] in the type of the parameters.

        With `output_attentions` also the probabilities of every layer.

        Raises:
            InputError: no image, features of another shape, or features that are not finite.
        """
        self._check(features)
        features = features.to(self.output.weight.dtype)
        if self.whitening is not None:
            features = self.whitening(features)
        hidden, attentions = self.encode(self.input_norm(features), output_attentions)
        tokens = self.output(hidden)
        return (tokens, attentions) if output_attentions else tokens

    def _check(self, features: Tensor) -> None:
        expected = self.shape.num_patches, self.shape.feature_size
        if features.shape[1:] != expected:
            raise InputError(
                f"projector expects features [batch, {expected[0]}, {expected[1]}], "
                f"got {list(features.shape)}: they were made with another vision tower or image size"
            )
        if not len(features):
            raise InputError("projector expects features of at least one image, got an empty batch")
        # compiled code and a CUDA graph cannot look at values
        if torch.compiler.is_compiling() or (features.is_cuda and torch.cuda.is_current_stream_capturing()):
            return
        # one pass without a copy: a sum of finite numbers of this size is finite
        if not features.sum(dtype=torch.float32).isfinite():
            bad = (~features.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
            raise InputError(f"features hold NaN or infinite values in image(s) {bad} of the batch")

    def run_layer(self, layer: Callable[..., Any], *arguments: Any) -> Any:
        """Call a layer, with its activations recomputed in the backward pass if `gradient_checkpointing` is set."""
        if self.gradient_checkpointing and torch.is_grad_enabled():

            def whole(*given: Any) -> Any:
                with keep_all():
                    return layer(*given)

            return checkpoint(whole, *arguments, use_reentrant=False, preserve_rng_state=False)
        return layer(*arguments)

    @torch.no_grad()
    def scale_output(self, token_rms: float) -> None:
        """Scale a new output Linear so that the tokens of random features have this root mean square.

        Image tokens several times larger than the text's embeddings give a frozen language model exploding gradients
        in the first steps, from which training recovers late. This initialisation is this project's choice.
        """
        features = torch.randn(16, self.shape.num_patches, self.shape.feature_size)  # the same numbers on every device
        tokens = self(features.to(self.output.weight.device))
        self.output.weight *= token_rms / tokens.square().mean().sqrt()

    def shared_flops(self, batch: int) -> int:
        """Operations of what all projectors have: the output Linear, and the whitening where there is one."""
        front = 0 if self.whitening is None else self.whitening.flops(batch * self.shape.num_patches)
        return front + linear_flops(batch * self.num_tokens, self.output)


def linear_flops(rows: int, *layers: nn.Linear | GeluLinear) -> int:
    """Operations of Linear layers on `rows` vectors, biases not counted."""
    return sum(2 * rows * layer.in_features * layer.out_features for layer in layers)
