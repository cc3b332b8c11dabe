"""Scores: of result files and saved answers, of two runs or commits compared, of a judge; where they come from."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import click

from pargo.arguments import choice, existing, existing_file, new_file, read_settings
from pargo.commands.options import PATH, Number, config_option, given, read_config
from pargo.errors import PargoError, UsageError
from pargo.project import go_to_project
from pargo.stages import STAGES

SAMPLES = "Bootstrap draws; by default 2000, as in reports."


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=PATH)
@click.option("--json", is_flag=True, help="Print the whole record.")
@click.option("--parser", help="Reads the answers; default: as in config/README.md.")
@click.option("--partial", is_flag=True, help="Accept a part of the benchmark.")
@click.option("--samples", type=Number(int, 1), help=SAMPLES)
@click.option("--settings", help="For `predictions`: what the stage reads of the config.")
@click.option("--grades", type=PATH, help="For `predictions`: directory of a judge's grades.")
@click.option("--output", type=PATH, help="Write the record into this file.")
@click.option("--as", "harness", help="Also what lmms-eval or vlmevalkit would print.")
def score(
    name: str,
    inputs: tuple[Path, ...],
    json: bool,
    parser: str | None,
    partial: bool,
    samples: int | None,
    settings: str | None,
    grades: Path | None,
    output: Path | None,
    harness: str | None,
) -> None:
    """Score official result files or saved answers; needs no model.

    NAME is a benchmark, or `predictions` for a stage of the graph; INPUT... are official files, see docs/benchmarks.md.
    """
    if name == "predictions":
        if settings is None or output is None or len(inputs) != 1 or harness:
            raise UsageError("`score predictions` takes one directory, --settings and --output")
        read = read_settings("--settings", settings)
        from pargo.jobs.run import run_stage

        run_stage(STAGES["score"], read, {"predictions": inputs[0], "grades": grades}, output)
        return
    from pargo.code import ROOT, plugin_names

    choice("NAME", name, [*plugin_names(ROOT / "pargo/config/benchmarks"), "predictions"])
    for path in inputs:
        existing("INPUT", path)
    if output is not None:
        new_file("--output", output)
    from pargo.benchmarks.scores.score import score_files, to_json
    from pargo.benchmarks.scores.show import show
    from pargo.config.report import DRAWS
    from pargo.files import write_atomic

    if harness:
        from pargo.benchmarks.harnesses import check, harness_record

        with given():
            check(harness, name, parser)
    with given():
        record = score_files(name, list(inputs), parser, samples or DRAWS, partial=partial)
    if harness:
        compared = harness_record(harness, list(inputs), record, partial=partial)
        record = record.model_copy(update={"harness": compared})
    if output is not None:
        write_atomic(output, to_json(record))
    if json:
        click.echo(to_json(record), nl=False)
    else:
        show(record)
        if harness:
            from pargo.benchmarks.harnesses.show import show as show_harness

            show_harness(compared)


@click.command()
@click.argument("run_a", metavar="RUN_A", type=PATH)
@click.argument("run_b", metavar="[RUN_B]", type=PATH, required=False)
@click.option("--json", is_flag=True, help="Print all numbers.")
@click.option("--samples", type=Number(int, 1), help=SAMPLES)
@config_option
def compare(run_a: Path, run_b: Path | None, json: bool, samples: int | None, config: Path | None) -> None:
    """Compare the scores of two runs on the same images, or the reports of a config at two commits.

    A run is a score file, or a folder of score files or seeds. A commit is whatever git takes for one: with two, or
    with one alone, which is compared with the files here, it says which numbers of the tables of --config changed,
    and whether that is more than seeds and images explain.
    """
    if is_commit(run_a) and (run_b is None or is_commit(run_b)):
        _compare_revisions(str(run_a), None if run_b is None else str(run_b), samples, config, json=json)
        return
    if run_b is None:
        existing("RUN_A", run_a)
        raise UsageError("RUN_B: a run is compared with another run; a commit alone with the files here")
    if config is not None:
        raise UsageError("--config: goes with commits; these are runs")
    existing("RUN_A", run_a), existing("RUN_B", run_b)
    from rich.console import Console

    from pargo.benchmarks.scores.compare import compare as compare_runs
    from pargo.benchmarks.scores.compare_table import render
    from pargo.benchmarks.scores.score import to_json
    from pargo.config.report import DRAWS

    with given():
        comparison = compare_runs(run_a, run_b, samples or DRAWS)
    text = to_json(comparison.model_dump(mode="json")) if json else render(comparison, Console().width)
    click.echo(text, nl=False)


def is_commit(word: Path) -> bool:
    """Not a file or folder, but what git takes for a commit."""
    if word.exists() or str(word).startswith("-"):
        return False
    command = ["git", "rev-parse", "--verify", "--quiet", f"{word}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _compare_revisions(first: str, second: str | None, samples: int | None, config: Path | None, *, json: bool) -> None:
    _, experiment = read_config(go_to_project(), config)
    from pargo.benchmarks.scores.score import to_json
    from pargo.config.report import DRAWS
    from pargo.report.revisions import compare_revisions, render

    changes = compare_revisions(experiment.name, first, second, samples or DRAWS)
    click.echo(to_json(changes.model_dump(mode="json")) if json else render(changes), nl=False)


def _names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Completion of TABLE, ROW and COLUMN; none where nothing is reported."""
    from pargo.report.trace import Tracer

    with suppress(Exception):  # a shell that completes shows no errors
        path, experiment = read_config(go_to_project(), context.params.get("config"))
        given_ = [context.params[name] for name in ("table", "row") if context.params.get(name)]
        known = Tracer(experiment.name, path.as_posix()).names(*given_)
        return [name for name in known if name.startswith(incomplete)]
    return []


