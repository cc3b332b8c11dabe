"""Shards: images and their records in plain tar files (webdataset layout) with an index for random access.

An image (`<id>.png` or `.jpg`) and its `<id>.json` stand side by side in `shard-00000.tar`, ...; `index.parquet` says
where each is, so that any sample is one read. Equal samples give equal bytes: no times, owners or modes enter.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from array import array
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from PIL import Image

from pargo.data.rgb import open_rgb
from pargo.data.shard_index import FILES, INDEX, NUMBERS, SCHEMA, Ids, Index, write_index
from pargo.errors import InputError, PargoError
from pargo.progress import track

__all__ = ["ID_PATTERN", "INDEX", "SAMPLES_PER_SHARD", "ShardWriter", "Shards"]

SAMPLES_PER_SHARD = 1000
ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,90}")
MAX_OPEN = 64  # files of one `Shards`; there may be thousands, and a process may open a thousand


class ShardWriter:
    """Writes samples in the order given; use as a context manager.

    A shard gets its name when it is complete and on disk, and the index comes last: a folder without an index is
    unfinished, and one that failed holds no half shard. A sample costs about 200 bytes of memory.
    """

    def __init__(self, directory: Path, samples_per_shard: int = SAMPLES_PER_SHARD) -> None:
        self.directory = directory
        self.samples_per_shard = samples_per_shard
        self._ids: dict[str, None] = {}  # a set that keeps the order
        self._numbers = {name: array("q") for name in NUMBERS}
        self._sha256 = bytearray()
        self._tar: tarfile.TarFile | None = None
        self._file: BinaryIO | None = None
        self._partial = directory / ".shard.partial"

    def __enter__(self) -> ShardWriter:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, image: bytes, record: Mapping[str, Any], extension: str = "png") -> None:
        """Append one sample: the bytes of an image file and its record, whose `id` names it.

        Raises:
            ValueError: the id was used before or holds other characters than letters, digits, `_` and `-`.
        """
        identifier = record["id"]
        if not ID_PATTERN.fullmatch(identifier) or identifier in self._ids:
            raise ValueError(f"sample id {identifier!r} is not usable or not unique")
        if self._tar is not None and len(self._ids) % self.samples_per_shard == 0:
            self._finish_shard()
        if self._tar is None:
            self._file = self._partial.open("wb")
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        for part, suffix, data in (("image", extension, image), ("record", "json", text)):
            info = tarfile.TarInfo(f"{identifier}.{suffix}")  # all else stays at its fixed default
            info.size = len(data)
            self._numbers[f"{part}_offset"].append(self._tar.offset + tarfile.BLOCKSIZE)
            self._numbers[f"{part}_size"].append(len(data))
            self._tar.addfile(info, io.BytesIO(data))
        self._sha256 += hashlib.sha256(image).digest()
        self._ids[identifier] = None

    def _name(self, shard: int) -> str:
        return f"shard-{shard:05d}.tar"

    def _finish_shard(self) -> None:
        if self._tar is not None and self._file is not None:
            self._tar.close()
            self._tar = None
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self.directory / self._name((len(self._ids) - 1) // self.samples_per_shard))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            if self._file is not None:
                self._file.close()
            self._partial.unlink(missing_ok=True)
            return
        self._finish_shard()
        count = len(self._ids)
        shards = np.arange(count, dtype=np.int32) // self.samples_per_shard
        names = [self._name(shard) for shard in range(-(-count // self.samples_per_shard))]
        column = pa.DictionaryArray.from_arrays(shards, pa.array(names, pa.string())).cast(pa.string())
        columns: dict[str, Any] = {"id": pa.array(self._ids, pa.string())}
        columns |= {name: column for name in FILES}
        columns |= {name: pa.array(np.frombuffer(numbers, np.int64)) for name, numbers in self._numbers.items()}
        digests = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), count, [None, pa.py_buffer(bytes(self._sha256))])
        write_index(self.directory, pa.table(columns | {"sha256": digests}, schema=SCHEMA))


class _File:
    """A descriptor that closes when its last user is done with it: another thread may still read from it."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if "number" in self.__dict__:
            os.close(self.number)


