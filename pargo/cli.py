"""The command line: reproduce a whole config, run one stage, check a config, record and restore versions.

Stages import torch and friends, so every command imports what it runs only when it runs. Options are given by the
rules in workflow/rules; a person rarely calls a stage by hand.
"""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pargo.arguments import choice, existing, existing_file, new_file, read_mapping
from pargo.errors import PargoError, UsageError
from pargo.project import Seen, go_to_project
from pargo.train.peaks import PEAKS

app = typer.Typer(
    help="ParGo-Repro: reproduce the paper with one command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at config files.", no_args_is_help=True)
data_app = typer.Typer(help="Files of a config's sources: list, check and fetch them.", no_args_is_help=True)
report_app = typer.Typer(help="Stage report: tables, figures, page.", no_args_is_help=True)
versions_app = typer.Typer(help="Record and restore artifacts with DVC.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
app.add_typer(report_app, name="report")
app.add_typer(versions_app, name="versions")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Config file: which paper is run. [default: config/quick.yaml]", show_default=False),
]
SettingsText = Annotated[str, typer.Option("--settings", help="JSON of what the stage reads of the config.")]
Directory = Annotated[Path, typer.Option(help="Directory, made by an earlier stage.")]
Output = Annotated[Path, typer.Option(help="What the stage makes.")]
RunDirectory = Annotated[Path, typer.Option(help="Where the job record, the log and checkpoints are kept.")]
Named = Annotated[list[str], typer.Option(metavar="NAME=DIR", help="Directory of a dataset; may be repeated.")]
OptionalNamed = Annotated[
    list[str] | None, typer.Option(metavar="NAME=DIR", help="As above; needed or not as the settings say.")
]
OptionalDirectory = Annotated[Path | None, typer.Option(help="Weights of the vision tower, to run it in the loop.")]
Files = Annotated[list[Path], typer.Option(help="File or directory of an earlier stage; may be repeated.")]
OptionalFiles = Annotated[list[Path] | None, typer.Option(help="As above; there may be none.")]
Executor = Annotated[
    str,
    typer.Option(help="How the job runs: `local` on this machine, `inline` in this process, or path of a jobs file."),
]

MADE = ("output", "run_directory", "shards", "answers")  # arguments of stages that need not be there before
DEFAULT_CONFIG, DEFAULT_JOBS = Path("config/quick.yaml"), Path("workflow/profiles/paper/jobs.yaml")


def main() -> None:
    """Run the command line; an expected error is one line, without a traceback."""
    try:
        code = app(prog_name="pargo", standalone_mode=False)
    except typer.TyperException as error:  # an option or a command that there is not
        _fail(_told(error), error.exit_code)
    except PargoError as error:
        _fail(str(error), error.exit_code)
    except typer.Abort:
        _fail("stopped", 130)
    except OSError as error:
        if error.errno is None or error.strerror is None:  # not of the system: a fault of ours or of a library
            raise
        _fail(": ".join(str(part) for part in (error.filename, error.strerror) if part), 1)
    sys.exit(code or 0)


def _told(error: typer.TyperException) -> str:
    """What is wrong with the command line, in our words where typer has pydantic's."""
    message, cause = error.format_message().rstrip("."), error.__cause__
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    problems = getattr(cause, "errors", None)
    if parameter is not None and problems is not None:
        from pargo.config.words import explain

        name = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.make_metavar(context)
        message = explain(name, problems()[0])
    return f"{message.rstrip('.')} (see `{context.command_path if context else 'pargo'} --help`)" if message else ""


def _fail(message: str, code: int) -> typing.NoReturn:
    if message:  # else the help is shown already
        typer.secho(f"error: {message}", err=True, fg="red", bold=True)
    sys.exit(code)


def _read(seen: Seen, config: Path | None) -> tuple[Path, Any]:
    """A config file, as seen from the project, and the config in it."""
    from pargo.config.yaml_file import read_yaml

    path = existing_file("--config", seen(config) if config else DEFAULT_CONFIG)
    return path, _valid(read_yaml(path), path)  # what is no YAML is said before pydantic is there


