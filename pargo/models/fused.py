"""A frozen Llama for training: each layer as one autograd function, on samples without any padding between them.

What flows through it is a row of tokens [T, D], sample after sample; attention stays inside a sample. Compared with
transformers' layers there are fewer and larger matrix products, fewer passes over memory, half as much is kept for
the backward pass, and the last layer computes only what the loss reads. LoRA may sit on any of the products.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.models.llama.modeling_llama import LlamaModel, LlamaRMSNorm

from pargo.models.segments import Segments


def can_fuse(decoder: nn.Module) -> bool:
    """Is this a Llama whose layers the fused function computes: frozen, without biases and without LoRA dropout?"""
    if type(decoder) is not LlamaModel or decoder.config.hidden_act != "silu":
        return False
    for layer in decoder.layers:
        for linear in _linears(layer):
            if isinstance(linear, LoraLayer):
                plain = all(type(dropout) is nn.Identity for dropout in linear.lora_dropout.values())
                if not plain or list(linear.lora_A) != ["default"] or any(linear.use_dora.values()):
                    return False
            base = getattr(linear, "base_layer", linear)
            if type(base) is not nn.Linear or base.bias is not None or base.weight.requires_grad:
                return False
    norms = [module for module in decoder.modules() if isinstance(module, LlamaRMSNorm)]
    return not any(norm.weight.requires_grad for norm in norms)


class FusedLlama:
    """The decoder of a Llama; the same function of the same weights, which it shares.

    Args:
        decoder: one for which `can_fuse` holds. Its query, key and value weights become views of one matrix, and so do
            its gate and up weights.
        recompute: keep only each layer's input for the backward pass (activation checkpointing).
    """

    def __init__(self, decoder: LlamaModel, *, recompute: bool = False) -> None:
        self._decoder = decoder
        self._layers = [_Layer(layer, decoder.config) for layer in decoder.layers]
        self._recompute = recompute

    def __call__(self, embeddings: Tensor, segments: Segments, rows: Tensor) -> Tensor:
        """Last hidden states of the tokens that are asked for.

        Args:
            embeddings: [T, D].
            segments: of the samples.
            rows: int64 [R], places in the row.

        Returns:
            [R, D], after the last norm.
        """
        cos, sin = self._decoder.rotary_emb(embeddings, position_ids=segments.position_ids)
        half = cos.shape[-1] // 2
        rotation = cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()
        places, x = _Places(segments), embeddings
        for index, layer in enumerate(self._layers):
            last = index + 1 == len(self._layers)
            arguments = (x, layer, rotation, places, rows if last else None, *layer.adapters())
            if self._recompute and torch.is_grad_enabled():
                x = checkpoint(_FusedLayer.apply, *arguments, use_reentrant=False)
            else:
                x = _FusedLayer.apply(*arguments)
        return _RMSNorm.apply(x, self._decoder.norm.weight, self._decoder.norm.variance_epsilon)


def _linears(layer: nn.Module) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    return [
        *(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj),
        *(mlp.gate_proj, mlp.up_proj, mlp.down_proj),
    ]


class _Product:
    """One matrix product for all linear layers that read the same input, with their adapters."""

    def __init__(self, *linears: nn.Module) -> None:
        bases = [getattr(linear, "base_layer", linear) for linear in linears]
        self.weight = bases[0].weight.detach()
        if len(bases) > 1:
            self.weight = torch.cat([base.weight.detach() for base in bases])
            for base, part in zip(bases, self.weight.split([len(base.weight) for base in bases]), strict=True):
                base.weight.data = part
        ends = [0]
        for base in bases:
            ends.append(ends[-1] + len(base.weight))
        self._adapted = [
            (linear.lora_A["default"].weight, linear.lora_B["default"].weight, linear.scaling["default"], place)
            for linear, place in zip(linears, pairwise(ends), strict=True)
            if isinstance(linear, LoraLayer)
        ]

    def adapters(self) -> list[Tensor]:
        """Trainable matrices, A and B of each adapted layer."""
        return [matrix for a, b, *_ in self._adapted for matrix in (a, b)]

    def _low_rank(self, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        """All A [sum of ranks, in], and all scaled B as one block-diagonal matrix [out, sum of ranks], rounded."""
        a = torch.cat([a.detach() for a, *_ in self._adapted]).to(kind)
        b = a.new_zeros(len(self.weight), len(a))
        rank = 0
        for low, up, scale, (start, stop) in self._adapted:
            # rounded as peft does: the matrix first, the scale after it
            b[start:stop, rank : rank + len(low)] = up.detach().to(kind) * scale
            rank += len(low)
        return a, b

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """[T, in] -> [T, out], and what the backward pass needs of the adapters."""
        y = torch.mm(x, self.weight.t())
        if not self._adapted:
            return y, ()
        a, b = self._low_rank(x.dtype)
        low = torch.mm(x, a.t())
        return y.addmm_(low, b.t()), (a, b, low)

    def backward(self, gradient: Tensor, x: Tensor | None, kept: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Gradients of the input [T, in], which is needed where there are adapters, and of each adapter matrix."""
        dx = torch.mm(gradient, self.weight)
        if x is None or not kept:
            return dx, []
        a, b, low = kept
        dlow = torch.mm(gradient, b)
        dx.addmm_(dlow, a)
        da, found, rank = torch.mm(dlow.t(), x), [], 0
        for matrix, up, scale, (start, stop) in self._adapted:
            ranks = slice(rank, rank + len(matrix))
            db = torch.mm(gradient[:, start:stop].t(), low[:, ranks])
            found += [da[ranks].to(matrix.dtype), db.to(up.dtype) * scale]
            rank += len(matrix)
        return dx, found


