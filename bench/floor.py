"""The floor of a computation: its matrix products alone, replayed into memory that is there already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class _Layout:
    """Size and strides of an operand: a product's speed depends on both."""

    def __init__(self, tensor: Tensor) -> None:
        self.size, self.stride = tuple(tensor.shape), tuple(tensor.stride())
        self.dtype, self.device = tensor.dtype, tensor.device

    def make(self) -> Tensor:
        span = 1 + sum((size - 1) * stride for size, stride in zip(self.size, self.stride, strict=True))
        return torch.randn(span, dtype=self.dtype, device=self.device).as_strided(self.size, self.stride)


class _Products(TorchDispatchMode):
    """Notes the operands of every matrix product that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, _Layout, _Layout]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = function.overloadpacket.__name__
        if name in ("mm", "bmm"):
            self._note(name, *args[:2])
        elif name in ("addmm", "addmm_"):
            self._note("mm", *args[1:3])
        elif name == "_linear_pointwise":
            self._note("mm", args[0].flatten(0, -2), args[1].t())
        elif name.startswith("_scaled_dot_product") and not name.endswith("backward"):
            self._attention(*args[:3])
        elif name.startswith("_scaled_dot_product"):
            self._attention_backward(*args[:4])
        return function(*args, **(kwargs or {}))

    def _note(self, name: str, first: Tensor, second: Tensor) -> None:
        self.found.append((name, _Layout(first), _Layout(second)))

    def _attention(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Scores and mixed values, as batched products."""
        query, key, value = (x.reshape(-1, *x.shape[-2:]) for x in (query, key, value))
        weights = query.new_empty(*query.shape[:2], key.shape[1])
        self._note("bmm", query, key.transpose(1, 2))
        self._note("bmm", weights, value)

    def _attention_backward(self, gradient: Tensor, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Scores again, and the gradients of values, weights, queries and keys."""
        gradient, query, key, value = (x.reshape(-1, *x.shape[-2:]) for x in (gradient, query, key, value))
        weights = query.new_empty(*query.shape[:2], key.shape[1])
        self._note("bmm", query, key.transpose(1, 2))
        self._note("bmm", weights.transpose(1, 2), gradient)
        self._note("bmm", gradient, value.transpose(1, 2))
        self._note("bmm", weights, key)
        self._note("bmm", weights.transpose(1, 2), query)


def floor_of(function: Callable[[], Any]) -> Callable[[], None]:
    """A function that does the matrix products of another one, in the same layouts, and nothing else."""
    with _Products() as products:
        function()
    operands: dict[tuple, tuple[Tensor, Tensor, Tensor]] = {}
    calls = []
    for name, first, second in products.found:
        key = (name, first.size, first.stride, second.size, second.stride)
        if key not in operands:
            one, two = first.make(), second.make()
            operands[key] = one, two, one @ two
        calls.append((torch.mm if name == "mm" else torch.bmm, *operands[key]))

    def replay() -> None:
        for product, one, two, out in calls:
            product(one, two, out=out)

    return replay