def _valid(data: Any, path: Path) -> Any:
    from pargo.config.experiment import parse_config
    from pargo.config.stages import check_sources

    config = parse_config(data, where=str(path))
    check_sources(config)
    return config


@contextmanager
def _given() -> Iterator[None]:
    """Whatever is wrong with files that a person named is a wrong argument."""
    try:
        yield
    except PargoError as error:
        raise UsageError(str(error)) from error


# The whole experiment -----------------------------------------------------------------------------------------------


@app.command()
def reproduce(
    config: ConfigFile = None,
    profile: Annotated[Path | None, typer.Option(help="Snakemake profile: how jobs run, e.g. on a cluster.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="CPU cores to use; default: the profile's.")] = None,
    on_interrupt: Annotated[
        Literal["ask", "detach", "cancel"], typer.Option(help="What Ctrl-C does with jobs that are running.")
    ] = "ask",
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")] = None,
) -> None:
    """Run everything a config needs, record it with DVC and show the headline table."""
    from pargo.groups import STAGES
    from pargo.profiles import check_profile_files

    if until is not None:
        choice("--until", until, STAGES)
    seen = go_to_project(own_code=True)
    if profile is not None:
        profile = seen(profile)
        check_profile_files(profile)
    file, _ = _read(seen, config)
    from pargo.reproduce import reproduce as run

    run(file, profile=profile, cores=cores, until=until, on_interrupt=on_interrupt)


@config_app.command("check")
def config_check(file: Annotated[Path, typer.Argument(help="Config file.")]) -> None:
    """Read and validate a config file; exit code 2 and one clear message when it cannot be run."""
    from pargo.config.yaml_file import read_yaml

    config = _valid(read_yaml(existing_file("FILE", file)), file)
    typer.echo(f"{file}: ok; arms: {', '.join(config.arms)}; benchmarks: {', '.join(config.benchmarks)}")


# Stages -------------------------------------------------------------------------------------------------------------


def _run(module: str, settings: str, **arguments: Any) -> None:
    """Call `run` of a stage's module in this process."""
    _check(settings, arguments)
    stage = importlib.import_module(module)
    stage.run(_parse(stage, settings), **arguments)


def _launch(
    stage: str,
    function: str,
    settings: str,
    arguments: dict[str, Any],
    run_directory: Path,
    executor: Executor,
    modules: tuple[str, ...] = (),
) -> None:
    """Run a heavy stage as a job, or in this process with the executor `inline`."""
    _check(settings, arguments)
    from pargo.jobs.launcher import launch

    name = run_directory.as_posix()
    given = {"settings": settings, **arguments}
    how = {"executor": executor, "stage_name": stage}
    launch(function, given, name=name, run_directory=run_directory, modules=modules, **how)


def _launch_shards(
    stage: str,
    function: str,
    settings: str,
    paths: dict[str, Any],
    run_directory: Path,
    executor: str,
    modules: tuple[str, ...],
    number: int,
) -> list[Path]:
    """Run a heavy stage as an array of jobs that share its work; their run directories, none where one job does all."""
    from pargo.jobs.launcher import launch_array

    if number == 1:
        return []
    shards = [run_directory / str(shard) for shard in range(number)]
    elements = [
        {"settings": settings, **paths, "shard": index, "run_directory": shard} for index, shard in enumerate(shards)
    ]
    launch_array(function, elements, run_directory=run_directory, executor=executor, modules=modules, stage_name=stage)
    return shards


def _check(settings: str, arguments: dict[str, Any]) -> None:
    """What can be known to be wrong before the stage is imported: settings that are none, inputs that are not there."""
    read_mapping("--settings", settings)
    for name, value in arguments.items():
        paths = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if name in MADE:
            continue
        for path in paths:
            if isinstance(path, Path):
                existing(f"--{name}", path)


def _part(settings: str, name: str, *fields: str) -> dict[str, Any]:
    """A part of a stage's settings that this command reads itself."""
    part = read_mapping("--settings", settings).get(name)
    if not isinstance(part, dict) or any(field not in part for field in fields):
        raise UsageError(f"--settings: {name}: expected a mapping with {', '.join(fields)}")
    return part


def _projector(settings: str, arguments: dict[str, Any]) -> tuple[str, str]:
    """Modules of the projector of a stage's settings, which the stage loads by name."""
    _check(settings, arguments)
    from pargo.config.projectors import projector_modules

    return projector_modules(_part(settings, "projector", "name")["name"])


def _parse(stage: Any, settings: str) -> Any:
    """Settings of the type that the stage's `run` declares."""
    from pydantic import ValidationError

    from pargo.config.words import explain_all

    kind = typing.get_type_hints(stage.run)["settings"]
    try:
        return kind.model_validate_json(settings)
    except ValidationError as error:
        raise UsageError(f"--settings are no {kind.__name__}: {explain_all(error, kind.model_json_schema())}") from None


def _named(pairs: list[str]) -> dict[str, Path]:
    """`NAME=DIR` options as a mapping, in the given order."""
    directories: dict[str, Path] = {}
    for pair in pairs:
        name, equals, directory = pair.partition("=")
        if not equals or not name or not directory:
            raise UsageError(f"expected NAME=DIR, got {pair!r}")
        if name in directories:
            raise UsageError(f"{name!r} is given twice")
        directories[name] = Path(directory)
    return directories


@app.command()
def download(settings: SettingsText, output: Output, run_directory: RunDirectory) -> None:
    """Fetch, generate or import one source."""
    _run("pargo.data.download", settings, output=output, run_directory=run_directory)


@app.command()
def fingerprint(
    settings: SettingsText, source: Directory, output: Output, run_directory: RunDirectory, executor: Executor = "local"
) -> None:
    """Hash what the images of one split look like, to find those that are alike."""
    paths = {"source": source, "output": output, "run_directory": run_directory}
    _launch("fingerprint", "pargo.data.fingerprint", settings, paths, run_directory, executor)


@app.command()
def select(
    settings: SettingsText,
    fingerprints: Directory,
    benchmarks: Named,
    output: Output,
    run_directory: RunDirectory,
    executor: Executor = "local",
) -> None:
    """Choose the images of one dataset that are captioned: none twice, none of a benchmark."""
    paths = {"fingerprints": fingerprints, "benchmarks": _named(benchmarks), "output": output}
    _launch("select", "pargo.data.select", settings, paths, run_directory, executor)


@app.command()
def caption(
    settings: SettingsText,
    source: Directory,
    selection: Directory,
    output: Output,
    run_directory: RunDirectory,
    executor: Executor = "local",
) -> None:
    """Caption the selected images of one dataset; several jobs share them where the config says so."""
    chosen = _part(settings, "captions", "engine", "num_shards")
    paths: dict[str, Any] = {"source": source, "selection": selection}
    _check(settings, paths)
    from pargo.captions.engines import caption_modules

    engine = chosen["engine"]
    number, modules = chosen["num_shards"], caption_modules(engine if isinstance(engine, str) else engine["kind"])
    shards = _launch_shards(
        "caption", "pargo.captions.build:caption_shard", settings, paths, run_directory, executor, modules, number
    )
    executor = "inline" if shards else executor  # what is left needs no server
    arguments = paths | {"output": output, "run_directory": run_directory, "shards": shards}
    _launch("caption", "pargo.captions.build", settings, arguments, run_directory, executor, modules)


@app.command("filter")
def filter_captions(
    settings: SettingsText,
    source: Directory,
    captions: Directory,
    output: Output,
    run_directory: RunDirectory,
    executor: Executor = "local",
) -> None:
    """Keep the captions of one dataset that are good enough, and count the others by reason."""
    paths = {"source": source, "captions": captions, "output": output}
    _launch("filter", "pargo.captions.filter", settings, paths, run_directory, executor)


@app.command()
def features(
    settings: SettingsText,
    source: Directory,
    vision: Directory,
    output: Output,
    run_directory: RunDirectory,
    executor: Executor = "local",
) -> None:
    """Compute the frozen vision tower's features of one split."""
    # one thread: sums are split by thread, and the numbers must not depend on the machine's load
    paths = {"source": source, "vision": vision, "output": output}
    _launch("features", "pargo.models.features", settings, paths, run_directory, executor)


@app.command()
def pretrain(
    settings: SettingsText,
    language: Directory,
    captions: Named,
    output: Output,
    run_directory: RunDirectory,
    features: OptionalNamed = None,
    images: OptionalNamed = None,
    vision: OptionalDirectory = None,
    executor: Executor = "local",
) -> None:
    """Train the projector of one arm on captions."""
    datasets: dict[str, Any] = {"captions": _named(captions), "features": _named(features or [])}
    if vision is not None:
        datasets |= {"images": _named(images or []), "vision": vision}
    paths = {"language": language, "output": output, "run_directory": run_directory}
    modules = _projector(settings, datasets | paths)
    _launch("pretrain", "pargo.train.pretrain", settings, datasets | paths, run_directory, executor, modules)


@app.command()
def finetune(
    settings: SettingsText,
    language: Directory,
    pretrained: Directory,
    sources: Named,
    output: Output,
    run_directory: RunDirectory,
    features: OptionalNamed = None,
    vision: OptionalDirectory = None,
    executor: Executor = "local",
) -> None:
    """Train the projector and LoRA of one arm on conversations."""
    datasets: dict[str, Any] = {"sources": _named(sources), "features": _named(features or [])}
    if vision is not None:
        datasets |= {"vision": vision}
    paths = {"language": language, "pretrained": pretrained, "output": output, "run_directory": run_directory}
    modules = _projector(settings, datasets | paths)
    _launch("finetune", "pargo.train.finetune", settings, datasets | paths, run_directory, executor, modules)


@app.command()
def evaluate(
    settings: SettingsText,
    language: Directory,
    model: Directory,
    source: Directory,
    features: Directory,
    output: Output,
    run_directory: RunDirectory,
    executor: Executor = "local",
) -> None:
    """Answer the questions of one benchmark with one model; several jobs share them where the config says so."""
    from pargo.benchmarks import answer_modules

    modules = answer_modules(_part(settings, "benchmark", "kind")["kind"])
    number = _part(settings, "generation", "num_shards")["num_shards"]
    paths: dict[str, Any] = {"language": language, "model": model, "source": source, "features": features}
    modules = (*modules, *_projector(settings, paths))
    from pargo.benchmarks.evaluate import ANSWERS

    shards = _launch_shards(
        "evaluate", "pargo.benchmarks.evaluate:answer", settings, paths, run_directory, executor, modules, number
    )
    executor = "inline" if shards else executor  # what is left needs no model
    answers = [shard / ANSWERS for shard in shards]
    arguments = paths | {"output": output, "run_directory": run_directory, "answers": answers}
    _launch("evaluate", "pargo.benchmarks.evaluate", settings, arguments, run_directory, executor, modules)


@app.command()
def score(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Benchmark, or `predictions` for a stage of the graph.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Official files; see the README.")],
    json: Annotated[bool, typer.Option("--json", help="Print the whole record.")] = False,
    parser: Annotated[str | None, typer.Option(help="Reads the answers; default: as in config/README.md.")] = None,
    partial: Annotated[bool, typer.Option(help="Accept a part of the benchmark.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Bootstrap draws of the interval.")] = 2000,
    settings: Annotated[str | None, typer.Option(help="For `predictions`: what the stage reads of the config.")] = None,
    grades: Annotated[Path | None, typer.Option(help="For `predictions`: directory of a judge's grades.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the record into this file.")] = None,
    harness: Annotated[str | None, typer.Option("--as", help="Also what lmms-eval or vlmevalkit would print.")] = None,
) -> None:
    """Score official result files or saved answers; needs no model."""
    if name == "predictions":
        if settings is None or output is None or len(inputs) != 1 or harness:
            raise UsageError("`score predictions` takes one directory, --settings and --output")
        _run("pargo.benchmarks.score", settings, predictions=inputs[0], output=output, grades=grades)
        return
    from pargo.config.benchmarks import BENCHMARKS

    choice("NAME", name, [*BENCHMARKS.names, "predictions"])
    for path in inputs:
        existing("INPUT", path)
    if output is not None:
        new_file("--output", output)
    from pargo.benchmarks.score import score_files, to_json
    from pargo.benchmarks.show import show
    from pargo.files import write_atomic

    if harness:
        from pargo.benchmarks.harnesses import check, harness_record

        with _given():
            check(harness, name, parser)
    with _given():
        record = score_files(name, inputs, parser, samples, partial=partial)
    if harness:
        compared = harness_record(harness, inputs, record, partial=partial)
        record = record.model_copy(update={"harness": compared})
    if output is not None:
        write_atomic(output, to_json(record))
    if json:
        typer.echo(to_json(record), nl=False)
    else:
        show(record)
        if harness:
            from pargo.benchmarks.harnesses.show import show as show_harness

            show_harness(compared)


@app.command()
def grade(settings: SettingsText, predictions: Directory, output: Output, run_directory: RunDirectory) -> None:
    """Let a judge model grade the answers to one benchmark."""
    paths = {"predictions": predictions, "output": output, "run_directory": run_directory}
    _run("pargo.benchmarks.mmvet.grade", settings, **paths)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="Score file, or folder of score files or seeds.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="What it is compared with.")],
    json: Annotated[bool, typer.Option("--json", help="Print all numbers.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Bootstrap draws.")] = 10_000,
) -> None:
    """Compare the scores of two runs on the same images: paired intervals, p values, Holm's correction."""
    existing("RUN_A", run_a), existing("RUN_B", run_b)
    from rich.console import Console

    from pargo.benchmarks.compare import compare as compare_runs
    from pargo.benchmarks.compare_table import render
    from pargo.benchmarks.score import to_json

    with _given():
        comparison = compare_runs(run_a, run_b, samples)
    text = to_json(comparison.model_dump(mode="json")) if json else render(comparison, Console().width)
    typer.echo(text, nl=False)


@app.command()
def judge(
    questions: Annotated[Path, typer.Argument(metavar="META", help="mm-vet.json.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Answers, {id: text}.")],
    output: Annotated[Path, typer.Argument(metavar="GRADES", help="Where the grades go.")],
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint, e.g. https://host/v1.")],
    model: Annotated[str, typer.Option(help="Name of the judge model.")],
    runs: Annotated[int, typer.Option(min=1, help="Grades of each answer.")] = 1,
    prompt: Annotated[Path | None, typer.Option(help="File with another prompt than ours.")] = None,
    notebook: Annotated[
        bool, typer.Option("--notebook", help="Grade as MM-Vet's notebook does; --prompt is the text of its `prompt`.")
    ] = False,
    api_key_environment: Annotated[str, typer.Option(help="Environment variable of the key.")] = "OPENAI_API_KEY",
) -> None:
    """Let a judge model grade MM-Vet's answers; `pargo score mmvet META GRADES` then scores them."""
    existing_file("META", questions), existing_file("RESULTS", results), new_file("GRADES", output)
    if prompt is not None:
        existing_file("--prompt", prompt)
    elif notebook:
        raise UsageError("--notebook needs --prompt FILE with the text of the notebook's variable `prompt`")
    from pydantic import ValidationError

    from pargo.config.judge import Judge
    from pargo.config.words import explain

    try:
        chosen = Judge(base_url=base_url, model=model, num_runs=runs, api_key_environment=api_key_environment)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(explain(f"--{first['loc'][0]}".replace("_", "-"), first)) from None
    from pargo.benchmarks.mmvet.judge import judge_files
    from pargo.benchmarks.mmvet.judge_prompt import read_prompt
    from pargo.benchmarks.mmvet.results import read

    with _given():
        read([questions, results], parser="judge", partial=False)
        read_prompt(prompt, notebook=notebook) if prompt else None
    grading = judge_files(questions, results, output, chosen, prompt, notebook=notebook)
    typer.echo(f"written: {output}, {grading.graded} answers graded")
    if grading.given_up:
        typer.echo(f"0.0 after five replies without a grade, as in the notebook: {', '.join(grading.given_up)}")
    if grading.ungraded:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in grading.ungraded.items())
        raise PargoError(f"{len(grading.ungraded)} answers are not graded and not in {output}: {reasons}")


