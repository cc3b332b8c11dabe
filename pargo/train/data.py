"""What is trained on: captions or conversations with the features of their images, drawn by the sampler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Protocol

from pargo.data.feature_store import FeatureStore
from pargo.data.shards import Shards
from pargo.data.template import Encoded, encode_caption, encode_conversation
from pargo.errors import PargoError
from pargo.train.batch import Sample
from pargo.train.sampler import Sampler


class TextDataset(Protocol):
    """The texts of one dataset's samples."""

    ids: list[str]

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        """The text of a sample when it is drawn in an epoch."""


class CaptionDataset:
    """The kept captions of a caption artifact."""

    def __init__(self, directory: Path, tokenizer: Any) -> None:
        path = directory / "captions.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise PargoError(f"cannot read captions: {path}: {error.strerror}") from error
        self._captions: dict[str, str] = {row["id"]: row["caption"] for row in map(json.loads, lines)}
        self._tokenizer = tokenizer
        self.ids = list(self._captions)

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        """The same caption in every epoch."""
        return encode_caption(self._tokenizer, self._captions[sample_id])


class ConversationDataset:
    """The conversations of a source's split: turns in another order, and of a long one other turns, in every epoch."""

    def __init__(self, directory: Path, tokenizer: Any, *, name: str, seed: int, max_turns: int) -> None:
        shards = Shards(directory)
        turns = {sample_id: shards.record(sample_id)["conversation"] for sample_id in shards.ids}
        self._turns = {sample_id: conversation for sample_id, conversation in turns.items() if conversation}
        self._tokenizer = tokenizer
        self._name = name
        self._seed = seed
        self._max_turns = max_turns
        self.ids = list(self._turns)

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        """At most `max_turns` turns, chosen and ordered by (seed, dataset, sample, epoch)."""
        turns = list(self._turns[sample_id])
        Random(f"{self._seed}/{self._name}/{sample_id}/{epoch}").shuffle(turns)
        return encode_conversation(self._tokenizer, turns[: self._max_turns])


class TrainingData:
    """All samples of a run by their global index.

    Raises:
        PargoError: a sample has no features.
    """

    def __init__(
        self,
        seed: int,
        weights: Mapping[str, float],
        texts: Mapping[str, TextDataset],
        features: Mapping[str, FeatureStore],
    ) -> None:
        for name, dataset in texts.items():
            absent = [sample_id for sample_id in dataset.ids if sample_id not in features[name]]
            if absent:
                raise PargoError(f"dataset {name}: no features of {len(absent)} samples, e.g. {absent[0]}")
        self.weights = weights
        self.texts = texts
        self._features = features
        self._sampler = Sampler(seed, {name: dataset.ids for name, dataset in texts.items()}, weights)

    def sample(self, index: int) -> Sample:
        """The sample with this global index."""
        draw = self._sampler.draw(index)
        text = self.texts[draw.dataset].encode(draw.sample_id, draw.epoch)
        return Sample(self._features[draw.dataset][draw.sample_id], text)
