"""Stage `download`: fetch or generate one source and bring it into the form that later stages read.

Sources of images hold shards, an MME folder or `questions.jsonl` with its images; vision towers timm weights; language
models a transformers directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from pargo.code import import_closure
from pargo.config.base import Name, Settings, canonical_json
from pargo.config.sources import Source
from pargo.config.words import explain_all
from pargo.errors import UsageError
from pargo.fetch.folder import fetch_download
from pargo.fetch.table import AnyDownload, Wheel, not_fetched
from pargo.files import sha256_text, user_cache_directory, write_atomic
from pargo.manifest import publish
from pargo.sources.makers import Job, load_maker

LISTING = "imported"  # in the run directory


class DownloadSettings(Settings):
    """What this stage reads; `pin` is a wheel's row of the table of downloads, `downloads` are other rows."""

    id: Name
    source: Source
    pin: Wheel | None = None
    downloads: dict[Name, AnyDownload] = Field({})


def run(settings: DownloadSettings, output: Path, cache: Path | None = None, run_directory: Path | None = None) -> None:
    """Make the source `settings.id` in `output`.

    Args:
        cache: folder of verified downloads; default `user_cache_directory()/wheels`.
        run_directory: keeps which local files were imported, see `listing`.

    Raises:
        PargoError: a download failed or is not the pinned file; nothing is published.
    """
    for name, row in settings.downloads.items():
        fetch_download(name, row)
    code = import_closure(*source_modules(settings.source, settings.pin))
    cache = cache or user_cache_directory() / "wheels"
    with publish(output, settings=settings, code=code) as directory:
        job = Job(settings.id, directory, run_directory, settings.pin, cache)
        load_maker(settings.source.kind).make(settings.source, job)
    paths = not_fetched(settings.source.inputs, settings.downloads.values())
    if run_directory is not None and paths:
        write_atomic(run_directory / LISTING, listing(paths))


def listing(paths: Sequence[str], run_directory: Path | None = None) -> str:
    """A hash of names, sizes and times of files, and of those below folders; empty for none.

    Args:
        paths: files or folders that somebody put there.
        run_directory: where some are gone: of an import, which says what they were. Without it that is empty too.
    """
    if not all(Path(path).exists() for path in paths):
        record = None if run_directory is None else run_directory / LISTING
        return record.read_text() if record is not None and record.exists() else ""
    found = [file for path in paths for file in (Path(path), *sorted(Path(path).rglob("*"))) if file.is_file()]
    rows = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in found]
    return sha256_text(canonical_json(rows)) if rows else ""


class _Chosen(Settings):
    """What decides which modules make a source."""

    source: Source
    pin: Wheel | None = None


def source_modules(source: Any, pin: Any = None) -> tuple[str, ...]:
    """Modules whose source decides what becomes of a source: those of its own kind alone.

    Args:
        source: its settings, as an object or as read from JSON.
        pin: a wheel's row of the table of downloads, which names its importer; likewise.

    Raises:
        UsageError: they are no settings of a source.
    """
    try:
        chosen = _Chosen.model_validate_json(canonical_json({"source": source, "pin": pin}))
    except ValidationError as error:
        raise UsageError(explain_all(error, _Chosen.model_json_schema())) from None
    return "pargo.sources.download", *chosen.source.modules(chosen.pin)
