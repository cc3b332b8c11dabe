"""Files of a config's sources: list, check and fetch them."""

from __future__ import annotations

from pathlib import Path

import click

from pargo.commands.options import Group, config_option, read_config
from pargo.project import go_to_project


@click.group(cls=Group, no_args_is_help=True)
def data() -> None:
    """Files of a config's sources: list, check and fetch them."""


@data.command("ls")
@config_option
def data_ls(config: Path | None) -> None:
    """List the sources of a config: where their files come from, how much they are, and what is here."""
    file, experiment = read_config(go_to_project(), config)
    from rich.console import Console

    from pargo.layout import Layout
    from pargo.sources.overview import download_table, rows, table

    found = rows(experiment, Layout(experiment.name))
    downloads = {name: version for row in found for name, version in row.downloads.items()}
    console = Console(width=max(Console().width, 126))
    console.print(table(found, f"Sources of {file}"))
    if downloads:
        console.print(download_table(downloads))


@data.command("size")
@config_option
def data_size(config: Path | None) -> None:
    """Print how much a config's sources are in all: stated, and imported."""
    _, experiment = read_config(go_to_project(), config)
    from pargo.layout import Layout
    from pargo.sources.overview import rows, totals

    click.echo(totals(rows(experiment, Layout(experiment.name))))


@data.command("verify")
@config_option
@click.pass_context
def data_verify(context: click.Context, config: Path | None) -> None:
    """Read every imported file again and compare it with its sha256; exit code 1 when one differs."""
    file, experiment = read_config(go_to_project(), config)
    from pargo.layout import Layout
    from pargo.sources.overview import check

    found = []
    for name, problem in check(experiment, Layout(experiment.name)):
        click.echo(f"{name}: {problem or 'as it was imported'}")
        found.append(problem)
    if not found:
        click.echo(f"no source of {file} is imported here")
    context.exit(1 if any(found) else 0)


@data.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1)
@config_option
def data_fetch(names: tuple[str, ...], config: Path | None) -> None:
    """Fetch what a config's sources name, into `data/`: resumed, checked, in its folder when it is whole.

    NAMEs are rows of pargo/fetch/downloads.yaml; by default those of the sources in use. The run does it too, on the
    machine where it is started; this is for another one that shares the folder.
    """
    file, experiment = read_config(go_to_project(), config)
    from pargo.fetch.table import download
    from pargo.sources.needed import source_downloads

    used = [source_downloads(experiment.sources[name]) for name in sorted(experiment.used_sources)]
    wanted = (
        {name: download(name) for name in names} if names else {key: row for rows in used for key, row in rows.items()}
    )
    if not wanted:
        click.echo(f"{file} names no downloads: its sources are packages, which the run fetches, or made")
        return
    from pargo.fetch.folder import fetch_all

    fetch_all(wanted)
