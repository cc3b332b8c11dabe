"""Honeybee's C-Abstractor: convolutions keep neighbourhoods, average pooling sets the number of tokens."""

from __future__ import annotations

from functools import partial
from math import isqrt

import torch
from timm.layers import LayerNorm2d
from timm.models.regnet import RegStage
from torch import Tensor, nn

from pargo.config.projectors.c_abstractor import CAbstractorProjector
from pargo.models.projectors.base import INITIALIZER_STD, Attentions, ProjectorBase, linear_flops
from pargo.models.projectors.shape import ProjectorShape


class CAbstractor(ProjectorBase):
    """Position embedding, RegNet bottlenecks, adaptive average pool, bottlenecks, Linear, SiLU, output Linear.

    A bottleneck is 1x1, depthwise 3x3, squeeze-and-excitation of a quarter, 1x1, each convolution with a LayerNorm
    over channels and SiLU: timm's RegNet block, which Honeybee uses too.
    """

    def __init__(self, config: CAbstractorProjector, shape: ProjectorShape) -> None:
        super().__init__(config, shape, hidden_size=shape.output_size)
        self.position_embeddings = nn.Parameter(torch.randn(shape.num_patches, shape.feature_size) * INITIALIZER_STD)
        stage = partial(RegStage, config.depth, stride=1, dilation=1, act_layer=nn.SiLU, norm_layer=LayerNorm2d)
        self.before = stage(in_chs=shape.feature_size, out_chs=config.hidden_size)
        side, out = isqrt(shape.num_patches), isqrt(config.num_tokens)
        # the same numbers; only the plain one is deterministic on a GPU
        self.pool = nn.AdaptiveAvgPool2d(out) if side % out else nn.AvgPool2d(side // out)
        self.after = stage(in_chs=config.hidden_size, out_chs=config.hidden_size)
        self.readout = nn.Linear(config.hidden_size, shape.output_size)
        self.activation = nn.SiLU()

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        side = isqrt(self.shape.num_patches)
        grid = (features + self.position_embeddings).transpose(1, 2).unflatten(2, (side, side))
        pooled = self.after(self.pool(self.before(grid))).flatten(2).transpose(1, 2)
        return self.activation(self.readout(pooled)), Attentions() if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        convolutions = _convolution_flops(self.before, self.shape.num_patches) + _convolution_flops(
            self.after, self.num_tokens
        )
        return batch * convolutions + linear_flops(batch * self.num_tokens, self.readout) + self.shared_flops(batch)


def _convolution_flops(stage: nn.Module, positions: int) -> int:
    """Operations of a stage of stride 1 on one image; squeeze-and-excitation works on one position."""
    return sum(
        2 * module.weight.numel() * (1 if ".se." in name else positions)
        for name, module in stage.named_modules()
        if isinstance(module, nn.Conv2d)
    )
