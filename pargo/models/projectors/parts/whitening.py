"""Whitening: a frozen linear map after which the channels of the features are about as strong and as independent.

Channels of a frozen tower are strongly correlated, and of very different strength. A projector that starts anew learns
the weak directions last, and they hold much of what an image shows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.errors import PargoError

SMOOTHING = 0.01  # of the mean variance, added to all: directions that hardly vary are not blown up


class Whitening(nn.Module):
    """Features [..., Dv] minus their mean, times the inverse square root of their covariance (ZCA).

    A new one changes nothing; `fit` measures. It is frozen: what was measured is saved with the projector.

    Args:
        feature_size: Dv.
    """

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(feature_size), requires_grad=False)
        self.matrix = nn.Parameter(torch.eye(feature_size), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) @ self.matrix

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Measure mean and covariance, in place of what is there.

        Args:
            features: [images, N, Dv], finite; every patch counts alike.

        Raises:
            PargoError: they are all the same.
        """
        rows = features.flatten(0, -2).double()
        mean = rows.mean(0)
        rows -= mean
        values, vectors = torch.linalg.eigh(rows.t() @ rows / len(rows))
        if values.mean() <= 0:
            raise PargoError("features cannot be whitened: all patches have the same")
        scales = (values.clamp(min=0.0) + SMOOTHING * values.mean()).rsqrt()
        self.mean.copy_(mean)
        self.matrix.copy_(vectors * scales @ vectors.t())

    def flops(self, rows: int) -> int:
        """Floating point operations of so many patches (a multiply-add counts as two)."""
        return 2 * rows * self.matrix.numel()
