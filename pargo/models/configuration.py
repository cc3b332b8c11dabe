"""The configuration of the transformers classes: what `config.json` of an exported model holds."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from pargo.config.projectors import Projector
from pargo.errors import InputError
from pargo.models.vision import PargoVisionConfig

# tokens as in the released checkpoint; that its width and depth are these is an inference
RELEASED_PROJECTOR = {
    "name": "pargo",
    "num_partial_tokens": 288,
    "num_global_tokens": 16,
    "hidden_size": 512,
    "num_layers": 4,
    "num_heads": 8,
    "intermediate_size": 2048,
    "self_attention": "release",
}
_PROJECTOR: TypeAdapter[Projector] = TypeAdapter(Projector)


class PargoConfig(PreTrainedConfig):
    """Vision tower, projector and language model.

    Args:
        vision_config: of the tower.
        text_config: of any causal language model of transformers.
        projector_config: settings of a projector, which its `name` chooses; by default the released checkpoint's.
        image_token_id: id of the token that stands for one projector token in `input_ids`; it need not be in the
            language model's vocabulary, as its embedding is never read.

    Raises:
        InputError: settings that are not those of a projector, or that cannot be built on the tower's patches.
    """

    model_type = "pargo"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": PargoVisionConfig,
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }

    vision_config: Any = None
    text_config: Any = None
    projector_config: Any = None
    image_token_id: int = 32000
    tie_word_embeddings: bool = False  # the language model ties its own, by its own config

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self.projector_config = dict(self.projector_config or RELEASED_PROJECTOR)
        self.projector.check_patches(self.vision_config.num_patches)

    @property
    def projector(self) -> Projector:
        """The projector's settings, typed."""
        try:
            # through JSON, where lists stand for tuples
            return _PROJECTOR.validate_json(TypeAdapter(dict).dump_json(self.projector_config))
        except ValidationError as error:
            # in pydantic's words: the module of ours would belong to the code of every training
            first = error.errors()[0]
            field = ".".join(["projector_config", *map(str, first["loc"])])
            raise InputError(f"{field}: {first['input']!r} is not valid: {first['msg']}") from None