@app.command()
def attention(settings: SettingsText, model: Directory, source: Directory, features: Directory, output: Output) -> None:
    """Store where the tokens of one model look, for the attention figure."""
    _run("pargo.report.attention", settings, model=model, source=source, features=features, output=output)


@report_app.command("tables")
def report_tables(settings: SettingsText, scores: Files, output: Output) -> None:
    """Write the tables."""
    _run("pargo.report.tables", settings, scores=scores, output=output)


@report_app.command("figures")
def report_figures(
    settings: SettingsText, scores: Files, models: Files, output: Output, attention: OptionalFiles = None
) -> None:
    """Draw the figures."""
    _run("pargo.report.figures", settings, scores=scores, models=models, attention=attention or [], output=output)


@report_app.command("page")
def report_page(settings: SettingsText, scores: Files, tables: Directory, figures: Directory, output: Output) -> None:
    """Write the page for readers."""
    _run("pargo.report.page", settings, scores=scores, tables=tables, figures=figures, output=output)


@report_app.command("captions")
def report_captions(
    settings: SettingsText, captions: Directory, selection: Directory, source: Directory, output: Output
) -> None:
    """Write the dataset card of a caption set, its figure and a page of samples."""
    _run("pargo.report.captions", settings, captions=captions, selection=selection, source=source, output=output)


