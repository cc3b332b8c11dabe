"""The driver of `pargo reproduce`: Snakemake runs what is out of date, then versions, report and summary."""

from __future__ import annotations

import csv
import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from pargo.code import ROOT
from pargo.config.experiment import Config, load_config
from pargo.errors import PargoError
from pargo.fetch.folder import how_to_get
from pargo.fetch.table import Folder
from pargo.files import read_json, write_atomic
from pargo.graph.display import Display
from pargo.graph.groups import rules_until
from pargo.graph.interrupt import InterruptedRunError, OnInterrupt, interruptible, settle
from pargo.graph.jobs import Job as PlannedJob
from pargo.graph.jobs import list_jobs
from pargo.graph.marks import mark_path
from pargo.graph.snakemake import DEFAULT_PROFILE, call_snakemake
from pargo.jobs.overview import find_jobs
from pargo.jobs.partitions import check_profile
from pargo.jobs.profiles import check_profile_files
from pargo.jobs.record import ON_INTERRUPT
from pargo.layout import Layout, manifest_path
from pargo.sources.needed import check_sources, missing_files, source_downloads
from pargo.units import duration

MOST_SCORES = 3  # that a terminal of 80 columns has room for


def reproduce(
    config_file: Path,
    *,
    profile: Path | None = None,
    cores: int | None = None,
    until: str | None = None,
    on_interrupt: OnInterrupt = "ask",
    confirm: Callable[[Sequence[PlannedJob]], None] = lambda jobs: None,
) -> None:
    """Run what is missing or out of date, record it with DVC, and print the headline table.

    Args:
        config_file: config file; nothing runs when it is not valid.
        profile: directory of a Snakemake profile; the default runs on this machine.
        cores: number of CPU cores for jobs; by default what the profile says.
        until: stage after which to stop, one of `pargo.graph.groups.STAGES`; nothing is recorded then.
        on_interrupt: what Ctrl-C does with running jobs; `ask` where nobody can be asked: jobs of a cluster stay,
            others are cancelled.
        confirm: is shown all jobs, with the reasons of those that would run, before any does; raises to stop.

    Raises:
        ConfigError: the config cannot be run.
        UsageError: no such profile, or it needs what this machine does not have.
        PargoError: a job failed, or another driver runs the same config.
    """
    started = time.monotonic()
    config_file, profile = config_file.resolve(), (profile or DEFAULT_PROFILE).resolve()
    config = load_config(config_file)
    layout = Layout(config.name)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    os.chdir(ROOT)  # all paths of the layout are relative to it
    check_sources(config, str(config_file))
    check_profile_files(profile)
    check_profile(profile)
    # launchers leave their jobs when Ctrl-C reaches them; what becomes of the jobs is decided once, here
    os.environ[ON_INTERRUPT] = "detach"
    with _only_driver(layout):
        # one config for the whole run: an edit meanwhile is the next run's
        snapshot = layout.runs / "config.yaml"
        write_atomic(snapshot, config_file.read_bytes())
        load_config(snapshot)
        config_file = snapshot.resolve()
        _restore(config_file, console, until)
        _check_files(config, layout)
        try:
            ran = _run(config_file, layout, console, profile=profile, cores=cores, until=until, confirm=confirm)
        except InterruptedRunError as error:
            asked = error.number == signal.SIGINT  # by somebody who is there
            settle(find_jobs(layout.runs), on_interrupt, console, can_ask=asked)
            raise
        if until is not None:
            console.print(f"stopped after {until}: {_count(ran)}, {duration(time.monotonic() - started)}")
            return
        _record(config_file, console)
        _snakemake_report(config_file, layout, console, fresh=ran > 0)
    _summary(config, layout, console)
    console.print(f"{_count(ran)}, {duration(time.monotonic() - started)}")


def _check_files(config: Config, layout: Layout) -> None:
    """Before anything runs: is everything there that only a person can fetch?"""

    def done(source: str) -> bool:
        directory = layout.source(source)
        return directory.exists() and manifest_path(directory).exists()  # a clone has manifests alone

    missing = missing_files(config, done)
    if not missing:
        return
    lines = []
    for name, paths in missing.items():
        lines += [f"  sources.{name}: {path}" for path in paths]
        rows = source_downloads(config.sources[name]).items()
        lines += [f"    {how_to_get(key, row)}" for key, row in rows if isinstance(row, Folder)]
    raise PargoError("these files have to be there first:\n" + "\n".join(lines))


