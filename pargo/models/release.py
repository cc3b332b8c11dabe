"""Weights of the official release (bytedance/ParGo) under this project's names, so that its checkpoint can be loaded.

The parity tests go through the same function: what they prove holds for the real checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from pargo.errors import PargoError
from pargo.models.projectors.pargo import ParGo

_ATTENTION = {
    "self.query": "query",
    "self.key": "key",
    "self.value": "value",
    "output.dense": "output",
    "output.LayerNorm": "norm",
}
_BLOCKS = {
    **{f"attention.{old}": f"self_attention.{new}" for old, new in _ATTENTION.items()},
    **{f"crossattention.{old}": f"cross_attention.{new}" for old, new in _ATTENTION.items()},
    "intermediate_query.dense": "feed_forward.intermediate",
    "output_query.dense": "feed_forward.output",
    "output_query.LayerNorm": "feed_forward.norm",
}
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")


def convert_release_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The release's projector weights under the names of `ParGo`, without the output Linear.

    Args:
        state: `query_tokens` [1, T, C] and the names below `Qformer.bert.` of the release. The table of position
            embeddings may be longer than T: BERT uses its first T rows.

    Raises:
        PargoError: a name that is not part of the projector, or one that is missing; the message lists them.
    """
    converted, unknown = {}, []
    for name, tensor in state.items():
        layer = _LAYER.fullmatch(name)
        if layer and layer[2] in _BLOCKS:
            converted[f"layers.{layer[1]}.{_BLOCKS[layer[2]]}.{layer[3]}"] = tensor
        elif name in ("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"):
            converted[name.replace("embeddings.LayerNorm", "norm")] = tensor
        elif name == "query_tokens":
            converted[name] = tensor.squeeze(0)
        elif name == "embeddings.position_embeddings.weight":
            converted["position_embeddings"] = tensor
        else:
            unknown.append(name)
    if unknown:
        raise PargoError(f"not weights of the release's projector: {', '.join(sorted(unknown))}")
    absent = {"query_tokens", "position_embeddings"} - converted.keys()
    if absent:
        raise PargoError(f"release weights lack {', '.join(sorted(absent))}")
    converted["position_embeddings"] = converted["position_embeddings"][: len(converted["query_tokens"])]
    return converted


def load_release_weights(projector: ParGo, state: Mapping[str, Tensor]) -> None:
    """Load the release's projector weights strictly; the output Linear, stored elsewhere there, stays as it is."""
    output = {f"output.{name}": tensor for name, tensor in projector.output.state_dict().items()}
    projector.load_state_dict(convert_release_state_dict(state) | output)