# Jobs -----------------------------------------------------------------------------------------------------------------


@app.command()
def jobs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the table anew every few seconds.")] = False,
) -> None:
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


@app.command()
def logs(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="As `pargo jobs` shows it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
) -> None:
    """Print the log of a job."""
    go_to_project()
    _known_jobs([job_id])
    from pargo.jobs.overview import find_job
    from pargo.jobs.overview import follow as text_of

    job = find_job(job_id)
    if follow:
        for text in text_of(job):
            typer.echo(text, nl=False)
    elif job.log.exists():
        typer.echo(job.log.read_text(encoding="utf-8", errors="replace"), nl=False)
    else:
        typer.echo("no log yet")


@app.command()
def cancel(
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `pargo jobs` shows them.")] = None,
    all_jobs: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """End jobs. What they saved stays, and the next run goes on from there."""
    if bool(job_ids) == all_jobs:
        raise UsageError("`cancel` takes ids, or --all")
    go_to_project()
    _known_jobs(job_ids or [])
    from pargo.jobs.overview import cancel as end
    from pargo.jobs.overview import find_job, find_jobs

    for job in end(find_jobs() if all_jobs else [find_job(job_id) for job_id in job_ids or []]):
        typer.echo(f"cancelled {job.record.job_id}: {job.stage} {job.arm}")


def _known_jobs(job_ids: list[str]) -> None:
    """Refuse ids that no record has."""
    from pargo.jobs.record import RECORD, JobRecord

    records = [JobRecord.read(path.parent) for path in Path("runs").rglob(RECORD)]
    known = sorted(record.job_id for record in records if record and record.job_id)
    for job_id in job_ids:
        if job_id not in known:
            raise UsageError(f"no job {job_id!r} below {Path.cwd()}/runs; jobs on record: {', '.join(known) or 'none'}")


# Models for others ----------------------------------------------------------------------------------------------------


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a fine-tuned or converted model.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="New directory, which transformers can load.")],
    language: Annotated[Path | None, typer.Option(help="Language model's directory, if RUN does not tell.")] = None,
    vision: Annotated[Path | None, typer.Option(help="Vision tower's directory, if RUN does not tell.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the language model's weights: bfloat16 or float32.")] = "bfloat16",
    compare: Annotated[int, typer.Option(min=0, help="Questions of the run to ask the copy again.")] = 64,
    shard_size: Annotated[str, typer.Option(help="Largest file of weights.")] = "5GB",
) -> None:
    """Write a trained model as a complete transformers directory with model card."""
    from pargo.export.arguments import check_export

    check_export(run, directory, language, vision, dtype, shard_size)
    import torch

    from pargo.export.run import export as write

    types = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    sources = {"language": language, "vision": vision}
    agreement = write(run, directory, **sources, dtype=types[dtype], compare=compare, shard_size=shard_size)
    typer.echo(f"written: {directory}")
    if agreement is not None:
        typer.echo(f"asked again: {agreement.equal} of {agreement.asked} answers are those of the run")


