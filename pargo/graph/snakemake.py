"""The one adapter to Snakemake: runs jobs of the graph."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pargo.code import ROOT
from pargo.errors import PargoError

SNAKEFILE = ROOT / "Snakefile"
DEFAULT_PROFILE = ROOT / "workflow" / "profiles" / "default"


def call_snakemake(
    config: Path,
    *arguments: str,
    profile: Path = DEFAULT_PROFILE,
    listener: Callable[[logging.LogRecord], None] | None = None,
) -> None:
    """Run the Snakemake command line in this process; it prints nothing.

    Args:
        config: config file.
        arguments: options and targets, as on the command line.
        profile: how jobs run.
        listener: is called with Snakemake's log records (`record.event`, see its `LogEvent`), from several threads.

    Raises:
        PargoError: a job failed or the workflow cannot be built; the message holds Snakemake's errors.
    """
    from snakemake.cli import args_to_api

    parser, args = _parse(config, profile, "--nolock", *arguments)
    # no limit of jobs a second: for it the scheduler looks at all jobs once a second for each job that has ended
    # (findings/snakemake-idle-scheduler.sh), which after 200 jobs took a third of a core
    args.max_jobs_per_timespan = None
    with _records(listener) as records:
        success = args_to_api(args, parser)
    if not success:
        raise PargoError(records.errors() or "Snakemake failed")


def _parse(config: Path, profile: Path, *arguments: str) -> Any:
    """Snakemake's parser and arguments, profile included."""
    from snakemake.cli import parse_args

    files = ["--snakefile", str(SNAKEFILE), "--directory", str(ROOT), "--configfile", str(config)]
    files += ["--workflow-profile", str(profile)]
    with contextlib.redirect_stderr(io.StringIO()):  # it announces the profile
        return parse_args([*files, *arguments])


class _Records(logging.Filter):
    """Takes all records of Snakemake's logger before any handler sees them, and keeps the errors."""

    def __init__(self, listener: Callable[[logging.LogRecord], None] | None) -> None:
        super().__init__()
        self._listener = listener
        self._errors: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            self._errors.append(record.getMessage())
        if self._listener is not None:
            self._listener(record)
        return False

    def errors(self) -> str:
        return "\n".join(self._errors)


@contextlib.contextmanager
def _records(listener: Callable[[logging.LogRecord], None] | None = None) -> Iterator[_Records]:
    records = _Records(listener)
    logger = logging.getLogger("snakemake.logging")
    logger.addFilter(records)
    try:
        yield records
    finally:
        logger.removeFilter(records)