class Shards:
    """Random access to the samples of one split by id; for threads, forked processes and pickle alike.

    Files are opened when they are read, 64 at most at a time.

    Raises:
        PargoError: the folder is unfinished, or its index damaged.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._index = Index(directory)
        self._open = lru_cache(MAX_OPEN)(_File)

    @property
    def ids(self) -> Ids:
        """In the order in which they were written; not a list, but a sequence that makes strings when asked."""
        return self._index.ids

    def __len__(self) -> int:
        return len(self._index.ids)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._index.ids

    def _row(self, identifier: str) -> int:
        try:
            return self._index.ids.index(identifier)
        except ValueError:
            raise PargoError(f"{self.directory} has no sample {identifier!r}; it has {len(self)} samples") from None

    def _path(self, column: str, row: int) -> Path:
        return self.directory / self._index.files[column][row].as_py()

    def _read(self, part: str, row: int) -> bytes:
        path = self._path("shard" if part == "image" else "record_shard", row)
        offset, size = (int(self._index.numbers[f"{part}_{what}"][row]) for what in ("offset", "size"))
        try:
            file = self._open(path)
            # no shared file position: threads and forked workers may share the file
            data = os.pread(file.number, size, offset)
        except OSError as error:
            raise PargoError(f"cannot read sample {self.ids[row]!r}: {path}: {error.strerror}") from error
        if len(data) != size:
            raise PargoError(f"{path} is truncated: sample {self.ids[row]!r} ends beyond its end{self._advice(path)}")
        return data

    def _advice(self, path: Path) -> str:
        return "; the file has changed: import the source again" if path.parent != self.directory else ""

    def sha256(self, identifier: str) -> bytes:
        """SHA-256 of a sample's image file, as it was when the sample was written; 32 bytes."""
        return self._index.sha256[self._row(identifier)].as_py()

    def read(self, identifier: str) -> bytes:
        """The bytes of a sample's image file, by its id.

        Raises:
            PargoError: no such sample, no such file, a truncated one, or other bytes than were written.
        """
        return self._image(self._row(identifier))

    def _image(self, row: int) -> bytes:
        data = self._read("image", row)
        found, expected = hashlib.sha256(data).digest(), self._index.sha256[row].as_py()
        if found != expected:
            path = self._path("shard", row)
            raise PargoError(
                f"{path}: the image of sample {self.ids[row]!r} has sha256 {found.hex()}, the index says "
                f"{expected.hex()}{self._advice(path) or ': the file is damaged'}"
            )
        return data

    def load(self, identifier: str) -> Image.Image:
        """A sample's image by its id, RGB.

        Raises:
            PargoError: as of `read`, and what is no usable image.
        """
        return open_rgb(io.BytesIO(self.read(identifier)), f"{identifier} of {self.directory}")

    def record(self, identifier: str) -> dict[str, Any]:
        """The sample's record: `id` and `conversation`; where the source has them `objects` and `word`, or `alt_text`,
        `origin`, `licence`, `url`, `width`, `height`, `nsfw` and `watermark` (0..1).

        Raises:
            PargoError: as of `read`.
        """
        return self._record(self._row(identifier))

    def _record(self, row: int) -> dict[str, Any]:
        path, data = self._path("record_shard", row), self._read("record", row)
        try:
            record = json.loads(data)
        except ValueError:
            record = None
        if not isinstance(record, dict) or record.get("id") != self.ids[row]:
            raise InputError(f"{path}: the record of sample {self.ids[row]!r} is damaged, or another's")
        return record

    def records(self) -> Iterator[dict[str, Any]]:
        """All records in the order of `ids`; errors as of `read`."""
        return map(self._record, range(len(self)))

    def verify(self) -> None:
        """Read every image and record, and compare them with the index.

        Raises:
            PargoError: the first that is not as it was written.
        """
        for row in track(range(len(self)), f"Verifying {self.directory}"):
            self._image(row)
            self._record(row)

    def __reduce__(self) -> tuple[type[Shards], tuple[Path]]:
        return Shards, (self.directory,)
