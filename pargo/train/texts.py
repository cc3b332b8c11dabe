"""The texts that are trained on: captions or conversations, which stay in their files until a sample is drawn.

A process holds ids and places of a million samples in flat memory, which forked workers share: an object of Python is
copied into every worker that looks at it, for its count of references changes.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

import numpy as np

from pargo.data.shard_index import Ids
from pargo.data.shards import Shards
from pargo.data.template import Encoded, encode_caption, encode_conversation
from pargo.errors import InputError, PargoError


class TextDataset(Protocol):
    """The texts of one dataset's samples."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of all samples, in a fixed order."""

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        """The text of a sample when it is drawn in an epoch."""


class CaptionDataset:
    """The kept captions of a caption artifact, read from the file one at a time: a million fill gigabytes.

    Raises:
        PargoError: the file cannot be read, or a line is no caption.
    """

    def __init__(self, directory: Path, tokenizer: Any) -> None:
        self._path = directory / "captions.jsonl"
        self._tokenizer = tokenizer
        self._file: int | None = None
        self._ends = array("q", [0])
        try:
            with self._path.open("rb") as file:
                self.ids = Ids.of(map(self._note, file), self._path)
        except OSError as error:
            raise PargoError(f"cannot read captions: {self._path}: {error.strerror}") from error

    def _note(self, line: bytes) -> str:
        """Remember where a line ends; its id."""
        self._ends.append(self._ends[-1] + len(line))
        return self._parse(line, len(self._ends) - 1)["id"]

    def _parse(self, line: bytes, number: int) -> dict[str, str]:
        """The record of a line; its number, counted from one, is for the error."""
        try:
            record = json.loads(line)
            if not (isinstance(record["id"], str) and isinstance(record["caption"], str)):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{self._path}, line {number}: no JSON object with `id` and `caption`: the file is damaged, or changed"
            ) from None
        return record

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        """The caption of a sample, encoded; the same in every epoch."""
        row = self.ids.index(sample_id)
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            # no shared file position: forked workers may share the file
            line = os.pread(self._file, self._ends[row + 1] - self._ends[row], self._ends[row])
        except OSError as error:
            raise PargoError(f"cannot read captions: {self._path}: {error.strerror}") from error
        record = self._parse(line, row + 1)
        if record["id"] != sample_id:
            raise InputError(
                f"{self._path}, line {row + 1}: of {record['id']!r}, not {sample_id!r}: the file has changed"
            )
        return encode_caption(self._tokenizer, record["caption"])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def __del__(self) -> None:
        if self.__dict__.get("_file") is not None:
            os.close(self._file)  # type: ignore[arg-type]


class ConversationDataset:
    """The conversations of a source's split, read from its shards one at a time; empty ones are left out.

    Args:
        directory: of the split.
        name, seed: decide the order of shuffled turns.
        max_turns: how many of a conversation, by default all.
        shuffle: turns come in another order, and of a long conversation other turns, in every epoch.

    Raises:
        PargoError: a record cannot be read, or has no conversation.
    """

    def __init__(
        self,
        directory: Path,
        tokenizer: Any,
        *,
        name: str,
        seed: int,
        max_turns: int | None = None,
        shuffle: bool = False,
    ) -> None:
        self._shards = Shards(directory)
        count = len(self._shards)
        kept = np.fromiter((bool(self._turns(record)) for record in self._shards.records()), bool, count)
        self.ids = self._shards.ids if kept.all() else self._shards.ids.where(kept)
        self._tokenizer = tokenizer
        self._name = name
        self._seed = seed
        self._max_turns = max_turns
        self._shuffle = shuffle

    def _turns(self, record: Mapping[str, Any]) -> list[tuple[str, str]]:
        try:
            return record["conversation"]
        except KeyError:
            raise InputError(f"{self._shards.directory}: sample {record['id']!r} has no conversation") from None

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        """The first turns, as they are or after a shuffle by (seed, dataset, sample, epoch)."""
        turns = self._turns(self._shards.record(sample_id))
        if self._shuffle:
            Random(f"{self._seed}/{self._name}/{sample_id}/{epoch}").shuffle(turns)
        return encode_conversation(self._tokenizer, turns[: self._max_turns])
