"""From a question to the model's input: a benchmark's presets choose the wording, a template what stands around it.

The wordings are in `<benchmark>/prompt.py`; here are the templates and what a preset says about generation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from pargo.benchmarks import load
from pargo.benchmarks.records import Question
from pargo.data.pieces import IMAGE_PIECE, OPENING, Piece, opening_token, piece_ids
from pargo.data.template import IMAGE, encode_prompt, stop_ids
from pargo.errors import PargoError

Template = Literal["compact", "caption", "vicuna", "pargo_release"]

# Limits of an answer in tokens: it is not cut before what its parser reads, and a model that ends its answers soon pays
# nothing for that. Both are LLaVA-1.5's (its scripts model_vqa_loader; model_vqa and model_vqa_mmbench).
SHORT_ANSWER = 128  # a word, an option's text, or MME's 20 characters, which are at most 4 tokens each
WHOLE_ANSWER = 1024  # where the parser or the judge reads on, however long the answer is

# Vicuna's opening, which LLaVA-1.5 and ParGo's release put before every question
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# text before the image, between image and wording, and after the wording; compact, and caption, which has no wording,
# are in `pargo.data.template`
TEMPLATES: dict[Template, tuple[str, str, str]] = {
    "vicuna": (f"{SYSTEM} USER: ", "\n", " ASSISTANT:"),
    "pargo_release": (f"{SYSTEM} USER: <Img>", "</Img> ", "\nASSISTANT: "),
}


@dataclass(frozen=True)
class Preset:
    """How a benchmark is asked under a name.

    Args:
        wording: the text of a question, with its options and its answer-format sentence.
        template: what stands around image and wording.
        max_new_tokens, num_beams: unless the config's `generation` says otherwise.
    """

    wording: Callable[[Question], str]
    template: Template
    max_new_tokens: int
    num_beams: int = 1

    def encode(self, tokenizer: Any, question: Question) -> list[int]:
        """Token ids of a question with one `IMAGE` placeholder; the answer follows."""
        return self.encode_text(tokenizer, self.wording(question))

    def encode_text(self, tokenizer: Any, text: str) -> list[int]:
        """Token ids of a question's wording, in the template and with one `IMAGE` placeholder.

        A tokenizer that begins texts with a token of its own (BOS) gets it first, but not in the compact template,
        which has no fixed tokens.
        """
        if self.template == "compact":
            return encode_prompt(tokenizer, text, compact=False)
        if self.template == "caption":
            return [IMAGE]  # as in pretraining; the caption follows
        # LLaVA and the release tokenize what is before and after the image as two texts
        before, between, after = TEMPLATES[self.template]
        pieces = [Piece(OPENING, before), IMAGE_PIECE, Piece(OPENING, f"{between}{text}{after}")]
        return piece_ids(tokenizer, [*opening_token(tokenizer), *pieces], [IMAGE])

    def stop_ids(self, tokenizer: Any) -> list[int]:
        """Tokens that end an answer; a newline does in the templates of training only."""
        if self.template in ("compact", "caption"):
            return stop_ids(tokenizer)
        return [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]


class PromptPart(Protocol):
    """The part `prompt` of a benchmark; see `pargo.benchmarks.parts` for the others."""

    PRESETS: dict[str, Preset]


def load_prompt(kind: str) -> PromptPart:
    """The presets of a benchmark."""
    return cast(PromptPart, load(kind, "prompt"))


def options_block(question: Question) -> str:
    """`A. first` and so on, a line an option."""
    return "\n".join(f"{letter}. {text}" for letter, text in question.options.items())


def find_preset(presets: Mapping[str, Preset], name: str) -> Preset:
    """The preset of this name; PargoError lists the choices."""
    if name not in presets:
        raise PargoError(f"unknown prompt {name!r}; choices: {', '.join(sorted(presets))}")
    return presets[name]