@app.command()
def chat(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of an exported model.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image.")],
    question: Annotated[list[str] | None, typer.Option(help="Ask this and stop; may be repeated.")] = None,
    save_attention: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PNG or SVG of where partial and global tokens look.")
    ] = None,
) -> None:
    """Ask an exported model about an image; an empty line ends the conversation."""
    from pargo.export.arguments import check_chat

    check_chat(directory, image, save_attention)
    from pargo.chat import chat as talk

    talk(directory, image, questions=question or (), attention=save_attention)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of an exported model.")],
) -> None:
    """Run `transformers serve` with an exported model; further options are passed on (--port 8001)."""
    from pargo.export.arguments import check_exported

    check_exported(directory)
    from pargo.serve import serve as run

    run(directory, context.args)


@app.command("convert-release")
def convert_release(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="The released checkpoint (.pt).")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="New model directory, for `pargo export`.")],
    num_heads: Annotated[int, typer.Option(min=1, help="Attention heads of the projector; not in the checkpoint.")] = 8,
    num_partial_tokens: Annotated[int, typer.Option(min=0, help="The first queries; the rest are global.")] = 288,
) -> None:
    """Convert the official release's checkpoint, strictly: projector, ln_vision, llm_proj, LoRA."""
    from pargo.export.arguments import check_release

    check_release(checkpoint, directory)
    from pargo.export.release import convert_release as convert

    convert(checkpoint, directory, num_heads=num_heads, num_partial_tokens=num_partial_tokens)
    typer.echo(f"written: {directory}")


