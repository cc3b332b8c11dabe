"""Reports of runs in which a judge has read the answers of all, some or none of the models: nothing is made up."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from pargo.benchmarks.questions import write_source
from pargo.benchmarks.records import PREDICTIONS, Question, read_predictions
from pargo.benchmarks.scores.compare import compare
from pargo.benchmarks.scores.compare_table import render
from pargo.benchmarks.scores.score import GRADES, ScoreSettings
from pargo.benchmarks.scores.score import run as score
from pargo.config.benchmarks.mmvet import MMVet
from pargo.files import write_atomic
from pargo.manifest import publish
from pargo.report import page
from pargo.report.figure_scores import scores_figure, tasks_figure
from pargo.report.scores import Scores
from pargo.report.settings import figure_files
from tests.helpers.report_project import Project, make_settings

ARMS, SEEDS = ("pargo", "qformer", "mlp"), (0, 1)
ALL = frozenset((arm, seed) for arm in ARMS for seed in SEEDS)
GRADED = {  # runs whose answers were graded
    "none": frozenset(),
    "the headline arm alone": frozenset(run for run in ALL if run[0] == "pargo"),
    "all but the headline arm": frozenset(run for run in ALL if run[0] != "pargo"),
    "all but a third arm": frozenset(run for run in ALL if run[0] != "mlp"),
    "all but one seed": ALL - {("pargo", 1)},
    "all": ALL,
}
CASES = [*(("mmvet", which) for which in GRADED), *(("mini_mme", which) for which in ("none", "all but a third arm"))]


@dataclass(frozen=True)
class Run:
    """A finished run with a benchmark of which some runs are graded."""

    project: Project
    benchmark: str
    column: str
    graded: frozenset[tuple[str, int]]

    def is_graded(self, *arms: str) -> bool:
        return all((arm, seed) in self.graded for arm in arms for seed in SEEDS)

    @property
    def scores(self) -> Scores:
        return Scores(self.project.settings, self.project.scores)


def add_mmvet(project: Project, graded: frozenset[tuple[str, int]]) -> None:
    """MM-Vet's source, and every model's answers to it; the stage scores them, with a judge's grades or without."""
    data = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(data, "PNG")
    questions = [
        Question(
            id=f"v1_{number}",
            task=("ocr", "rec+spat")[number % 2],
            image=f"{number // 2}.png",
            question="What is it?",
            label=("red", "a wall")[number % 3 == 0],
            details={"capability": ("ocr", "rec,spat")[number % 2]},
        )
        for number in range(12)
    ]
    with publish(project.source("mmvet"), settings={"id": "mmvet"}) as directory:
        write_source(directory / "test", questions, ((f"{n}.png", data.getvalue()) for n in range(6)))
    settings = ScoreSettings(benchmark=project.settings.benchmarks["mmvet"], bootstrap_samples=50)
    for arm, seed in project.runs:
        project._predictions(arm, seed, "mmvet")
        if (arm, seed) not in graded:
            continue
        answers = project.layout.predictions(arm, seed, "mmvet")
        grades = {
            item.id: {"model": ["a judge"], "score": [float(item.answer == item.label)], "answer": item.answer}
            for item in read_predictions(answers / PREDICTIONS)
        }
        folder = Path("grades") / arm / str(seed)
        with publish(folder, settings={}, inputs=[answers]) as directory:
            (directory / GRADES).write_text(json.dumps(grades))
        score(settings, answers, project.layout.score(arm, seed, "mmvet"), folder)


