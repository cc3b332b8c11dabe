"""The one adapter to Snakemake: lists the jobs of the graph (its two private calls are here alone) and runs them."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from pargo.code import PACKAGE, ROOT
from pargo.errors import PargoError
from pargo.files import sha256_file
from pargo.graph.made import reason_to_remake
from pargo.layout import seed_folder
from pargo.manifest import code_hash

SNAKEFILE = ROOT / "Snakefile"
DEFAULT_PROFILE = ROOT / "workflow" / "profiles" / "default"


@dataclass(frozen=True)
class Job:
    """One job of the graph; all paths are relative to the project root."""

    rule: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]  # what earlier jobs made
    code_files: tuple[str, ...]  # files of this package that it runs or fills in (templates)
    code: str  # `pargo.manifest.code_hash` of them
    outputs: tuple[str, ...]
    directories: frozenset[str]  # the outputs that are directories
    settings: str  # canonical JSON, the rule's `settings` parameter
    command: str  # without the redirection to the log
    log: str
    reason: str  # why it has to run; empty when it is up to date
    unseen: bool = False  # its artifact tells the reason, which Snakemake does not know

    @property
    def name(self) -> str:
        """Rule and wildcards, e.g. `evaluate-pargo-seed-0-mini_mme`."""
        parts = [seed_folder(value) if key == "seed" else value for key, value in self.wildcards.items()]
        return "-".join([self.rule, *parts])


def list_jobs(config: Path, *, until: Sequence[str] = ()) -> list[Job]:
    """All jobs that `snakemake --configfile CONFIG` considers, in an order in which they could run.

    Args:
        config: config file.
        until: rules after which to stop; everything when empty.

    Raises:
        PargoError: the workflow cannot be built, e.g. a config error or an input that nothing makes.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

    # parsed as on the command line, so that the profile's rules of what is up to date hold here too
    _, args = _parse(config, DEFAULT_PROFILE, "--dry-run")
    with _records() as records, SnakemakeApi(OutputSettings(dryrun=True)) as api:
        try:
            workflow_api = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=args.configfile),
                snakefile=SNAKEFILE,
                workdir=ROOT,
            )
            workflow_api.dag(
                DAGSettings(
                    until=set(until),
                    force_incomplete=args.rerun_incomplete,
                    rerun_triggers=args.rerun_triggers,
                    max_checksum_file_size=args.max_checksum_file_size,
                )
            )
            workflow = workflow_api._workflow
            workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True, nolock=True)
            workflow._build_dag()
            workflow.async_run(workflow.dag.postprocess(update_needrun=False, check_initial=True))
        except Exception as error:
            api.print_exception(error)
            raise PargoError(f"the workflow cannot be built:\n{records.errors() or error}") from error
        levels = [sorted(level, key=lambda job: str(sorted(job.output))) for level in workflow.dag.toposorted()]
        hash_code, hash_file = cache(code_hash), cache(sha256_file)  # many jobs have the same files
        jobs = [_job(workflow.dag, job, hash_code) for level in levels for job in level if not job.rule.norun]
    return list(_with_reasons(jobs, hash_file))


def _with_reasons(jobs: Sequence[Job], hash_file: Callable[[Path], str]) -> Iterator[Job]:
    """Adds the reasons that Snakemake does not know, to jobs in an order in which they could run.

    Its own records may be gone, times may come from a copy, and files may have been edited by hand: so each artifact is
    asked what made it.
    """
    anew: set[str] = set()
    for job in jobs:
        if not job.reason:
            made = partial(reason_to_remake, settings=job.settings, code=job.code, root=ROOT, hash_of=hash_file)
            found = (made(ROOT / path) for path in sorted(job.directories))
            if text := next(filter(None, found), ""):
                job = replace(job, reason=text, unseen=True)
            elif not anew.isdisjoint(job.inputs):
                job = replace(job, reason="an input is made anew")
        if job.reason:
            anew.update(job.outputs)
        yield job


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
    with _records(listener) as records:
        success = args_to_api(args, parser)
    if not success:
        raise PargoError(records.errors() or "Snakemake failed")


def touch(config: Path) -> None:
    """Tell Snakemake that all files of a config are as it would make them.

    Raises:
        PargoError: Snakemake refused, e.g. because a file is missing.
    """
    # plain --touch would leave out jobs that look up to date, and with them their records
    call_snakemake(config, "--touch", "--forceall", "--cores", "1")


def _parse(config: Path, profile: Path, *arguments: str) -> Any:
    """Snakemake's parser and arguments, profile included."""
    from snakemake.cli import parse_args

    files = ["--snakefile", str(SNAKEFILE), "--directory", str(ROOT), "--configfile", str(config)]
    files += ["--workflow-profile", str(profile)]
    with contextlib.redirect_stderr(io.StringIO()):  # it announces the profile
        return parse_args([*files, *arguments])


def _job(dag: Any, job: Any, hash_code: Callable[[tuple[Path, ...]], str]) -> Job:
    log = str(job.log[0]) if job.log else ""
    paths = sorted({str(path) for path in job.input})
    code = tuple(path for path in paths if Path(path).parts[0] == PACKAGE)
    return Job(
        rule=job.rule.name,
        wildcards=dict(job.wildcards_dict),
        inputs=tuple(path for path in paths if path not in code),
        code_files=code,
        code=hash_code(tuple(map(Path, code))),
        outputs=tuple(str(path) for path in job.output),
        directories=frozenset(str(path) for path in job.output if path.is_directory),
        settings=str(job.params.settings),
        command=job.shellcmd.removesuffix(f" > {log} 2>&1"),
        log=log,
        reason=(str(dag.reason(job)) or "an input is made anew") if dag.needrun(job) else "",
    )


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