@app.command("convert-language")
def convert_language(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="GGUF file, or directory of an InternLM2 model.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="New directory, which transformers can load.")],
) -> None:
    """Convert a language model: GGUF to safetensors, InternLM2 to the Llama layout."""
    from pargo.export.arguments import check_language

    check_language(source, directory)
    from pargo.data.importers.convert import convert_language_model

    convert_language_model(source, directory)
    typer.echo(f"written: {directory}")


@app.command()
def plan(
    config: ConfigFile = None,
    jobs: Annotated[
        Path | None,
        typer.Option(help=f"Jobs file: how many GPUs a job has. [default: {DEFAULT_JOBS}]", show_default=False),
    ] = None,
    gpu: Annotated[str, typer.Option(help=f"Which one: {', '.join(sorted(PEAKS))}.")] = "H100",
    mfu: Annotated[float, typer.Option(min=0.01, max=1, help="Share of its peak in training.")] = 0.25,
    decoding_mfu: Annotated[float, typer.Option(min=0.001, max=1, help="Share while answers are generated.")] = 0.02,
) -> None:
    """Show what a config will cost before anything runs: GPU-hours, time, storage and download by stage and arm."""
    choice("--gpu", gpu, sorted(PEAKS))
    seen = go_to_project()
    jobs_file = existing_file("--jobs", seen(jobs) if jobs else DEFAULT_JOBS)
    file, experiment = _read(seen, config)
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


