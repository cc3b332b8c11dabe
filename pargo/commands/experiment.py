"""The whole experiment: run it, what it costs, its config, its versions."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pargo.arguments import choice, existing_file
from pargo.commands.options import PATH, Group, Number, config_option, read_config, valid_config
from pargo.errors import UsageError
from pargo.project import go_to_project
from pargo.train.peaks import PEAKS

CORES = 2  # as the default profile says
LONG_RUN = 500  # samples of fine-tuning: a run of fewer ends soon
DEFAULT_JOBS = Path("workflow/profiles/paper/jobs.yaml")


@click.command()
@config_option
@click.option("--profile", type=PATH, help="Snakemake profile: how jobs run, e.g. on a cluster.")
@click.option("--cores", type=Number(int, 1), help="CPU cores to use; default: the profile's.")
@click.option(
    "--on-interrupt",
    type=click.Choice(["ask", "detach", "cancel"]),
    default="ask",
    show_default=True,
    help="What Ctrl-C does with jobs that are running.",
)
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--yes", is_flag=True, help="Do not ask before work that costs much.")
def reproduce(
    config: Path | None, profile: Path | None, cores: int | None, on_interrupt: Any, until: str | None, yes: bool
) -> None:
    """Run everything a config needs, record it with DVC and show the headline table."""
    if until is not None:
        from pargo.graph.groups import STAGES

        choice("--until", until, STAGES)
    seen = go_to_project(own_code=True)
    if profile is not None:
        from pargo.jobs.profiles import check_profile_files

        profile = seen(profile)
        check_profile_files(profile)
    file, experiment = read_config(seen, config)
    from pargo.graph.reproduce import reproduce as run

    def confirm(jobs: Any) -> None:
        if not yes:
            _ask(experiment, jobs, None if profile is None else profile / "jobs.yaml")
        if profile is None:
            say_how_long(experiment, jobs, cores or CORES)

    run(file, profile=profile, cores=cores, until=until, on_interrupt=on_interrupt, confirm=confirm)


def _ask(experiment: Any, jobs: Any, jobs_file: Path | None) -> None:
    """Ask before jobs run that cost much; where nobody can be asked, that is an error."""
    from pargo.errors import PargoError
    from pargo.plan.pending import pending_cost

    cost = pending_cost(experiment, jobs, jobs_file if jobs_file is not None and jobs_file.is_file() else None)
    if not cost.is_high:
        return
    if not sys.stdin.isatty():
        raise PargoError(f"this would take {cost}: see `pargo status` and `pargo plan`, and say --yes to run it")
    if not click.confirm(f"This would take {cost}. Run it?"):
        raise PargoError("nothing was run")


def say_how_long(experiment: Any, jobs: Any, cores: int) -> None:
    """Say how long jobs take on this machine, as a step of training measured now tells; nothing of a short run."""
    pending = [job for job in jobs if job.reason and job.made_before is None and not job.recorded]
    trained = [experiment.arms[job.wildcards["arm"]].finetune.num_samples for job in pending if job.rule == "finetune"]
    if sum(trained) < LONG_RUN:
        return
    from pargo.errors import PargoError
    from pargo.plan.time import estimate  # loads torch

    with suppress(PargoError):  # the operations cannot be counted
        if found := estimate(experiment, pending, cores):
            click.echo(
                f"about {max(1, round(found.seconds / 60))} min on {cores} core{'s' if cores > 1 else ''} of this "
                f"machine, as a step of training took {found.step:.2f} s just now",
                err=True,
            )


@click.command()
@config_option
@click.option("--jobs", type=PATH, help=f"Jobs file: how many GPUs a job has. [default: {DEFAULT_JOBS}]")
@click.option("--gpu", default="H100", show_default=True, help=f"Which one: {', '.join(sorted(PEAKS))}.")
@click.option(
    "--mfu", type=Number(float, 0.01, 1), default=0.25, show_default=True, help="Share of its peak in training."
)
@click.option(
    "--decoding-mfu",
    type=Number(float, 0.001, 1),
    default=0.02,
    show_default=True,
    help="Share while answers are generated.",
)
def plan(config: Path | None, jobs: Path | None, gpu: str, mfu: float, decoding_mfu: float) -> None:
    """Show what a config will cost before anything runs: GPU-hours, time, storage and download by stage and arm."""
    choice("--gpu", gpu, sorted(PEAKS))
    seen = go_to_project()
    jobs_file = existing_file("--jobs", seen(jobs) if jobs else DEFAULT_JOBS)
    file, experiment = read_config(seen, config)
    from pargo.config.jobs import load_jobs

    resources = load_jobs(jobs_file)
    from rich.console import Console

    from pargo.plan.jobs import Assumptions
    from pargo.plan.jobs import plan as make_plan
    from pargo.plan.show import render
    from pargo.plan.sizes import language_sizes

    assumptions = Assumptions(gpu, PEAKS[gpu], mfu, decoding_mfu)
    rows, (_, sizes) = make_plan(experiment, resources, assumptions), language_sizes(experiment)
    # a number that is cut is worse than a line that wraps
    Console(width=max(Console().width, 126)).print(render(rows, assumptions, f"{file}, jobs as in {jobs_file}", sizes))


@click.command()
@config_option
@click.option("--all", "every", is_flag=True, help="List jobs that are up to date, too.")
def status(config: Path | None, every: bool) -> None:
    """Show what of a config is up to date, what would run, and why."""
    _, experiment = read_config(go_to_project(own_code=True), config)
    from pargo.graph.recorded import jobs_here
    from pargo.graph.status import lines_of, running_jobs
    from pargo.layout import Layout

    for line in lines_of(jobs_here(experiment), running_jobs(Layout(experiment.name)), every=every):
        click.echo(line)


@click.command()
@click.argument("job")
@config_option
def why(job: str, config: Path | None) -> None:
    """Show why a job would run, e.g. `finetune-qformer-seed-0`: its own changes, and the jobs before it."""
    _, experiment = read_config(go_to_project(own_code=True), config)
    from pargo.graph.recorded import jobs_here
    from pargo.graph.status import chain_of

    for line in chain_of(jobs_here(experiment), job):
        click.echo(line)


@click.command()
@click.argument("job")
@click.option("--reason", required=True, help="Why the change is without effect; shown in the report.")
@config_option
def accept(job: str, reason: str, config: Path | None) -> None:
    """Accept a change of code as without effect on what JOB made, e.g. `finetune-*`, until it changes again."""
    _, experiment = read_config(go_to_project(own_code=True), config)
    from pargo.graph.accept import accept as run
    from pargo.graph.recorded import jobs_here

    for name in run(jobs_here(experiment), job, reason):
        click.echo(f"accepted: {name}")


@click.command()
@click.option("--yes", is_flag=True, help="Remove them, but for those that a commit recorded.")
@click.option("--all", "everything", is_flag=True, help="With --yes: those as well.")
def gc(yes: bool, everything: bool) -> None:
    """List artifacts that others replaced, and that are kept to be restored; with --yes remove them."""
    go_to_project()
    if everything and not yes:
        raise UsageError("--all: needs --yes; without it nothing is removed")
    from pargo.graph.gc import lines_of, list_kept, removable, remove

    rows = list_kept()
    for line in lines_of(rows):
        click.echo(line)
    going = removable(rows, everything)
    if yes:
        remove(going)
        stay = f"; {len(rows) - len(going)} stay, as commits recorded them (--all)" if len(going) < len(rows) else ""
        click.echo(f"removed: {len(going)}{stay}")
    elif going:
        click.echo(f"`pargo gc --yes` removes {len(going)} of them")


@click.group(cls=Group, no_args_is_help=True)
def config() -> None:
    """Look at config files."""


@config.command("check")
@click.argument("file", type=PATH)
def config_check(file: Path) -> None:
    """Read and validate a config file; exit code 2 and one clear message when it cannot be run."""
    found = valid_config(existing_file("FILE", file))
    click.echo(f"{file}: ok; arms: {', '.join(found.arms)}; benchmarks: {', '.join(found.benchmarks)}")


@click.group(cls=Group, no_args_is_help=True)
def versions() -> None:
    """Record and restore artifacts with DVC."""


@versions.command("record")
@config_option
def versions_record(config: Path | None) -> None:
    """Write dvc.yaml and dvc.lock from the finished run of a config."""
    file, _ = read_config(go_to_project(own_code=True), config)
    from pargo.graph import dvc

    dvc.record(file)


@versions.command("write")
@config_option
def versions_write(config: Path | None) -> None:
    """Write dvc.yaml and dvc-params.json as config and code are now, for `dvc status`; record nothing."""
    file, _ = read_config(go_to_project(own_code=True), config)
    from pargo.graph import dvc

    dvc.write(file)


@versions.command("restore")
@config_option
@click.option("--force", is_flag=True, help="Replace artifacts that are not as recorded; they are set aside.")
def versions_restore(config: Path | None, force: bool) -> None:
    """Bring back the artifacts of the checked-out commit, so that nothing of a config has to be rerun."""
    file, _ = read_config(go_to_project(own_code=True), config)
    from pargo.graph.dvc_restore import restore

    restore(file, force=force)


@versions.command("status")
@config_option
@click.pass_context
def versions_status(context: click.Context, config: Path | None) -> None:
    """Show what differs from the recorded versions of a config; exit code 1 when something does."""
    file, _ = read_config(go_to_project(own_code=True), config)
    from pargo.graph import dvc

    changes = dvc.status(file)
    click.echo("\n".join(changes) or "up to date")
    context.exit(1 if changes else 0)
