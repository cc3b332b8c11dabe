"""Stage `download`: fetch or generate one source and bring it into the form that later stages read.

Sources of images hold shards, an MME folder or `questions.jsonl` with its images; vision towers timm weights; language
models a transformers directory.
"""

from __future__ import annotations

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
from pargo.files import user_cache_directory
from pargo.manifest import publish
from pargo.sources.makers import Job, load_maker


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
        run_directory: keeps what a killed import of many files has done.

    Raises:
        PargoError: a download failed or is not the pinned file; nothing is published.
    """
    for name, row in settings.downloads.items():
        fetch_download(name, row)
    code = import_closure(*source_modules(settings.source, settings.pin))
    cache = cache or user_cache_directory() / "wheels"
    local = [Path(path) for path in local_files(settings.source, settings.downloads)]
    with publish(output, settings=settings, code=code, local=local) as directory:
        job = Job(settings.id, directory, run_directory, settings.pin, cache)
        load_maker(settings.source.kind).make(settings.source, job)


def local_files(source: Any, downloads: Any) -> tuple[str, ...]:
    """Files and folders of a source that somebody put there; those that the run fetches are known by their rows.

    Args:
        source, downloads: of the stage's settings, as objects or as read from JSON.

    Raises:
        UsageError: they are no settings of a source.
    """
    chosen = _parse({"source": source, "downloads": downloads})
    return tuple(not_fetched(chosen.source.inputs, chosen.downloads.values()))


class _Chosen(Settings):
    """What decides which modules make a source, and which files it reads."""

    source: Source
    pin: Wheel | None = None
    downloads: dict[Name, AnyDownload] = Field({})


def source_modules(source: Any, pin: Any = None) -> tuple[str, ...]:
    """Modules whose source decides what becomes of a source: those of its own kind alone.

    Args:
        source: its settings, as an object or as read from JSON.
        pin: a wheel's row of the table of downloads, which names its importer; likewise.

    Raises:
        UsageError: they are no settings of a source.
    """
    chosen = _parse({"source": source, "pin": pin})
    return "pargo.sources.download", *chosen.source.modules(chosen.pin)


def _parse(settings: dict[str, Any]) -> _Chosen:
    try:
        return _Chosen.model_validate_json(canonical_json(settings))
    except ValidationError as error:
        raise UsageError(explain_all(error, _Chosen.model_json_schema())) from None
