"""The vision-language model as transformers classes: vision tower, projector and any causal language model.

Training, evaluation and exported models share them. Evaluation reads stored features of the frozen tower
(`PargoModel.project`) and leaves the tower out, and so does training unless its `features` are `in_loop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from pargo.errors import InputError
from pargo.models.configuration import PargoConfig
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.base import ProjectorBase
from pargo.models.vision import VisionTower
from pargo.models.weights import check_loading_info

EncodedImages = dict[str, BaseModelOutputWithPooling]


class Parts(NamedTuple):
    """What a model is made of; without `vision_tower` it takes stored features only."""

    language_model: PreTrainedModel
    projector: ProjectorBase
    vision_tower: VisionTower | None = None

    @classmethod
    def random(cls, config: PargoConfig) -> Parts:
        """New parts with random weights."""
        language_model = AutoModelForCausalLM.from_config(config.text_config)
        width = language_model.get_input_embeddings().embedding_dim
        projector = build_projector(config.projector, ProjectorShape.between(config.vision_config, width))
        return cls(language_model, projector, VisionTower(config.vision_config))


@dataclass
class PargoModelOutput(BaseModelOutputWithPast):
    """What `PargoModel` gives: the last hidden states, from the language model without its output layer.

    Attributes:
        image_hidden_states: projector tokens [B, T, D] of the images that were given.
    """

    image_hidden_states: Tensor | None = None


@dataclass
class PargoCausalLMOutput(CausalLMOutputWithPast):
    """What `PargoForConditionalGeneration` gives: logits, and the loss where labels were given.

    Attributes:
        image_hidden_states: projector tokens [B, T, D] of the images that were given.
    """

    image_hidden_states: Tensor | None = None


class PargoModel(PreTrainedModel):
    """Images and text -> the language model's last hidden states.

    Args:
        config: of all parts.
        parts: what it is made of; by default new parts with random weights.
    """

    config: PargoConfig
    config_class = PargoConfig
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    # small and exact: both are trained and evaluated in float32, whatever the language model's type
    _keep_in_fp32_modules_strict = ["vision_tower", "projector"]  # noqa: RUF012 - transformers' own name and type
    _keep_in_fp32_modules = _keep_in_fp32_modules_strict  # what quantizers leave alone

    def __init__(self, config: PargoConfig, parts: Parts | None = None) -> None:
        super().__init__(config)
        given, parts = parts is not None, parts or Parts.random(config)
        # the first one's number type is what transformers takes for the model's
        self.language_model, self.projector, self.vision_tower = parts
        if given:
            with no_init_weights():
                self.post_init()
        else:
            self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Fill what a checkpoint does not hold: buffers that follow from the config."""
        super()._init_weights(module)
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """A model of a directory or of the hub, as of all of transformers, but with all weights and no others.

        Raises:
            InputError: missing, unexpected or mis-shaped tensors, each listed.
        """
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        check_loading_info(str(args[0]) if args else cls.__name__, info)
        return (model, info) if output_loading_info else model

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_output_embeddings(value)

    def get_decoder(self) -> nn.Module:
        return self.language_model.get_decoder()

    def project(self, features: Tensor) -> Tensor:
        """Features [B, N, Dv] of the vision tower -> tokens [B, T, D] in the language model's number type."""
        return self.projector(features).to(self.get_input_embeddings().weight.dtype)

    @can_return_tuple
    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Tokens that stand for images.

        Args:
            pixel_values: [B, 3, image_size, image_size], as `PargoImageProcessor` gives them.

        Returns:
            `pooler_output`: tokens [B, T, D]; `last_hidden_state`: features [B, N, Dv].

        Raises:
            InputError: this model was built without a vision tower.
        """
        if self.vision_tower is None:
            raise InputError("this model has no vision tower: it takes stored features (`project`), not pixel_values")
        features = self.vision_tower(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=self.project(features))

    def embed(self, input_ids: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Embeddings [B, L, D] of text and images.

        Args:
            input_ids: [B, L]; `image_token_id` T times in a row stands for an image.
            tokens: [number of images, T, D], in the order in which the images stand in the batch.

        Raises:
            InputError: no row, or image tokens that are not those of the images.
        """
        if not len(input_ids):
            raise InputError("expected input_ids of at least one row, got an empty batch")
        is_image = input_ids == self.config.image_token_id
        self._check_image_tokens(is_image, tokens)
        # the image token itself need not be in the vocabulary
        embeddings = self.get_input_embeddings()(input_ids.masked_fill(is_image, 0))
        if tokens is None:
            return embeddings
        return embeddings.masked_scatter(is_image.unsqueeze(-1), tokens.to(embeddings.device, embeddings.dtype))

    def _tokens(self, pixel_values: Tensor | None, encoded: EncodedImages | None) -> Tensor | None:
        """Tokens of the images of a call of `forward`: already encoded by `generate`, to be encoded, or none."""
        if encoded and encoded.get("image") is not None:
            return encoded["image"].pooler_output
        return None if pixel_values is None else self.get_image_features(pixel_values).pooler_output

    def _check_image_tokens(self, is_image: Tensor, tokens: Tensor | None, per_row: int | None = None) -> None:
        """Raise InputError unless there are as many image tokens as the images have, each image in one piece.

        Args:
            per_row: images that a row may have at most.
        """
        if torch.compiler.is_compiling():
            return
        counts, per_image = is_image.sum(1), self.projector.num_tokens
        given = 0 if tokens is None else tokens.shape[0] * tokens.shape[1]
        wrong = counts.sum() != given
        # a chunk of a long prompt comes with the tokens that it holds, of all rows in one: images may be cut
        if tokens is None or (tokens.shape[1] == per_image and (len(tokens) > 1 or len(is_image) == 1)):
            # images may stand side by side, as those of packed samples do: a piece begins where whole ones end
            begins = is_image & ~F.pad(is_image, (1, 0))[:, :-1]
            wrong |= (begins & ((is_image.cumsum(1) - 1) % per_image != 0)).any() | (counts % per_image != 0).any()
        if per_row is not None:
            wrong |= (counts > per_row * per_image).any()
        if wrong:
            raise InputError(
                f"{counts.tolist()} image tokens in the rows of input_ids, but {given // per_image} image(s) of "
                f"{per_image} tokens, which stand together"
            )

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: EncodedImages | None = None,
        **kwargs: Any,
    ) -> PargoModelOutput:
        """Last hidden states of the language model, without its output layer.

        Args:
            input_ids: [B, L]; `image_token_id` T times in a row stands for an image.
            pixel_values: of all images, in the order in which they stand in the batch; see `get_image_features`.
            attention_mask: [B, L], 1 for tokens and 0 for padding. Without one nothing is hidden: with padding on the
                right, no token sees it anyway.
            position_ids: [B, L]; `generate` makes them from the mask, so that padding on the left does not count.
            inputs_embeds: [B, L, D] instead of `input_ids` and images.
            mm_encoder_outputs: `{"image": output of get_image_features}` instead of `pixel_values`; `generate` encodes
                images once and passes them on so.
            kwargs: of the language model, e.g. `past_key_values`, `use_cache`.
        """
        tokens = self._tokens(pixel_values, mm_encoder_outputs)
        if inputs_embeds is None:
            inputs_embeds = self.embed(input_ids, tokens)
        output = self.get_decoder()(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            return_dict=True,
            **kwargs,
        )
        return PargoModelOutput(**output, image_hidden_states=tokens)


