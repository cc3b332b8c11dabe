"""Shards: images and their records in plain tar files (webdataset layout) with an index for random access.

An image (`<id>.png` or `.jpg`) and its `<id>.json` stand side by side in `shard-00000.tar`, ...; `index.parquet` says
where each is, so that any sample is one read. Equal samples give equal bytes: no times, owners or modes enter.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pargo.data.rgb import open_rgb
from pargo.errors import PargoError

INDEX = "index.parquet"
SAMPLES_PER_SHARD = 1000
ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,90}")


class ShardWriter:
    """Writes samples in the order given; use as a context manager.

    A shard gets its name when it is complete and the index comes last: a folder without an index is unfinished, and
    one that failed holds no half shard.
    """

    def __init__(self, directory: Path, samples_per_shard: int = SAMPLES_PER_SHARD) -> None:
        self.directory = directory
        self.samples_per_shard = samples_per_shard
        self._rows: list[dict[str, Any]] = []
        self._ids: set[str] = set()
        self._tar: tarfile.TarFile | None = None
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
        if self._tar is not None and len(self._rows) % self.samples_per_shard == 0:
            self._finish_shard()
        if self._tar is None:
            self._tar = tarfile.open(self._partial, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - spans calls
        text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        row = {"id": identifier, "shard": self._name()}
        for part, suffix, data in (("image", extension, image), ("record", "json", text)):
            info = tarfile.TarInfo(f"{identifier}.{suffix}")  # all else stays at its fixed default
            info.size = len(data)
            row[f"{part}_offset"] = self._tar.offset + tarfile.BLOCKSIZE
            row[f"{part}_size"] = len(data)
            self._tar.addfile(info, io.BytesIO(data))
        self._rows.append(row)
        self._ids.add(identifier)

    def _name(self) -> str:
        return f"shard-{len(self._rows) // self.samples_per_shard:05d}.tar"

    def _finish_shard(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self._tar = None
            self._partial.replace(self.directory / self._rows[-1]["shard"])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            if self._tar is not None:
                self._tar.close()
            self._partial.unlink(missing_ok=True)
            return
        self._finish_shard()
        types = {name: pa.int64() for name in ("image_offset", "image_size", "record_offset", "record_size")}
        schema = pa.schema({"id": pa.string(), "shard": pa.string()} | types)
        temporary = self.directory / f".{INDEX}"
        pq.write_table(pa.Table.from_pylist(self._rows, schema=schema), temporary)
        temporary.replace(self.directory / INDEX)


class Shards:
    """Random access to the samples of one split by id. Files are opened at first use; safe to fork and to pickle."""

    def __init__(self, directory: Path) -> None:
        path = directory / INDEX
        if not path.is_file():
            raise PargoError(f"{path} does not exist: {directory} is no finished folder of shards")
        table = pq.read_table(path).to_pydict()
        self.directory = directory
        self.ids: list[str] = table["id"]
        self._shard: list[str] = table["shard"]
        self._place = {
            part: list(zip(table[f"{part}_offset"], table[f"{part}_size"], strict=True)) for part in ("image", "record")
        }
        self._row = {identifier: row for row, identifier in enumerate(self.ids)}
        self._files: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def _read(self, part: str, identifier: str) -> bytes:
        try:
            row = self._row[identifier]
        except KeyError:
            raise PargoError(f"{self.directory} has no sample {identifier!r}; it has {len(self.ids)} samples") from None
        name = self._shard[row]
        if name not in self._files:
            try:
                self._files[name] = os.open(self.directory / name, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise PargoError(
                    f"cannot read sample {identifier!r}: {self.directory / name}: {error.strerror}"
                ) from error
        offset, size = self._place[part][row]
        data = os.pread(self._files[name], size, offset)  # no shared file position: forked workers may share it
        if len(data) != size:
            raise PargoError(f"{self.directory / name} is truncated: sample {identifier!r} ends beyond its end")
        return data

    def read(self, identifier: str) -> bytes:
        """The image file's bytes."""
        return self._read("image", identifier)

    def load(self, identifier: str) -> Image.Image:
        """The image, RGB."""
        return open_rgb(io.BytesIO(self.read(identifier)), f"{identifier} of {self.directory}")

    def record(self, identifier: str) -> dict[str, Any]:
        """The sample's record: `id`, `objects`, `word`, `conversation`."""
        return json.loads(self._read("record", identifier))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}

    def __del__(self) -> None:
        for file in self.__dict__.get("_files", {}).values():
            os.close(file)