@data_app.command("ls")
def data_ls(config: ConfigFile = None) -> None:
    """List the sources of a config: where their files come from, how much they are, and what is here."""
    file, experiment = _read(go_to_project(), config)
    from rich.console import Console

    from pargo.data.overview import rows, table, version_table
    from pargo.layout import Layout

    found = rows(experiment, Layout(experiment.name))
    versions = {name: version for row in found for name, version in row.downloads.items()}
    console = Console(width=max(Console().width, 126))
    console.print(table(found, f"Sources of {file}"))
    if versions:
        console.print(version_table(versions))


@data_app.command("size")
def data_size(config: ConfigFile = None) -> None:
    """Print how much a config's sources are in all: stated, and imported."""
    _, experiment = _read(go_to_project(), config)
    from pargo.data.overview import rows, totals
    from pargo.layout import Layout

    typer.echo(totals(rows(experiment, Layout(experiment.name))))


@data_app.command("verify")
def data_verify(config: ConfigFile = None) -> None:
    """Read every imported file again and compare it with its sha256; exit code 1 when one differs."""
    file, experiment = _read(go_to_project(), config)
    from pargo.data.overview import check
    from pargo.layout import Layout

    found = []
    for name, problem in check(experiment, Layout(experiment.name)):
        typer.echo(f"{name}: {problem or 'as it was imported'}")
        found.append(problem)
    if not found:
        typer.echo(f"no source of {file} is imported here")
    raise typer.Exit(1 if any(found) else 0)


