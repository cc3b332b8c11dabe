"""What is trained on: captions or conversations with their images, drawn by the sampler, a step at a time."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pargo.config.training import Train
from pargo.data.images import ImageSet
from pargo.data.shard_index import Ids
from pargo.data.template import IGNORE_INDEX, Encoded
from pargo.errors import PargoError
from pargo.models.image_processor import PargoImageProcessor
from pargo.train.batch import Batch, Sample, collate, length, num_supervised
from pargo.train.cut import Cut, add_up, shorten
from pargo.train.sampler import Sampler
from pargo.train.termination import ignore
from pargo.train.texts import TextDataset

OPEN_FILES = 65_536


class ImageStore(Protocol):
    """What the model reads of images, by id: stored features [N, Dv] or pixels [3, H, W]."""

    def __contains__(self, name: str) -> bool: ...

    def __getitem__(self, name: str) -> Tensor: ...


class Pixels:
    """Images of a source as the vision tower takes them, read and resized when they are asked for."""

    def __init__(self, images: ImageSet, processor: PargoImageProcessor) -> None:
        self._images = images
        self._processor = processor

    @property
    def ids(self) -> Sequence[str]:
        """Ids of all images."""
        return self._images.ids

    def __contains__(self, name: str) -> bool:
        return name in self._images

    def __getitem__(self, name: str) -> Tensor:
        """An image by its id, normalised, [3, H, W], float32.

        Raises:
            PargoError: it cannot be read.
        """
        return self._processor(images=[self._images.load(name)], return_tensors="pt")["pixel_values"][0]


class TrainingData:
    """All samples of a run by their global index.

    Args:
        seed: of the order.
        weights: dataset name -> weight in the mixture.
        texts: dataset name -> its texts.
        images: dataset name -> its images.
        skip_bad: train on, without them, when samples cannot be read or are not finite.

    Raises:
        PargoError: a sample has no image.
    """

    def __init__(
        self,
        seed: int,
        weights: Mapping[str, float],
        texts: Mapping[str, TextDataset],
        images: Mapping[str, ImageStore],
        *,
        skip_bad: bool = False,
    ) -> None:
        for name, dataset in texts.items():
            absent = _absent(dataset.ids, images[name])
            if absent:
                raise PargoError(f"dataset {name}: no image or features of {len(absent)} samples, e.g. {absent[0]}")
        self.weights = weights
        self.texts = texts
        self._images = images
        self._skip_bad = skip_bad
        self._sampler = Sampler(seed, {name: dataset.ids for name, dataset in texts.items()}, weights)

    def dataset(self, index: int) -> str:
        """The dataset of the sample with this global index."""
        return self._sampler.draw(index).dataset

    def name(self, index: int) -> str:
        """`dataset/sample id` of a global index."""
        draw = self._sampler.draw(index)
        return f"{draw.dataset}/{draw.sample_id}"

    def text(self, index: int) -> Encoded:
        """The text of the sample with this global index."""
        draw = self._sampler.draw(index)
        return self.texts[draw.dataset].encode(draw.sample_id, draw.epoch)

    def image(self, index: int) -> Tensor | None:
        """The image of the sample with this global index; None if it is bad and such are skipped.

        Raises:
            PargoError: it is bad and not skipped.
        """
        draw = self._sampler.draw(index)
        try:
            image = self._images[draw.dataset][draw.sample_id]
            if not image.isfinite().all():
                raise PargoError("its image holds numbers that are not finite")
        except PargoError as error:
            if self._skip_bad:
                return None
            raise PargoError(f"sample {self.name(index)}: {error}") from error
        return image


def _absent(ids: Sequence[str], images: ImageStore) -> list[str]:
    """Ids without an image; a million at once where both are in Arrow."""
    known = getattr(images, "ids", None)
    if isinstance(ids, Ids) and isinstance(known, Ids):
        return ids.absent(known)
    return [sample_id for sample_id in ids if sample_id not in images]


@dataclass(frozen=True)
class StepData:
    """What one rank computes in one optimizer step.

    Attributes:
        batches: one for each pass.
        supervised: tokens that count in the loss, on this rank.
        tokens: text and image tokens, on this rank, without padding.
        names: of this rank's samples, in the order of the batches.
        unanswered: names of those that `max_length` left without an answer; they add nothing to the loss.
        bad: names of those whose image was skipped; they add nothing either.
        cut: dataset -> what `max_length` cut off this rank's samples.
    """

    batches: list[Batch]
    supervised: int
    tokens: int
    names: list[str]
    unanswered: list[str]
    bad: list[str]
    cut: dict[str, Cut]


class Steps(Dataset):
    """The data of every optimizer step.

    Which samples make a step follows from their global indices alone. Inside a step they are sorted by length, so
    that a pass holds samples of like lengths, and ranks that wait for each other do the same work.

    Args:
        data: samples by global index.
        train: batch sizes and lengths.
        num_image_tokens, image_token_id: of the model.
        rank, world_size: this process among all.
    """

    def __init__(
        self,
        data: TrainingData,
        train: Train,
        *,
        num_image_tokens: int,
        image_token_id: int,
        rank: int,
        world_size: int,
    ) -> None:
        self._data = data
        self._train = train
        self._image = {"num_image_tokens": num_image_tokens, "image_token_id": image_token_id}
        self._rank = rank
        self._world_size = world_size

    def indices(self, step: int) -> range:
        """Global indices of a step's samples."""
        return range(step * self._train.batch_size, (step + 1) * self._train.batch_size)

    def names(self, step: int) -> list[str]:
        """Names of a step's samples."""
        return [self._data.name(index) for index in self.indices(step)]

    def supervised(self, step: int) -> int:
        """Tokens that count in the loss, over all ranks."""
        return sum(num_supervised(text) for text, _ in self._texts(step).values())

    def lengths(self, step: int) -> list[int]:
        """Text and image tokens of each sample of a step."""
        return [length(text, self._image["num_image_tokens"]) for text, _ in self._texts(step).values()]

    def _texts(self, step: int) -> dict[int, tuple[Encoded, Cut]]:
        longest, count = self._train.max_length, self._image["num_image_tokens"]
        return {index: shorten(self._data.text(index), longest, count) for index in self.indices(step)}

    def __getitem__(self, step: int) -> StepData:
        train, count, found = self._train, self._image["num_image_tokens"], self._texts(step)
        texts = {index: text for index, (text, _) in found.items()}
        order = sorted(texts, key=lambda index: (-length(texts[index], count), index))
        size = train.micro_batch_size
        passes = [order[start : start + size] for start in range(0, len(order), size)][self._rank :: self._world_size]
        bad: list[str] = []
        batches = [
            collate(samples, packing=train.packing, **self._image)
            for samples in (self._samples(indices, texts, bad) for indices in passes)
        ]
        own = [index for indices in passes for index in indices]  # at the end of an epoch one may be there twice
        return StepData(
            batches,
            supervised=sum(int((batch.labels != IGNORE_INDEX).sum()) for batch in batches),
            tokens=sum(length(texts[index], count) for index in own),
            names=[self._data.name(index) for index in own],
            unanswered=[
                name
                for index in own
                if (name := self._data.name(index)) not in bad and not num_supervised(texts[index])
            ],
            bad=bad,
            cut=add_up({self._data.dataset(index): found[index][1]} for index in own),
        )

    def _samples(self, indices: Sequence[int], texts: Mapping[int, Encoded], bad: list[str]) -> list[Sample]:
        samples, images = [], [self._data.image(index) for index in indices]
        shape = next((image.shape for image in images if image is not None), None)
        for index, image in zip(indices, images, strict=True):
            text = texts[index]
            if image is None:
                # its place stays, so that every rank still makes the same passes
                bad.append(self._data.name(index))
                image = torch.zeros(shape if shape is not None else self._shape())
                text = Encoded(text.input_ids, (IGNORE_INDEX,) * len(text.labels))
            samples.append(Sample(self._data.name(index), image, text))
        return samples

    def _shape(self) -> torch.Size:
        """The shape of an image, when a whole pass is bad."""
        for index in range(self._train.num_samples):
            image = self._data.image(index)
            if image is not None:
                return image.shape
        raise PargoError("no sample has an image that can be read")


def load(steps: Steps, start: int, train: Train) -> Iterator[StepData]:
    """The data of the steps from `start` on; read ahead by `train.num_workers` processes, in the same order."""
    # every tensor of a step that is read ahead is an open file; the usual limit of 1,024 is too low for large batches
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(start, train.num_steps),
        num_workers=train.num_workers,
        collate_fn=_as_is,
        worker_init_fn=ignore,
    )
    return iter(loader)


def _as_is(step: StepData) -> StepData:
    """No conversion by the loader: a step is what it is."""
    return step
