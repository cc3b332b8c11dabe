"""`pargo data ls`, `size`, `verify`: where a config's files come from, how much they are, whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from pargo.config.experiment import Config
from pargo.config.stages import local_files
from pargo.data.sources import WHEELS
from pargo.display import size as in_words
from pargo.errors import PargoError
from pargo.layout import Layout, manifest_path
from pargo.manifest import read_manifest, verify

State = Literal[
    "imported", "recorded, not here", "files are here", "to be fetched", "fetched by the run", "made by the run"
]


@dataclass(frozen=True)
class SourceRow:
    """A source of a config.

    Attributes:
        used: some job reads it; otherwise it stands by.
        origin: where its files come from; empty for what is made.
        stated: bytes to be fetched, as the config or a pin says; None where neither does.
        found: bytes of the imported artifact, as its manifest says; None before.
        missing: paths that somebody has to put there.
    """

    name: str
    kind: str
    used: bool
    origin: str
    stated: float | None
    found: int | None
    missing: tuple[str, ...]
    state: State


def rows(config: Config, layout: Layout) -> list[SourceRow]:
    """All sources, those that are used first."""
    found = [_row(config, layout, name) for name in config.sources]
    return sorted(found, key=lambda row: not row.used)


def _row(config: Config, layout: Layout, name: str) -> SourceRow:
    source, directory = config.sources[name], layout.source(name)
    estimate = getattr(source, "estimate", None)
    origin, stated = (estimate.origin, estimate.gigabytes * 1e9) if estimate else ("", None)
    if source.kind == "wheel":
        pin = WHEELS[name]
        origin, stated = f"package index: {pin['package']} {pin['version']}", float(pin["size"])
    wanted = local_files(config, name)
    missing = tuple(path for path in wanted if not Path(path).exists())
    bytes_found = None
    state: State
    if manifest_path(directory).exists():
        bytes_found = sum(entry["size"] for entry in read_manifest(directory)["files"].values())
        state, missing = ("imported" if directory.exists() else "recorded, not here"), ()
    elif wanted:
        state = "to be fetched" if missing else "files are here"
    else:
        state = "fetched by the run" if source.kind == "wheel" else "made by the run"
    return SourceRow(name, source.kind, name in config.used_sources, origin, stated, bytes_found, missing, state)


def table(found: list[SourceRow], title: str) -> Table:
    """For a terminal."""
    result = Table(title=title, caption=totals(found), caption_justify="left", title_justify="left")
    for column in ("source", "kind", "from", "stated", "artifact", "state"):
        result.add_column(column, justify="right" if column in ("stated", "artifact") else "left", overflow="fold")
    for row in found:
        state = row.state if row.used else f"{row.state}; stands by"
        cells = (row.origin or "-", _size(row.stated), _size(row.found), "\n".join((state, *row.missing)))
        result.add_row(row.name, row.kind, *cells)
    return result


def totals(found: list[SourceRow]) -> str:
    """What is to be fetched for the sources in use, what is imported, and which sources nothing is stated of."""
    used = [row for row in found if row.used]
    stated = [row.stated for row in used if row.stated is not None]
    unknown = [row.name for row in used if row.stated is None and row.missing]
    parts = [f"{in_words(sum(stated))} stated for {len(stated)} of the {len(used)} sources in use"]
    parts += [f"{in_words(sum(row.found or 0 for row in used if row.state == 'imported')) or 'nothing'} imported"]
    parts += [f"nothing stated for {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts)


def check(config: Config, layout: Layout) -> Iterator[tuple[str, str | None]]:
    """Every imported source's name, and what is wrong with its files; None where all are as they were imported."""
    for name in config.sources:
        if manifest_path(layout.source(name)).exists() and layout.source(name).exists():
            try:
                verify(layout.source(name))
            except (PargoError, OSError) as error:
                yield name, str(error)
            else:
                yield name, None


def _size(number: float | None) -> str:
    return "-" if number is None else in_words(number)
