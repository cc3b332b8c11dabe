"""Scores: of result files and saved answers, of two runs compared, of a judge."""

from __future__ import annotations

from pathlib import Path

import click

from pargo.arguments import choice, existing, existing_file, new_file, read_settings
from pargo.commands.options import PATH, Number, given
from pargo.errors import PargoError, UsageError
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
@click.argument("run_b", metavar="RUN_B", type=PATH)
@click.option("--json", is_flag=True, help="Print all numbers.")
@click.option("--samples", type=Number(int, 1), help=SAMPLES)
def compare(run_a: Path, run_b: Path, json: bool, samples: int | None) -> None:
    """Compare the scores of two runs on the same images: paired intervals, p values, Holm's correction.

    A run is a score file, or a folder of score files or seeds.
    """
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
