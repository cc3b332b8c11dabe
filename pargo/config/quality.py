"""Which captions are good enough to train on. A rule whose threshold is null drops nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pargo.config.base import Fraction, Positive, Settings


class Scorer(Settings):
    """A model like CLIP, which says how well a caption fits its image, sentence by sentence."""

    directory: str = Field(description="of a model that transformers can load; relative to the project")
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = Field(description="cosine, mean over the sentences")
    min_sentence_similarity: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        None, description="cosine, of the sentence that fits least: one invented thing in a long caption"
    )
    batch_size: Positive = 32


class Quality(Settings):
    """Rules of the caption filter, each counted by its name; the first that holds is the reason.

    Lengths are in words. Where words are not divided by spaces, two characters of Chinese or Japanese, or four of
    Thai, Lao, Khmer or Burmese, count as one. The words of refusals, of labels and of what no image shows are English
    (labels: some of Chinese, Japanese and Korean too).
    """

    truncated: bool = Field(True, description="drop what the model could not finish")
    unfinished: bool = Field(
        False, description="drop what ends in mid-sentence; not for captions that are no sentences, as alt texts"
    )
    thoughts: bool = Field(
        True,
        description="cut the thoughts of reasoning models (`<think>...</think>` and the like) and go on without them; "
        "drop what has thoughts without an end",
    )
    control_tokens: bool = Field(True, description="drop what holds tokens of a chat template: `</s>`, `[/INST]`")
    roles: bool = Field(True, description="drop what begins with who speaks: `ASSISTANT:`, `### Response:`")
    labels: bool = Field(
        True, description="drop what begins with its label (`**Caption:**`, `Here is a description:`) or has headings"
    )
    wrapped: bool = Field(True, description="drop what is in quotes, a code fence, bold, a tag or JSON as a whole")
    refusals: bool = Field(True, description="drop refusals, and talk about being a model or about the request")
    min_words: Positive = 3
    max_words: Positive = 400
    max_repetition: Fraction = Field(0.5, description="largest share of the words taken by one word")
    max_character_run: Positive | None = Field(10, description="one character in a row, at most")
    max_repeated_ngrams: Fraction | None = Field(
        0.3, description="share of the four-word sequences that came before in the caption; from 40 words on"
    )
    max_unseen: Fraction | None = Field(
        None, description="share of words on what no image shows, or of guessing: sounds, smells, before and after"
    )
    languages: tuple[str, ...] | None = Field(None, description="codes such as en; null: any")
    exact_duplicates: bool = Field(False, description="drop a text that another image has already")
    near_duplicate_distance: Annotated[int, Field(ge=0, le=96)] | None = Field(
        None, description="bits of 256 (SimHash of three-word sequences) in which a text differs from an earlier one"
    )
    scorer: Scorer | None = None

    @property
    def local_files(self) -> list[Path]:
        """The folder of the model that scores captions, if one does."""
        return [] if self.scorer is None else [Path(self.scorer.directory)]
