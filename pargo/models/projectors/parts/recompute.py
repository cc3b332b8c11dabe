"""Activations that the backward pass makes again, where making them costs next to nothing.

Autograd keeps the input of every Linear. In a post-LN transformer that input is the output of a LayerNorm or of a
GELU, whose own input is kept as well: two copies of the same information. Here only the first stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_keep_all: ContextVar[bool] = ContextVar("keep_all", default=False)


class Recomputed:
    """Tokens [B, T, C] that are made by a function, and made again by it when the backward pass needs them.

    `with tokens.read() as value:` gives the tensor; operations inside that would keep it for the backward pass keep
    what the function holds instead.

    Args:
        make: gives the same tensor at every call, cheaply and without side effects.
        value: what it gives, if that is known already.
    """

    def __init__(self, make: Callable[[], Tensor], value: Tensor | None = None) -> None:
        self.value = make() if value is None else value
        # without gradients, what it holds would stay for nothing
        self.make: Callable[[], Tensor] = make if torch.is_grad_enabled() else _never

    @contextmanager
    def read(self) -> Iterator[Tensor]:
        # a compiler decides for itself what to make again, and so does checkpointing of whole layers
        if torch.compiler.is_compiling() or _keep_all.get() or not torch.is_grad_enabled():
            yield self.value
            return
        make, address, count = self.make, self.value.data_ptr(), self.value.numel()  # the hooks must not hold the value

        def pack(tensor: Tensor) -> Tensor | torch.Size:
            # a Linear keeps a view of its input with one row per token
            same = tensor.data_ptr() == address and tensor.numel() == count and tensor.is_contiguous()
            return tensor.shape if same else tensor

        def unpack(kept: Tensor | torch.Size) -> Tensor:
            if isinstance(kept, Tensor):
                return kept
            with torch.no_grad():
                return make().contiguous().view(kept)

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield self.value

    def part(self, tokens: slice) -> Recomputed:
        """Some of the tokens."""
        make = self.make
        return Recomputed(lambda: make()[:, tokens].contiguous(), self.value[:, tokens].contiguous())

    @staticmethod
    def join(parts: Sequence[Recomputed]) -> Recomputed:
        """Tokens one after the other."""
        makers = [part.make for part in parts]
        value = torch.cat([part.value for part in parts], 1)
        return Recomputed(lambda: torch.cat([make() for make in makers], 1), value)


def _never() -> Tensor:
    raise RuntimeError("nothing is made again without gradients")


@contextmanager
def keep_all() -> Iterator[None]:
    """Inside, nothing is made again tensor by tensor: for layers that are checkpointed as a whole."""
    if torch.compiler.is_compiling():  # nothing is then, and a compiler cannot set a context variable
        yield
        return
    token = _keep_all.set(True)
    try:
        yield
    finally:
        _keep_all.reset(token)
