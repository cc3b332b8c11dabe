"""Jobs that wait or run: list them, read their logs, end them."""

from __future__ import annotations

from pathlib import Path

import click

from pargo.errors import UsageError
from pargo.layout import RUNS
from pargo.project import go_to_project


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Show the table anew every few seconds.")
def jobs(follow: bool) -> None:
    """List the jobs that wait or run, or ended unwatched."""
    go_to_project()
    import time

    from rich.console import Console
    from rich.live import Live

    from pargo.jobs.overview import find_jobs, render

    console = Console(highlight=False)
    found = find_jobs()
    if not follow:
        console.print(render(found) if found else f"no jobs in {Path.cwd()}")
        return
    with Live(render(found), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(3)
            live.update(render(find_jobs()), refresh=True)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
def logs(job_id: str, follow: bool) -> None:
    """Print the log of a job; ID as `pargo jobs` shows it."""
    go_to_project()
    _check_ids([job_id])
    from pargo.jobs.overview import find_job
    from pargo.jobs.overview import follow as text_of

    job = find_job(job_id)
    if follow:
        for text in text_of(job):
            click.echo(text, nl=False)
    elif job.log.exists():
        click.echo(job.log.read_text(encoding="utf-8", errors="replace"), nl=False)
    else:
        click.echo("no log yet")


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1)
@click.option("--all", "all_jobs", is_flag=True, help="All of them.")
def cancel(job_ids: tuple[str, ...], all_jobs: bool) -> None:
    """End jobs. What they saved stays, and the next run goes on from there."""
    if bool(job_ids) == all_jobs:
        raise UsageError("`cancel` takes ids, or --all")
    go_to_project()
    _check_ids(job_ids)
    from pargo.jobs.overview import cancel as end
    from pargo.jobs.overview import find_job, find_jobs

    for job in end(find_jobs() if all_jobs else [find_job(job_id) for job_id in job_ids]):
        click.echo(f"cancelled {job.record.job_id}: {job.stage} {job.arm}")


def _check_ids(job_ids: list[str] | tuple[str, ...]) -> None:
    """Refuse ids that no record has."""
    from pargo.jobs.record import RECORD, JobRecord

    records = [JobRecord.read(path.parent) for path in RUNS.rglob(RECORD)]
    known = sorted(record.job_id for record in records if record and record.job_id)
    for job_id in job_ids:
        if job_id not in known:
            raise UsageError(f"no job {job_id!r} below {Path.cwd()}/runs; jobs on record: {', '.join(known) or 'none'}")
