"""Attention of tokens to their neighbours: small products over blocks instead of a masked product over all pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# what copying one key costs, in products of it with a query (measured on CPUs, no part of the result)
COPIED_KEY = 32
ALIGNMENT = 8  # tensor cores want the keys of a block in multiples of this


def neighbour_mask(span: int, num_tokens: int) -> Tensor:
    """Who sees whom when every token sees `span` neighbours: bool [P, P], True where the row sees the column.

    The window of neighbours in the order of the tokens holds the token itself, and one more before it than after it
    when the span is even. At both ends the window is moved inside, so that all tokens see equally many.
    """
    token = torch.arange(num_tokens)
    first = (token - span // 2).clamp(0, num_tokens - span).unsqueeze(1)
    return (token >= first) & (token < first + span)


class Neighbours(nn.Module):
    """Attention under `neighbour_mask`: each block of consecutive queries attends to itself and to the keys around it.

    Args:
        span: neighbours that a token sees, itself included.
        num_tokens: P.
    """

    def __init__(self, span: int, num_tokens: int) -> None:
        super().__init__()
        self.span, self.num_tokens = span, num_tokens
        # a window that is moved inside at an end still fits into the first or last block and the keys around it
        blocks = (size for size in range(span // 2 + 1, num_tokens + 1) if num_tokens % size == 0)
        block = min(blocks, key=lambda size: sum(self._widths(size)) * (1 + COPIED_KEY / size))
        self.before, _, self.after = widths = self._widths(block)
        shape = num_tokens // block, block, sum(widths)
        self.register_buffer("hidden", torch.empty(shape, dtype=torch.bool), persistent=False)
        self.init_non_persistent_buffers()

    def _widths(self, block: int) -> tuple[int, int, int]:
        """Keys before a block of queries, of its own, and after it."""
        if block == self.num_tokens:
            return 0, block, 0
        before, after = self.span // 2, (self.span - 1) // 2
        unaligned = -(before + block + after) % ALIGNMENT
        return min(before + unaligned, block), block, after

    def init_non_persistent_buffers(self) -> None:
        """Fill the buffer; transformers calls it (by timm's name for it) after it made the model without memory.

        `hidden` [blocks, b, w]: which keys around its block each query does not see; places outside all tokens too.
        """
        blocks, block, width = self.hidden.shape
        keys = torch.arange(blocks).unsqueeze(1) * block - self.before + torch.arange(width)
        inside = (keys >= 0) & (keys < self.num_tokens)
        visible = neighbour_mask(self.span, self.num_tokens).view(blocks, block, -1)
        places = keys.clamp(0, self.num_tokens - 1).unsqueeze(1).expand(-1, block, -1)
        self.hidden.copy_(~(visible.gather(2, places) & inside.unsqueeze(1)))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query, key and value [B, P, H, d] -> mixed values [B, P, H * d]."""
        blocks, block, width = self.hidden.shape
        batch, _, heads, size = query.shape
        near = (self.around(x).view(-1, width, heads, size) for x in (key, value))
        query, key, value = (x.transpose(1, 2) for x in (query.reshape(-1, block, heads, size), *near))
        scores = (query @ key.transpose(-1, -2)).view(batch, blocks, heads, block, width) * size**-0.5
        weights = scores.masked_fill(self.hidden.unsqueeze(1), -torch.inf).softmax(-1)
        return (weights.flatten(0, 1) @ value).transpose(1, 2).reshape(batch, -1, heads * size)

    def around(self, x: Tensor) -> Tensor:
        """What blocks look at: [B, P, H, d] -> [B, blocks, w, H, d], zero where there is no token.

        Slices and copies alone, since their gradients are sums of slices: a gather's would be a slow scatter.
        """
        blocks, block, _ = self.hidden.shape
        x = x.unflatten(1, (blocks, block))
        before = F.pad(x[:, :-1, block - self.before :], (0, 0, 0, 0, 0, 0, 1, 0))
        after = F.pad(x[:, 1:, : self.after], (0, 0, 0, 0, 0, 0, 0, 1))
        return torch.cat([before, x, after], 2)

    def flops(self, batch: int, hidden_size: int) -> int:
        """Operations of the products of queries and keys, and of weights and values."""
        return 2 * 2 * batch * self.hidden.numel() * hidden_size