@click.command()
@click.argument("table", metavar="TABLE", shell_complete=_names)
@click.argument("row", metavar="ROW", shell_complete=_names)
@click.argument("column", metavar="COLUMN", shell_complete=_names)
@click.option("--json", is_flag=True, help="Print all of it.")
@config_option
def trace(table: str, row: str, column: str, json: bool, config: Path | None) -> int:
    """Show where a number of a table comes from: formula, files with their lines, answers, models, commits, hardware.

    E.g. `pargo trace projectors pargo mini_mme.total`. Exit code 1 when something is not as it was when the number was
    made.
    """
    path, experiment = read_config(go_to_project(), config)
    from pargo.benchmarks.scores.score import to_json
    from pargo.report.trace import Tracer, render

    found = Tracer(experiment.name, path.as_posix()).trace(table, row, column)
    click.echo(to_json(found.model_dump(mode="json")) if json else render(found), nl=False)
    return 1 if found.problems else 0


@click.command()
@click.argument("questions", metavar="META", type=PATH)
@click.argument("results", metavar="RESULTS", type=PATH)
@click.argument("output", metavar="GRADES", type=PATH)
@click.option("--base-url", required=True, help="OpenAI-compatible endpoint, e.g. https://host/v1.")
@click.option("--model", required=True, help="Name of the judge model.")
@click.option("--runs", type=Number(int, 1), default=1, show_default=True, help="Grades of each answer.")
@click.option("--prompt", type=PATH, help="File with another prompt than ours.")
@click.option("--notebook", is_flag=True, help="Grade as MM-Vet's notebook does; --prompt is the text of its `prompt`.")
@click.option(
    "--api-key-environment", default="OPENAI_API_KEY", show_default=True, help="Environment variable of the key."
)
def judge(
    questions: Path,
    results: Path,
    output: Path,
    base_url: str,
    model: str,
    runs: int,
    prompt: Path | None,
    notebook: bool,
    api_key_environment: str,
) -> None:
    """Let a judge model grade MM-Vet's answers; `pargo score mmvet META GRADES` then scores them.

    META is mm-vet.json, RESULTS the answers, {id: text}; the grades go to GRADES.
    """
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

    with given():
        read([questions, results], parser="judge", partial=False)
        read_prompt(prompt, notebook=notebook) if prompt else None
    grading = judge_files(questions, results, output, chosen, prompt, notebook=notebook)
    click.echo(f"written: {output}, {grading.graded} answers graded")
    if grading.given_up:
        click.echo(f"0.0 after five replies without a grade, as in the notebook: {', '.join(grading.given_up)}")
    if grading.ungraded:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in grading.ungraded.items())
        raise PargoError(f"{len(grading.ungraded)} answers are not graded and not in {output}: {reasons}")
