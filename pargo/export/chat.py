"""`pargo chat`: a conversation in the terminal about one image, and where the model looked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from PIL import Image

from pargo.data.rgb import open_rgb
from pargo.data.square import as_seen
from pargo.errors import InputError
from pargo.export.load import load_exported
from pargo.models.processor import PargoProcessor
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.report.figure_attention import AttentionMaps, attention_figure
from pargo.report.style import style


def chat(directory: Path, image_file: Path, *, questions: Iterable[str] = (), attention: Path | None = None) -> None:
    """Answer questions about an image: the given ones, or what is typed, until an empty line or the end of input.

    Args:
        directory: of an exported model.
        image_file: an image.
        questions: to ask without waiting for more.
        attention: PNG or SVG file for the attention of partial and global tokens over the image.

    Raises:
        InputError: no such model or image, or attention of a projector that has none.
    """
    image = open_rgb(image_file, str(image_file))
    model, processor = load_exported(directory)
    talk = Conversation(model, processor, image)
    if attention is not None:
        save_attention(talk, image_file.name, attention)
        print(f"attention: {attention}", file=sys.stderr)
    for question in questions or _typed():
        print(talk.ask(question), flush=True)


class Conversation:
    """One image and what was said about it; the image is encoded once."""

    def __init__(self, model: PargoForConditionalGeneration, processor: PargoProcessor, image: Image.Image) -> None:
        self.model, self.processor, self.image = model, processor, image
        pixel_values = processor.image_processor(images=image, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            self.encoded = model.get_image_features(pixel_values.to(model.device))
        self.messages: list[dict] = []

    @torch.inference_mode()
    def ask(self, question: str) -> str:
        """The answer to the next question."""
        image = [] if self.messages else [{"type": "image"}]
        asked = {"role": "user", "content": [*image, {"type": "text", "text": question}]}
        prompt = self.processor.apply_chat_template([*self.messages, asked], add_generation_prompt=True)
        inputs = {"input_ids": torch.tensor([self.processor.prompt_ids(prompt)], device=self.model.device)}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        ids = self.model.generate(**inputs, mm_encoder_outputs={"image": self.encoded})
        answer = self.processor.tokenizer.decode(
            ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        ).strip()
        self.messages += [asked, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]
        return answer


@torch.inference_mode()
def save_attention(talk: Conversation, name: str, output: Path) -> None:
    """Draw the last layer's cross-attention over the image, under a name.

    Raises:
        InputError: the projector has no cross-attention, or the file is neither PNG nor SVG.
    """
    if output.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"attention: {output} is neither a .png nor a .svg file")
    projector = talk.model.projector
    _, attentions = projector(talk.encoded.last_hidden_state, output_attentions=True)
    if not attentions.cross_attention:
        raise InputError(f"attention: a projector {projector.config.name!r} has no cross-attention to draw")
    num_partial = getattr(projector.config, "num_partial_tokens", 0)
    maps = AttentionMaps(
        images=(as_seen(talk.image, talk.processor.image_processor.resize_policy),),
        names=(name,),
        maps=attentions.cross_maps()[-1].float().cpu().numpy(),
        num_partial=num_partial,
        num_global=projector.num_tokens - num_partial,
    )
    with style():
        output.parent.mkdir(parents=True, exist_ok=True)
        attention_figure(maps, projector.shape.num_patches).savefig(output)


def _typed() -> Iterator[str]:
    """Lines of a person, with a prompt in a terminal, or of a file; an empty line ends them."""
    shown = sys.stdin.isatty()
    while True:
        if shown:
            print("? ", end="", flush=True)
        line = sys.stdin.readline().strip()
        if not line:
            return
        yield line