@data_app.command("fetch")
def data_fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="Rows of pargo/data/versions.yaml; by default those of the sources in use."
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Fetch what a config's sources name, into `data/`: resumed, checked, in its folder when it is whole.

    The run does it too, on the machine where it is started; this is for another one that shares the folder.
    """
    file, experiment = _read(go_to_project(), config)
    from pargo.config.stages import source_downloads
    from pargo.data.versions import download

    used = [source_downloads(experiment.sources[name]) for name in sorted(experiment.used_sources)]
    wanted = (
        {name: download(name) for name in names} if names else {key: row for rows in used for key, row in rows.items()}
    )
    if not wanted:
        typer.echo(f"{file} names no downloads: its sources are packages, which the run fetches, or made")
        return
    from pargo.data.downloads import fetch_all

    fetch_all(wanted)


# Versions -----------------------------------------------------------------------------------------------------------


@versions_app.command("record")
def versions_record(config: ConfigFile = None) -> None:
    """Write dvc.yaml and dvc.lock from the finished run of a config."""
    file, _ = _read(go_to_project(own_code=True), config)
    from pargo.versioning import dvc

    dvc.record(file)


@versions_app.command("write")
def versions_write(config: ConfigFile = None) -> None:
    """Write dvc.yaml and dvc-params.json as config and code are now, for `dvc status`; record nothing."""
    file, _ = _read(go_to_project(own_code=True), config)
    from pargo.versioning import dvc

    dvc.write(file)


@versions_app.command("restore")
def versions_restore(config: ConfigFile = None) -> None:
    """Bring back the artifacts of the checked-out commit, so that nothing of a config has to be rerun."""
    file, _ = _read(go_to_project(own_code=True), config)
    from pargo.versioning import dvc

    dvc.restore(file)


@versions_app.command("status")
def versions_status(config: ConfigFile = None) -> None:
    """Show what differs from the recorded versions of a config; exit code 1 when something does."""
    file, _ = _read(go_to_project(own_code=True), config)
    from pargo.versioning import dvc

    changes = dvc.status(file)
    typer.echo("\n".join(changes) or "up to date")
    raise typer.Exit(1 if changes else 0)