class _Layer:
    """The weights of a decoder layer as the function takes them."""

    def __init__(self, layer: nn.Module, config: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = _Product(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = _Product(attention.o_proj)
        self.gate_up = _Product(mlp.gate_proj, mlp.up_proj)
        self.down = _Product(mlp.down_proj)
        self.norms = (layer.input_layernorm.weight, layer.post_attention_layernorm.weight)
        self.eps = layer.input_layernorm.variance_epsilon
        self.heads = config.num_attention_heads, config.num_key_value_heads
        self.scale = attention.scaling
        self.size = attention.head_dim

    def adapters(self) -> list[Tensor]:
        """Trainable matrices in the order in which the function returns their gradients."""
        return [matrix for part in (self.qkv, self.out, self.gate_up, self.down) for matrix in part.adapters()]


def _normalise(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x over its root mean square, rounded to x's type, and one over that root [T, 1] in float32."""
    x32 = x.to(torch.float32, copy=True)
    scale = (torch.linalg.vecdot(x32, x32) / x.shape[-1]).add_(eps).rsqrt_().unsqueeze(-1)
    return x32.mul_(scale).to(x.dtype), scale


def _normalise_backward(gradient: Tensor, normalised: Tensor, scale: Tensor) -> Tensor:
    g32, n32 = gradient.float(), normalised.float()
    along = torch.linalg.vecdot(g32, n32).div_(-n32.shape[-1]).unsqueeze(-1)
    return torch.addcmul(g32, n32, along).mul_(scale).to(gradient.dtype)


class _RMSNorm(torch.autograd.Function):
    """weight * round(x / rms(x)) as in transformers; there is no gradient of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        normalised, scale = _normalise(x, eps)
        ctx.save_for_backward(normalised, scale, weight)
        return weight * normalised

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        normalised, scale, weight = ctx.saved_tensors
        return _normalise_backward(gradient * weight, normalised, scale), None, None


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor], direction: int) -> Tensor:
    """Rotary positions of [T, heads, d] with cos and sin [T, 1, d/2]; `direction` -1 takes them back."""
    cos, sin = rotation
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    turned = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-direction)
    torch.mul(second, cos, out=turned[..., half:]).addcmul_(first, sin, value=direction)
    return turned


class _FusedLayer(torch.autograd.Function):
    """A decoder layer of [T, D] -> [T, D], or of the rows that are asked for -> [R, D]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        layer: _Layer,
        rotation: tuple[Tensor, Tensor],
        places: _Places,
        rows: Tensor | None,
        *adapters: Tensor,
    ) -> Tensor:
        heads, kv_heads = layer.heads
        normalised1, scale1 = _normalise(x, layer.eps)
        qkv, kept_qkv = layer.qkv.forward(layer.norms[0] * normalised1)
        qkv = qkv.view(len(x), -1, layer.size)
        turned = _rotate(qkv[:, : heads + kv_heads], rotation, 1)
        turned[:, :heads] *= layer.scale
        value = qkv[:, heads + kv_heads :].contiguous()
        mixed, probabilities = _attend(turned[:, :heads], turned[:, heads:], value, places)
        mixed = mixed.reshape(len(x), -1)
        if rows is not None:
            x, mixed = x[rows], mixed[rows]
        out, kept_out = layer.out.forward(mixed)
        x = out.add_(x)
        normalised2, scale2 = _normalise(x, layer.eps)
        gate_up, kept_gate_up = layer.gate_up.forward(layer.norms[1] * normalised2)
        gate, up = gate_up.chunk(2, -1)
        down, kept_down = layer.down.forward(F.silu(gate).mul_(up))
        ctx.kept = kept_qkv, kept_out, kept_gate_up, kept_down  # neither inputs nor outputs of this function
        ctx.save_for_backward(
            normalised1, scale1, turned, value, mixed, normalised2, scale2, gate_up, rows, *rotation, probabilities
        )
        ctx.layer, ctx.places = layer, places
        return down.add_(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layer: _Layer = ctx.layer
        kept_qkv, kept_out, kept_gate_up, kept_down = ctx.kept
        (normalised1, scale1, turned, value, mixed, normalised2, scale2, gate_up, rows, cos, sin, probabilities) = (
            ctx.saved_tensors
        )
        (heads, kv_heads), size = layer.heads, len(normalised1)
        # MLP
        gate, up = gate_up.chunk(2, -1)
        activated = F.silu(gate)
        d_product, d_down = layer.down.backward(gradient, activated * up if kept_down else None, kept_down)
        d_gate_up = torch.empty_like(gate_up)
        d_gate, d_up = d_gate_up.chunk(2, -1)
        torch.mul(d_product, activated, out=d_up)
        torch.ops.aten.silu_backward.grad_input(d_product.mul_(up), gate, grad_input=d_gate)
        inner = layer.norms[1] * normalised2 if kept_gate_up else None
        d_inner, d_gate_up_adapters = layer.gate_up.backward(d_gate_up, inner, kept_gate_up)
        gradient = _normalise_backward(d_inner.mul_(layer.norms[1]), normalised2, scale2).add_(gradient)
        # attention
        d_mixed, d_out = layer.out.backward(gradient, mixed, kept_out)
        if rows is not None:
            gradient, d_mixed = (
                part.new_zeros(size, part.shape[-1]).index_copy_(0, rows, part) for part in (gradient, d_mixed)
            )
        d_mixed = d_mixed.view(size, heads, -1)
        d_turned, d_qkv = torch.empty_like(turned), turned.new_empty(size, heads + 2 * kv_heads, layer.size)
        d_turned[:, :heads], d_turned[:, heads:], d_qkv[:, heads + kv_heads :] = _attend_backward(
            d_mixed, turned[:, :heads], turned[:, heads:], value, probabilities, ctx.places
        )
        d_turned[:, :heads] *= layer.scale
        d_qkv[:, : heads + kv_heads] = _rotate(d_turned, (cos, sin), -1)
        inner = layer.norms[0] * normalised1 if kept_qkv else None
        d_inner, d_qkv_adapters = layer.qkv.backward(d_qkv.view(size, -1), inner, kept_qkv)
        gradient = _normalise_backward(d_inner.mul_(layer.norms[0]), normalised1, scale1).add_(gradient)
        return gradient, None, None, None, None, *d_qkv_adapters, *d_out, *d_gate_up_adapters, *d_down


# Attention of all samples at once: they are padded to the longest here, and only here -------------------------------


class _Places:
    """Where the tokens of the row go when samples [B, L] are padded on the right."""

    def __init__(self, segments: Segments) -> None:
        lengths = [stop - start for start, stop in segments.bounds]
        self.shape = len(lengths), max(lengths)
        self.padded = len(set(lengths)) > 1
        if self.padded:
            rows = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
            device = segments.position_ids.device
            self.indices = rows.to(device) * self.shape[1] + segments.position_ids[0]

    def spread(self, x: Tensor, kv_heads: int) -> Tensor:
        """[T, heads, d] -> [B x kv heads, heads of one kv head x L, d], zero where there is no token."""
        if self.padded:
            x = x.new_zeros(self.shape[0] * self.shape[1], *x.shape[1:]).index_copy_(0, self.indices, x)
        x = x.reshape(*self.shape, kv_heads, -1, x.shape[-1])
        return x.permute(0, 2, 3, 1, 4).reshape(self.shape[0] * kv_heads, -1, x.shape[-1])

    def gather(self, x: Tensor, kv_heads: int) -> Tensor:
        """[B x kv heads, heads of one kv head x L, d] -> [T, heads, d]: the inverse of `spread`."""
        size = x.shape[-1]
        x = x.view(self.shape[0], kv_heads, -1, self.shape[1], size).permute(0, 3, 1, 2, 4)
        x = x.reshape(self.shape[0] * self.shape[1], -1, size)
        return x[self.indices] if self.padded else x


def _attend(query: Tensor, key: Tensor, value: Tensor, places: _Places) -> tuple[Tensor, Tensor]:
    """Causal attention inside each sample: [T, heads, d], and the probabilities [B x kv heads, heads x L, L].

    Padding comes last in a sample, so no token looks at it.
    """
    kv_heads, length = key.shape[1], places.shape[1]
    query, key, value = (places.spread(x, kv_heads) for x in (query, key, value))
    scores = torch.bmm(query, key.transpose(1, 2))
    scores.view(-1, length, length).add_(scores.new_full((length, length), -torch.inf).triu_(1))
    probabilities = scores.softmax(-1)
    return places.gather(torch.bmm(probabilities, value), kv_heads), probabilities


def _attend_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, probabilities: Tensor, places: _Places
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, in their shapes."""
    kv_heads = key.shape[1]
    gradient, query, key, value = (places.spread(x, kv_heads) for x in (gradient, query, key, value))
    d_value = torch.bmm(probabilities.transpose(1, 2), gradient)
    d_scores = torch.bmm(gradient, value.transpose(1, 2))
    d_scores = torch.ops.aten._softmax_backward_data(d_scores, probabilities, -1, probabilities.dtype)
    d_query, d_key = torch.bmm(d_scores, key), torch.bmm(d_scores.transpose(1, 2), query)
    return tuple(places.gather(x, kv_heads) for x in (d_query, d_key, d_value))
