"""`pargo data ls`, `size`, `verify`: where a config's files come from, how much they are, whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from pargo.config.experiment import Config
from pargo.config.sources import Source
from pargo.data.shards import Shards
from pargo.errors import PargoError
from pargo.fetch.folder import FETCHING
from pargo.fetch.table import DATA, Download, TableRow, wheel
from pargo.files import read_json
from pargo.layout import Layout, manifest_path
from pargo.manifest import read_manifest, verify
from pargo.sources.needed import by_hand, source_downloads
from pargo.units import size as in_words

State = Literal[
    "imported", "recorded, not here", "files are here", "to be put here", "the run fetches it", "the run makes it"
]


@dataclass(frozen=True)
class ToFetch:
    """How much is fetched for a source; what an earlier source fetches already is not counted again.

    Attributes:
        exact: bytes that are stated exactly.
        about: further bytes, of rows that say about how many.
        unknown: rows of the table of downloads that say nothing.
    """

    exact: float = 0.0
    about: float = 0.0
    unknown: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        return self.exact + self.about

    @property
    def basis(self) -> str:
        if self.unknown:
            return f"not stated: {', '.join(self.unknown)}"
        return ("about" if self.about else "stated") if self.size else ""

    def __str__(self) -> str:
        parts = [f"{'about ' if self.about else ''}{in_words(self.size)}"] if self.size else []
        return " + ".join([*parts, *("?" for _ in self.unknown[:1])]) or "-"


def _sum(rows: Mapping[str, TableRow]) -> ToFetch:
    return ToFetch(
        exact=float(sum(row.exact or 0 for row in rows.values())),
        about=float(sum(row.about or 0 for row in rows.values() if not row.exact)),
        unknown=tuple(name for name, row in rows.items() if not row.bytes),
    )


def to_fetch(config: Config) -> dict[str, ToFetch]:
    """By source; sources that are used come first."""
    names = sorted(config.sources, key=lambda name: name not in config.used_sources)
    found, counted = {}, set[str]()
    for name in names:
        rows = _downloads(config.sources[name], name)
        own = {key: row for key, row in rows.items() if key not in counted}
        counted.update(own)
        found[name] = _sum(own)
    return found


def _downloads(source: Source, name: str) -> dict[str, TableRow]:
    return {name: wheel(name)} if source.kind == "wheel" else dict(source_downloads(source))


@dataclass(frozen=True)
class SourceRow:
    """A source of a config.

    Attributes:
        used: some job reads it.
        downloads: rows of the table of downloads that it needs, by name.
        fetch: how much that is.
        found: bytes of the imported artifact, as its manifest says; None before.
        missing: paths that somebody has to put there.
        left_out: how many samples the import left out, and why; empty for none.
    """

    name: str
    kind: str
    used: bool
    downloads: dict[str, TableRow]
    fetch: ToFetch
    found: int | None
    missing: tuple[str, ...]
    state: State
    left_out: str = ""


def rows(config: Config, layout: Layout) -> list[SourceRow]:
    """All sources, those that are used first."""
    return [_row(config, layout, name, fetch) for name, fetch in to_fetch(config).items()]


def _row(config: Config, layout: Layout, name: str, fetch: ToFetch) -> SourceRow:
    source, directory = config.sources[name], layout.source(name)
    downloads, wanted = _downloads(source, name), by_hand(config, name)
    missing = tuple(path for path in wanted if not Path(path).exists())
    bytes_found = None
    state: State
    if manifest_path(directory).exists():
        bytes_found = sum(entry["size"] for entry in read_manifest(directory)["files"].values())
        state, missing = ("imported" if directory.exists() else "recorded, not here"), ()
    elif missing:
        state = "to be put here"
    elif all(isinstance(row, Download) and (DATA / row.folder).exists() for row in downloads.values()):
        state = "files are here" if downloads or wanted else "the run makes it"
    else:
        state = "the run fetches it"
    used, left_out = name in config.used_sources, _left_out(directory)
    return SourceRow(name, source.kind, used, downloads, fetch, bytes_found, missing, state, left_out)


def _left_out(directory: Path) -> str:
    """What an import says of the samples that it left out, as `counts.json` has it."""
    if not (directory / "counts.json").exists():
        return ""
    counts = read_json(directory / "counts.json")
    broken = counts.get("broken")
    reasons = broken if isinstance(broken, dict) else counts.get("reasons", {})
    total = sum(broken.values()) if isinstance(broken, dict) else broken
    why = "; ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    return f"left out {total:,}{f': {why}' if why else ''}" if total else ""


def table(found: list[SourceRow], title: str) -> Table:
    """The sources as a table for a terminal."""
    result = Table(title=title, caption=totals(found), caption_justify="left", title_justify="left")
    for column in ("source", "kind", "versions", "to fetch", "artifact", "state"):
        result.add_column(column, justify="right" if column in ("to fetch", "artifact") else "left", overflow="fold")
    for row in found:
        state = row.state if row.used else f"{row.state}; not in use"
        versions = "\n".join(row.downloads) or "-"
        state = f"{state}\n{row.left_out}" if row.left_out else state
        cells = (str(row.fetch), "-" if row.found is None else in_words(row.found), "\n".join((state, *row.missing)))
        result.add_row(row.name, row.kind, versions, *cells)
    return result


def download_table(found: dict[str, TableRow]) -> Table:
    """Rows of the table of downloads, for a terminal."""
    result = Table(title="Downloads (pargo/fetch/downloads.yaml)", title_justify="left")
    for column in ("name", "from", "version", "size", "licence, gate", "here"):
        kept = column in ("name", "version")
        result.add_column(column, justify="right" if column == "size" else "left", overflow="fold", no_wrap=kept)
    for name, row in found.items():
        terms = "; ".join(filter(None, (row.licence, row.gate)))
        result.add_row(name, row.origin, row.pinned, str(_sum({name: row})), terms, _here(name, row))
    return result


def _here(name: str, row: TableRow) -> str:
    """Whether a download is in its folder, or how much of it has come."""
    if not isinstance(row, Download):
        return "-"
    if (DATA / row.folder).exists():
        return "yes"
    coming = sum(path.stat().st_size for path in (DATA / FETCHING / name / "incoming").rglob("*") if path.is_file())
    return in_words(coming) or "no"


def totals(found: list[SourceRow]) -> str:
    """What is fetched for the sources in use, what is imported, and what nothing is stated of."""
    used = [row for row in found if row.used]
    exact, about = sum(row.fetch.exact for row in used), sum(row.fetch.about for row in used)
    unknown = [name for row in used for name in row.fetch.unknown]
    parts = [f"{in_words(exact + about) or 'nothing'} to fetch for the {len(used)} sources in use"]
    parts += [f"{in_words(exact) or 'nothing'} of it exact, {in_words(about)} estimated"] if about else []
    parts += [f"size unknown: {', '.join(unknown)}"] if unknown else []
    parts += [f"{in_words(sum(row.found or 0 for row in used if row.state == 'imported')) or 'nothing'} imported"]
    return "; ".join(parts)


def check(config: Config, layout: Layout) -> Iterator[tuple[str, str | None]]:
    """Every imported source's name, and what is wrong with its files; None where all are as they were imported.

    The images of a pool are read where they are.
    """
    for name in config.sources:
        if manifest_path(layout.source(name)).exists() and layout.source(name).exists():
            try:
                verify(layout.source(name))
                if config.sources[name].in_place:  # whose images are elsewhere
                    Shards(layout.source(name) / "train").verify()
            except (PargoError, OSError) as error:
                yield name, str(error)
            else:
                yield name, None
