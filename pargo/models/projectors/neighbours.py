"""Attention of tokens to their neighbours: small products over blocks instead of a masked product over all pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# what gathering one key costs, in products of it with a query (measured on CPUs, no part of the result)
COPIED_KEY = 32


def neighbour_mask(span: int, num_tokens: int) -> Tensor:
    """Who sees whom when every token sees `span` neighbours: bool [P, P], True where the row sees the column.

    The window of neighbours in the order of the tokens holds the token itself, and one more before it than after it
    when the span is even. At both ends the window is moved inside, so that all tokens see equally many.
    """
    token = torch.arange(num_tokens)
    first = (token - span // 2).clamp(0, num_tokens - span).unsqueeze(1)
    return (token >= first) & (token < first + span)


class Neighbours(nn.Module):
    """Attention under `neighbour_mask`: blocks of consecutive queries attend to the keys near them.

    Args:
        span: neighbours that a token sees, itself included.
        num_tokens: P.
    """

    def __init__(self, span: int, num_tokens: int) -> None:
        super().__init__()
        self.span, self.num_tokens = span, num_tokens
        divisors = (size for size in range(1, num_tokens + 1) if num_tokens % size == 0)
        block = min(divisors, key=lambda size: min(size + span - 1, num_tokens) * (1 + COPIED_KEY / size))
        shape = num_tokens // block, block, min(block + span - 1, num_tokens)
        self.register_buffer("keys", torch.empty(shape[0], shape[2], dtype=torch.long), persistent=False)
        self.register_buffer("hidden", torch.empty(shape, dtype=torch.bool), persistent=False)
        self.init_non_persistent_buffers()

    def init_non_persistent_buffers(self) -> None:
        """Fill the buffers; transformers calls it (by timm's name for it) after it made the model without memory.

        `keys` [blocks, w]: the tokens that a block of queries looks at; `hidden` [blocks, b, w]: which of them each
        query does not see.
        """
        blocks, block, width = self.hidden.shape
        first = (torch.arange(blocks) * block - self.span // 2).clamp(0, self.num_tokens - width)
        keys = first.unsqueeze(1) + torch.arange(width)
        visible = neighbour_mask(self.span, self.num_tokens).view(blocks, block, -1)
        self.keys.copy_(keys)
        self.hidden.copy_(~visible.gather(2, keys.unsqueeze(1).expand(-1, block, -1)))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query, key and value [B, P, H, d] -> mixed values [B, P, H * d]."""
        blocks, block, width = self.hidden.shape
        batch, _, heads, size = query.shape
        near = (x.index_select(1, self.keys.flatten()).view(-1, width, heads, size) for x in (key, value))
        query, key, value = (x.transpose(1, 2) for x in (query.reshape(-1, block, heads, size), *near))
        scores = (query @ key.transpose(-1, -2)).view(batch, blocks, heads, block, width) * size**-0.5
        weights = scores.masked_fill(self.hidden.unsqueeze(1), -torch.inf).softmax(-1)
        return (weights.flatten(0, 1) @ value).transpose(1, 2).reshape(batch, -1, heads * size)

    def flops(self, batch: int, hidden_size: int) -> int:
        """Operations of the products of queries and keys, and of weights and values."""
        return 2 * 2 * batch * self.hidden.numel() * hidden_size