@contextmanager
def _only_driver(layout: Layout) -> Iterator[None]:
    """Hold the config's lock; the system frees it when the process ends, however it ends."""
    layout.runs.mkdir(parents=True, exist_ok=True)
    with (layout.runs / "driver.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise PargoError(
                f"`pargo reproduce` already runs config {layout.config!r} (process {file.read().strip()}): "
                "wait for it or stop it"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _run(
    config_file: Path,
    layout: Layout,
    console: Console,
    *,
    profile: Path,
    cores: int | None,
    until: str | None,
    confirm: Callable[[Sequence[PlannedJob]], None],
) -> int:
    """Run the jobs that have something to do; their number."""
    wanted = [job for job in list_jobs(config_file) if until is None or job.rule in rules_until(until)]
    pending = [job for job in wanted if job.reason]
    if not pending:
        return 0
    confirm(wanted)
    targets = [str(mark_path(layout, job.name)) for job in wanted]
    arguments = [*targets, *(["--cores", str(cores)] if cores else [])]
    with Display(console, until or "all stages", len(pending)) as display, interruptible(display) as take_signals:

        def listen(record: logging.LogRecord) -> None:
            take_signals()
            display.listen(record)

        try:
            call_snakemake(config_file, *arguments, profile=profile, listener=listen)
        except PargoError:
            if not display.num_failed and not display.interrupted:
                raise
        except (RuntimeError, KeyboardInterrupt):
            if not display.interrupted:  # else it came inside Snakemake's event loop, which then cannot be closed
                raise
    if display.interrupted:
        raise InterruptedRunError(display.interrupted)
    if display.num_failed:
        raise PargoError(
            f"{display.num_failed} of {len(pending)} jobs failed; what is finished is kept, run again to continue"
        )
    return display.num_run


def _restore(config_file: Path, console: Console, until: str | None) -> None:
    """Bring back what is not here, but recorded as it would be made; what does not come back is computed.

    A record that cannot be read is said now, and not after hours, when the run is to be recorded.
    """
    from pargo.graph.dvc_repository import check_record
    from pargo.graph.dvc_restore import bring

    if not (ROOT / ".git").exists():
        return
    check_record(load_config(config_file).name)
    if told := bring(config_file, until and rules_until(until)):
        console.print(told)


def _record(config_file: Path, console: Console) -> None:
    """Put the run into DVC, where the project is a git checkout (DVC needs one)."""
    from pargo.graph import dvc

    if not (ROOT / ".git").exists():
        console.print("not recorded with DVC: this is no git checkout")
        return
    if dvc.record(config_file):
        console.print("recorded with DVC: to keep this version, commit dvc.*, dvc-params.json, artifacts/ and reports/")


def _snakemake_report(config_file: Path, layout: Layout, console: Console, *, fresh: bool) -> None:
    """Snakemake's HTML report: which rule, command and parameters made each file of the report."""
    path = layout.runs / "snakemake-report.html"
    if fresh or not path.exists():
        call_snakemake(config_file, "--report", str(path))


def _count(ran: int) -> str:
    return "everything was up to date" if not ran else f"{ran} job{'s' if ran > 1 else ''} run"


def _summary(config: Config, layout: Layout, console: Console) -> None:
    """The headline table and where to read on, on standard output."""
    out = Console(highlight=False, soft_wrap=True)
    path = layout.tables / "projectors.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    out.print(_headline_table(rows))
    over = "images and seeds" if len(config.seeds) > 1 else "images"
    out.print(f"95 % intervals over {over} in brackets; from {path}")
    if len(config.seeds) == 1:
        out.print("one training seed: nothing here says how much another training run would differ")
    for claim in read_json(layout.tables / "cells.json")["claims"].values():
        out.print(f"{claim['claim']}: [bold]{claim['verdict']}[/bold], {config.report.scale}")
    out.print(f"report: {layout.page}")
    console.print(f"how each file was made: {layout.runs / 'snakemake-report.html'}", style="dim")


def _headline_table(rows: list[dict[str, str]]) -> Table:
    """A line per projector or baseline, the first benchmarks' main scores."""
    mains = [column for column in rows[0] if "." in column and not column.endswith(("_low", "_high"))][:MOST_SCORES]
    table = Table("", "tokens", *(column.replace(".", " ").replace("_", "-") for column in mains), box=box.SIMPLE)
    for row in rows:
        table.add_row(row["projector"], row["tokens"], *(_cell(row, column) for column in mains))
    return table


def _cell(row: dict[str, str], column: str) -> str:
    if not row[column]:
        return ""
    digits = 0 if column.endswith(".total") else 3
    values = [f"{float(row[key]):.{digits}f}" for key in (column, f"{column}_low", f"{column}_high") if row.get(key)]
    return f"{values[0]} \\[{values[1]}, {values[2]}]" if len(values) == 3 else values[0]