def take_grades(path: Path) -> None:
    """Make of a score file what it would be if a judge had to read the answers."""
    record = json.loads(path.read_text())
    record |= {"values": {}, "correct": {}, "figures": {}}
    record["headline"] |= {"value": None, "interval": None}
    for task in record["tasks"].values():
        task |= {"score": None, "accuracy": None, "accuracy_plus": None, "interval": None}
    path.write_text(json.dumps(record))


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def run(request, finished, tmp_path_factory) -> Run:
    """MM-Vet as the stages make it; mini-MME as a benchmark with points, tasks and baselines would be."""
    name, which = request.param
    root = tmp_path_factory.mktemp("run") / "copy"
    shutil.copytree(finished, root)
    settings = make_settings(SEEDS)
    if name == "mmvet":
        extra = {"mmvet": MMVet(kind="mmvet", source="mmvet", parser="judge")}
        # checked anew, so that they are in the report's order
        settings = type(settings).model_validate(
            {
                **{field: getattr(settings, field) for field in type(settings).model_fields},
                "benchmarks": {**settings.benchmarks, **extra},
            }
        )
    project = Project(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        if name == "mmvet":
            add_mmvet(project, GRADED[which])
        for arm, seed in ALL - GRADED[which] if name == "mini_mme" else ():
            take_grades(project.layout.score(arm, seed, name))
        project.tables(project.layout.reports / "tables")
        project.answers(project.layout.answers)
        for file in figure_files(settings.benchmarks):  # the page takes them as they are
            write_atomic(project.layout.figures / file, "<svg/>")
        yield Run(project, name, "score" if name == "mmvet" else "total", GRADED[which])


def rows_of(run: Run, table: str) -> dict[str, dict[str, str]]:
    with (run.project.layout.reports / "tables" / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_tables_hold_what_was_graded_and_nothing_else(run):
    rows = rows_of(run, "projectors")
    by_task = rows_of(run, run.benchmark)
    for arm in ARMS:
        assert (rows[arm][f"{run.benchmark}.{run.column}"] != "") == run.is_graded(arm)
        for column in ("OCR", "count") if run.benchmark == "mini_mme" else ("ocr", "rec+spat"):
            found = by_task[f"{run.benchmark}.score.{arm}"]
            assert (found.get(column, "") != "") == run.is_graded(arm)
        assert rows[arm]["easy_vqa.accuracy"] != ""
    macros = (run.project.layout.reports / "tables" / "numbers.tex").read_text()
    assert ("MmvetScore" in macros) == (run.benchmark == "mmvet" and any(map(run.is_graded, ARMS)))


def test_claims_are_measured_where_both_arms_are_graded(run):
    rows = rows_of(run, "claims")
    for other in ("qformer", "mlp"):
        row = rows[f"pargo_minus_{other}_{run.benchmark}"]
        measured = run.is_graded("pargo", other)
        assert (row["status"], row["difference"] != "") == (("measured", True) if measured else ("unknown", False))
        assert rows[f"pargo_minus_{other}_easy_vqa"]["status"] == "measured"
    if run.benchmark == "mini_mme":
        assert (rows["pargo_minus_qformer_mini_mme_OCR"]["difference"] != "") == run.is_graded("pargo", "qformer")


def test_the_figures_draw_the_graded_arms(run):
    name = {"mmvet": "MM-Vet", "mini_mme": "mini-MME"}[run.benchmark]
    graded = [arm for arm in ARMS if run.is_graded(arm)]
    axes = {axis.get_title(): axis for axis in scores_figure(run.project.settings, run.scores).figure.axes}
    assert (name in axes) == bool(graded)
    assert "easy-VQA" in axes
    panels = tasks_figure(run.project.settings, run.scores, run.benchmark).figure.axes
    for axis in [*([axes[name]] if graded else []), *panels]:
        assert len(axis.containers) == len(graded)


def test_the_page_says_who_is_not_graded(run):
    settings, reports = run.project.settings, run.project.layout.reports
    run.project.page(reports, reports / "index.html")
    records = json.loads((reports / "tables" / "cells.json").read_text())
    name = {"mmvet": "MM-Vet", "mini_mme": "mini-MME"}[run.benchmark]
    (sentence,) = [line for line in page.verdict(settings, run.scores, records) if line.startswith(name)]
    waiting = [words for arm, words in (("pargo", "ParGo"), ("qformer", "Q-Former")) if not run.is_graded(arm)]
    if len(waiting) == 2:
        assert sentence == f"{name}: not graded, since no judge has read the answers."
    elif waiting:
        assert sentence == f"{name}: not graded, since no judge has read the answers of {waiting[0]}."
    else:
        assert "the difference is" in sentence
        third = "Not graded: MLP on 4 patches." in sentence
        assert third == (run.benchmark == "mini_mme" and not run.is_graded("mlp"))
    shown = re.findall(r'class="card">.*?class="sub">([^,]*),', (reports / "index.html").read_text(), re.DOTALL)
    assert (name in shown) == all((arm, 0) in run.graded for arm in ARMS)
    assert "None" not in sentence


def test_comparisons_leave_out_what_is_not_graded(run):
    scores = [run.project.layout.score(arm, 0, run.benchmark).parent.parent for arm in ("pargo", "qformer")]
    found = compare(*scores, 50)
    row = next(row for row in found.rows if (row.benchmark, row.task) == (run.benchmark, None))
    assert (row.difference is not None) == run.is_graded("pargo", "qformer")
    waiting = [
        f"Not graded: {run.project.layout.score(arm, seed, run.benchmark)}"
        for arm in ("pargo", "qformer")
        for seed in SEEDS
        if (arm, seed) not in run.graded
    ]
    assert [note for note in found.notes if note.startswith("Not graded")] == waiting
    assert ("not graded" in render(found)) == bool(waiting)
