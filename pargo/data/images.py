"""The images of a source, whatever its layout: features and benchmarks read them by id through one interface."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from pargo.data.image_names import BENCHMARK, is_image_name
from pargo.data.rgb import open_rgb
from pargo.data.shards import INDEX, Shards
from pargo.errors import PargoError


class ImageSet(Protocol):
    """Images by id, in one fixed order."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of all images."""

    def __contains__(self, identifier: object) -> bool: ...

    def load(self, identifier: str) -> Image.Image:
        """An image by its id, RGB."""

    def read(self, identifier: str) -> bytes:
        """The bytes of an image's file, by its id."""


class FolderImages:
    """Image files below a folder (MME's layout); an id is the path below it, e.g. `existence/0001.png`; sorted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        files = (path for path in directory.rglob("*") if is_image_name(path, BENCHMARK))
        self.ids: Sequence[str] = sorted(path.relative_to(directory).as_posix() for path in files)
        self._known = frozenset(self.ids)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._known

    def read(self, identifier: str) -> bytes:
        """The bytes of an image's file, by its id."""
        if identifier not in self._known:
            raise PargoError(f"{self.directory} has no image {identifier!r}; it has {len(self.ids)} images")
        return (self.directory / identifier).read_bytes()

    def load(self, identifier: str) -> Image.Image:
        """An image by its id, RGB."""
        return open_rgb(io.BytesIO(self.read(identifier)), f"{identifier} of {self.directory}")


def open_images(source: Path, split: str) -> ImageSet:
    """The images of one split of a source directory (shards, or a folder of image files).

    Raises:
        PargoError: there is no such split, or it holds no images.
    """
    directory = source / split
    if not directory.is_dir():
        splits = sorted(path.name for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
        raise PargoError(f"{source} has no split {split!r}; choices: {', '.join(splits) or 'none'}")
    images: ImageSet = Shards(directory) if (directory / INDEX).exists() else FolderImages(directory)
    if not images.ids:
        raise PargoError(f"{directory} holds no images")
    return images
