"""What goes into a caption engine and what comes out of it."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, TypeVar

from PIL import Image

from pargo.config.engines import EngineSettings
from pargo.data.images import ImageSet
from pargo.data.rgb import open_rgb
from pargo.data.shards import Shards
from pargo.errors import InputError, PargoError


@dataclass(frozen=True)
class Sample:
    """One image with its record; the image is read when somebody asks for it."""

    id: str
    record: Mapping[str, Any]
    images: ImageSet


@dataclass(frozen=True)
class Caption:
    """One caption and how it came about; what an engine without a model does not know is null.

    Attributes:
        model: as the server calls it.
        revision: as the config says.
        prompt: id of what was asked.
        sampling: what was sent beside it.
        finish_reason: why the model stopped; `length` means that it was cut off.
        usage: tokens read and written, as the server counts them.
        time: when it came, UTC.
    """

    id: str
    caption: str
    model: str | None = None
    revision: str | None = None
    prompt: str | None = None
    sampling: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None
    time: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Failure:
    """An image without a caption.

    Attributes:
        kind: `permanent` failures would be the same again; `unavailable` ones are tried again by the next run.
    """

    id: str
    reason: str
    kind: Literal["permanent", "unavailable"]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Result = Caption | Failure


Chosen = TypeVar("Chosen", bound=EngineSettings)


class CaptionEngine(ABC, Generic[Chosen]):
    """Makes captions; `CaptionEngine[OpenAIEngine]` says which settings it takes.

    Args:
        settings: of the engine, from the config.
    """

    def __init__(self, settings: Chosen) -> None:
        self.settings = settings

    @classmethod
    def request(cls, settings: Chosen, name: str, record: Mapping[str, Any]) -> object:
        """What the caption of an image depends on beside the image, and the settings that are not `in_request`.

        Args:
            settings: of the engine.
            name: of the image.
            record: of the image.
        """
        return [name, record.get("alt_text") if settings.shows_text else None]

    @abstractmethod
    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        """One result for each sample, in any order, as they come.

        Raises:
            PargoError: nothing more can be made now.
        """


def read_image(sample: Sample) -> Image.Image:
    """The image of a sample, RGB.

    Raises:
        InputError: its bytes are no usable image.
        PargoError: its bytes cannot be read, or are no longer those that were written.
    """
    data = sample.images.read(sample.id)
    try:
        return open_rgb(io.BytesIO(data), sample.id)
    except PargoError as error:
        raise InputError(str(error)) from error


def failure(sample: Sample, error: PargoError) -> Failure:
    """The failure of an image that `read_image` did not give: permanent if its bytes are at fault, not the storage."""
    return Failure(sample.id, str(error), "permanent" if isinstance(error, InputError) else "unavailable")


def read_samples(shards: Shards, ids: Iterable[str]) -> Iterator[Sample]:
    """Samples of a source, their records read one at a time."""
    for identifier in ids:
        yield Sample(identifier, shards.record(identifier), shards)
