"""What a config's sources need: rows of the table of downloads, and files that somebody has to put there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pargo.config.experiment import Config
from pargo.config.sources import Source
from pargo.fetch.table import DATA, AnyDownload, Folder, download, not_fetched, wheel
from pargo.sources.language_shape import stated_shape


def source_downloads(source: Source) -> dict[str, AnyDownload]:
    """The rows of the table of downloads that a source names."""
    return {name: download(name) for name in getattr(source, "downloads", ())}


def check_sources(config: Config) -> None:
    """Refuse a config whose sources cannot be had.

    Raises:
        ConfigError: a source names a row that the table lacks, or an importer that there is not.
        InputError: the language model has no such layers as it is cut to.
    """
    for name, source in config.sources.items():
        source_downloads(source)
        source.modules(wheel(name) if source.kind == "wheel" else None)
    if stated := stated_shape(config):
        config.language.check_layers(stated[0].num_hidden_layers)


def missing_files(config: Config, done: Callable[[str], bool]) -> dict[str, list[str]]:
    """What somebody has to put there first, by source: files that do not exist and that the run does not fetch.

    Args:
        done: is this source imported already?
    """
    wanted = [name for name in config.sources if name in config.used_sources and not done(name)]
    missing = {name: [path for path in by_hand(config, name) if not Path(path).exists()] for name in wanted}
    return {name: paths for name, paths in missing.items() if paths}


def by_hand(config: Config, name: str) -> list[str]:
    """What somebody has to put there for a source, whether it is there or not."""
    source = config.sources[name]
    rows = source_downloads(source).values()
    folders = [(DATA / row.folder).as_posix() for row in rows if isinstance(row, Folder)]
    return [*not_fetched(source.by_hand, rows), *folders]
