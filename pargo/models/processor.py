"""Text and images together, as a model takes them: every image placeholder becomes the projector's number of tokens."""

from __future__ import annotations

from typing import Any

from transformers import BatchFeature, PreTrainedTokenizerBase
from transformers.processing_utils import MultiModalData, ProcessorMixin

from pargo.data.pieces import IMAGE_PIECE, IMAGE_TOKEN, PIECE_MARKS, is_marked, piece_ids, read_prompt
from pargo.errors import InputError
from pargo.models.image_processor import PargoImageProcessor

# settings of `PreTrainedTokenizerBase.pad`, which are all that a prompt of known pieces leaves open
_PADDING = ("padding", "max_length", "pad_to_multiple_of", "padding_side", "return_attention_mask", "return_tensors")


class PargoProcessor(ProcessorMixin):
    """Images and prompts -> `pixel_values`, `input_ids`, `attention_mask`.

    A prompt of `apply_chat_template` has the token ids of training, whatever its texts say: it marks where its pieces
    begin (`pargo.data.pieces`). One written by hand is tokenized as it stands, and holds `<image>` once for its image,
    or not at all. Prompts of different lengths are padded on the left, as generation needs it.

    Args:
        image_processor: of the vision tower.
        tokenizer: of the language model; has the token `<image>`.
        num_image_tokens: T, tokens that the projector gives for an image.
        chat_template: Jinja template of conversations, in the form in which the model was trained.

    Raises:
        InputError: the tokenizer has no `<image>`; when called: a prompt with several images, or another number of
            images than the prompts have.
    """

    def __init__(
        self,
        image_processor: PargoImageProcessor | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        num_image_tokens: int = 304,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.num_image_tokens = num_image_tokens
        self.image_token = IMAGE_TOKEN
        if tokenizer is None:
            raise InputError("a processor needs a tokenizer")
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        if self.image_token_id in (None, tokenizer.unk_token_id):
            raise InputError(f"the tokenizer has no token {IMAGE_TOKEN}: add it as a special token")
        tokenizer.padding_side = "left"
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> BatchFeature:
        """Inputs of the model from images and prompts, with arguments and options as of all processors of transformers.

        Nothing is put before a prompt (`add_special_tokens` is False): what training had there, the template writes.
        """
        kwargs.setdefault("add_special_tokens", False)
        prompts = [text] if isinstance(text, str) else list(text or ())
        if not prompts and text is not None:
            raise InputError("expected at least one prompt, got none")
        marked = any(isinstance(prompt, str) and is_marked(prompt) for prompt in prompts)
        for index, prompt in enumerate(prompts):
            if isinstance(prompt, str) and (found := self._num_images(prompt)) > 1:
                raise InputError(f"prompt {index} has {found} images ({IMAGE_TOKEN}); the model takes one")
        try:
            if marked:
                return self._read_marked(images, prompts, **kwargs)
            return super().__call__(images=images, text=text, **kwargs)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(str(error)) from error

    def apply_chat_template(self, conversation: Any, chat_template: str | None = None, **kwargs: Any) -> Any:
        """The prompt of a conversation, or with `tokenize=True` its inputs; arguments as of all processors.

        Control tokens in the texts are always plain text (`sanitize_control_tokens`).

        Raises:
            InputError: no message, or `return_assistant_tokens_mask`, which the templates of this project do not give.
        """
        if not conversation:
            raise InputError("a conversation has at least one message, got none")
        if kwargs.pop("return_assistant_tokens_mask", False):
            raise InputError("return_assistant_tokens_mask: this model's chat template does not mark its answers")
        if PIECE_MARKS in self._resolve_chat_template(chat_template):
            kwargs[PIECE_MARKS] = True
            kwargs.pop("sanitize_control_tokens", None)
        return super().apply_chat_template(conversation, chat_template, **kwargs)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Token ids of a prompt of `apply_chat_template`, with those of its image."""
        return piece_ids(self.tokenizer, read_prompt(prompt), [self.image_token_id] * self.num_image_tokens)

    def _num_images(self, prompt: str) -> int:
        return read_prompt(prompt).count(IMAGE_PIECE) if is_marked(prompt) else prompt.count(IMAGE_TOKEN)

    def _read_marked(self, images: Any, prompts: list[str], **kwargs: Any) -> BatchFeature:
        """Inputs of prompts whose pieces are known."""
        merged = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)["text_kwargs"]
        if other := sorted(name for name, value in merged.items() if value and name not in (*_PADDING, "verbose")):
            raise InputError(f"prompts of apply_chat_template are tokenized without {', '.join(other)}")
        seen = {} if images is None else super().__call__(images=images, **kwargs)
        given, needed = len(seen.get("pixel_values", ())), sum(map(self._num_images, prompts))
        if given != needed:
            raise InputError(
                f"the number of {IMAGE_TOKEN} tokens must be that of the images: found {needed} {IMAGE_TOKEN} tokens "
                f"and {given} images"
            )
        rows = [self.prompt_ids(prompt) for prompt in prompts]
        padding = {name: merged[name] for name in _PADDING if merged.get(name) is not None}
        texts = self.tokenizer.pad({"input_ids": rows}, **{"padding": False} | padding)
        return BatchFeature({**texts, **seen}, tensor_type=merged.get("return_tensors"))

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: Any) -> str:
        return IMAGE_TOKEN * self.num_image_tokens

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **kwargs: Any) -> MultiModalData:
        """For servers that plan ahead: tokens of images of these sizes."""
        count = len(image_sizes or ())
        return MultiModalData(num_image_tokens=[self.num_image_tokens] * count, num_image_patches=[1] * count)
