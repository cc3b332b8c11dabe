"""Text and images together, as a model takes them: every image placeholder becomes the projector's number of tokens."""

from __future__ import annotations

from typing import Any

from transformers import BatchFeature, PreTrainedTokenizerBase
from transformers.processing_utils import MultiModalData, ProcessorMixin

from pargo.errors import InputError
from pargo.models.image_processor import PargoImageProcessor

IMAGE_TOKEN = "<image>"  # noqa: S105 - no password


class PargoProcessor(ProcessorMixin):
    """Images and prompts -> `pixel_values`, `input_ids`, `attention_mask`.

    A prompt holds `<image>` once for its image, or not at all; `apply_chat_template` writes it. Prompts of different
    lengths are padded on the left, as generation needs it.

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
        """See the class; arguments as of all processors of transformers.

        Nothing is put before a prompt (`add_special_tokens` is False): what training had there, the template writes.
        """
        kwargs.setdefault("add_special_tokens", False)
        prompts = [text] if isinstance(text, str) else list(text or ())
        if not prompts and text is not None:
            raise InputError("expected at least one prompt, got none")
        for index, prompt in enumerate(prompts):
            if isinstance(prompt, str) and prompt.count(IMAGE_TOKEN) > 1:
                raise InputError(
                    f"prompt {index} has {prompt.count(IMAGE_TOKEN)} images ({IMAGE_TOKEN}); the model takes one"
                )
        try:
            return super().__call__(images=images, text=text, **kwargs)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(str(error)) from error

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: Any) -> str:
        return IMAGE_TOKEN * self.num_image_tokens

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **kwargs: Any) -> MultiModalData:
        """For servers that plan ahead: tokens of images of these sizes."""
        count = len(image_sizes or ())
        return MultiModalData(num_image_tokens=[self.num_image_tokens] * count, num_image_patches=[1] * count)