class PargoForConditionalGeneration(PargoModel, GenerationMixin):
    """Images and text -> text. Its weights have the names of `PargoModel`'s: each loads what the other saved.

    Args:
        config: of all parts.
        parts: what it is made of; by default new parts with random weights.
    """

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Rows for every beam. transformers deals images out to them without asking whether their number matches."""
        encoded: EncodedImages = model_kwargs.get("mm_encoder_outputs") or {}
        mask, cache = model_kwargs.get("attention_mask"), model_kwargs.get("cache")
        self._check_padding(mask)
        if input_ids is not None:
            new = input_ids
            if cache is not None and (mask is None or mask.shape == input_ids.shape):
                new = input_ids[:, cache.get_seq_length() :]  # what is in the cache had its images then
            self._check_image_tokens(new == self.config.image_token_id, self._tokens(None, encoded), per_row=1)
        # copies, because it writes into what a caller may have passed
        model_kwargs["mm_encoder_outputs"] = {kind: type(output)(**output) for kind, output in encoded.items()}
        return super()._expand_inputs_for_generation(expand_size, is_encoder_decoder, input_ids, **model_kwargs)

    def _check_padding(self, mask: Tensor | None) -> None:
        """Language models that prepare each step in their own way (Mamba) would take padding for text."""
        language = type(self.language_model)
        own = language.prepare_inputs_for_generation is not GenerationMixin.prepare_inputs_for_generation
        if own and mask is not None and not mask.all():
            raise InputError(f"{language.__name__} generates from rows of one length alone: pass rows one at a time")

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: EncodedImages | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> PargoCausalLMOutput:
        """Logits, and the loss if there are labels; arguments as of `PargoModel`.

        Args:
            labels: [B, L], -100 where a token is not predicted (image tokens always).
            kwargs: of the language model, e.g. `logits_to_keep`.
        """
        tokens = self._tokens(pixel_values, mm_encoder_outputs)
        if inputs_embeds is None:
            inputs_embeds = self.embed(input_ids, tokens)
        output = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            labels=labels,
            return_dict=True,
            **kwargs,
        )
        return PargoCausalLMOutput(**output, image_hidden_states=tokens)
