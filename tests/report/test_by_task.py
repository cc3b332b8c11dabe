"""A benchmark by task: every measure of the score files, of each arm over all seeds and of each seed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from pargo.benchmarks.details.facts import Names
from pargo.benchmarks.scores.compare import compare
from pargo.benchmarks.scores.score_record import groups_of
from pargo.config.base import canonical_json
from pargo.config.benchmarks import BENCHMARKS
from pargo.config.report import MACROS, TABLES
from pargo.data.annotations import KINDS
from pargo.estimates import estimate
from pargo.report.cells import Cell
from pargo.report.settings import ReportSettings, table_files
from pargo.sources.scenes import CELLS, COLORS, SHAPES, WORDS
from tests.helpers.report_project import Project, make_settings
from tests.report.test_report_page import num_measured, parse, samples_of

FIXED = [f"{table}.{extension}" for table in TABLES for extension in ("csv", "md", "tex")]
LAST = ["numbers.tex", "cells.json"]
ARMS = ("pargo", "qformer", "mlp")
NAMES = Names(frozenset(SHAPES), frozenset(COLORS), frozenset(CELLS), frozenset(WORDS))
BLOCKS = {"f1": "score", "precision": "precision", "recall": "recall", "loss": "loss"}


@pytest.fixture
def written(with_details: Project, tmp_path: Path) -> Path:
    return with_details.tables(tmp_path)


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "details.csv").open(newline="", encoding="utf-8") as file:
        return {row["row"].removeprefix("details."): row for row in csv.DictReader(file)}


def records(project: Project, arm: str) -> list[dict]:
    return [json.loads(project.layout.score(arm, seed, "details").read_text()) for seed in project.settings.seeds]


# Which files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "more"),
    [
        ({}, []),
        ({"mme": "mme", "pope": "pope"}, ["mme", "pope"]),
        ({"details": "details"}, ["details"]),
        ({"a": "details", "mme": "mme", "b": "details"}, ["a", "mme", "b"]),
    ],
)
def test_files_follow_from_the_benchmarks(kinds: dict[str, str], more: list[str]) -> None:
    """Of objects and of JSON alike: the graph has one, and the record of a job the other."""
    chosen = {name: BENCHMARKS.settings(kind)(kind=kind, source="x") for name, kind in kinds.items()}
    expected = [*FIXED, *(f"{name}.{extension}" for name in more for extension in ("csv", "md", "tex")), *LAST]
    assert list(table_files(chosen)) == expected
    assert sorted(table_files(json.loads(canonical_json(chosen)))) == sorted(expected)


def test_no_kind_of_benchmark_has_the_name_of_another_table() -> None:
    assert not {*BENCHMARKS.names} & {*TABLES, MACROS}


def test_the_declared_files_are_written(with_details: Project, written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(table_files(with_details.settings.benchmarks))


# Numbers ------------------------------------------------------------------------------------------------------------


def test_rows_are_each_measure_of_each_arm_over_seeds_and_by_seed(written: Path) -> None:
    expected = []
    for block in BLOCKS:
        for arm in ARMS:
            expected += [
                (f"{block}.{arm}", "mean of 2"),
                *((f"{block}.{arm}.seed-{seed}", str(seed)) for seed in (0, 1)),
            ]
        expected += [("f1.one_caption", "")] if block == "f1" else []
    rows = rows_of(written)
    assert [(key, row["seed"]) for key, row in rows.items()] == expected
    assert {row["measure"] for row in rows.values()} == {"F1 (%)", "Precision (%)", "Recall (%)", "Loss (nats a token)"}


def test_numbers_of_a_seed_are_those_of_its_score_file(with_details: Project, written: Path) -> None:
    rows = rows_of(written)
    for arm in ARMS:
        for seed, record in zip((0, 1), records(with_details, arm), strict=True):
            for block, name in BLOCKS.items():
                row = rows[f"{block}.{arm}.seed-{seed}"]
                if name == "score":
                    expected = {kind: task["score"] for kind, task in record["tasks"].items()}
                    assert float(row["all"]) == record["headline"]["value"]
                    assert [float(row["all_low"]), float(row["all_high"])] == record["headline"]["interval"]
                else:
                    expected = record["figures"][name]
                    mean = sum(expected.values()) / len(expected)
                    assert float(row["all"]) == pytest.approx(mean)
                assert {kind: float(row[kind]) for kind in expected} == pytest.approx(expected)
                assert all(row[kind] == "" for kind in KINDS if kind not in expected)


def test_the_mean_of_seeds_has_an_interval_over_images_and_seeds(with_details: Project, written: Path) -> None:
    rows, found = rows_of(written), records(with_details, "pargo")
    runs = [groups_of({"color": record["measures"]["precision"]["color"]}, "sum") for record in found]
    expected = estimate(runs, with_details.settings.report.bootstrap_samples, bounds=(0.0, 1.0))
    row = rows["precision.pargo"]
    assert float(row["color"]) == pytest.approx(expected.value)
    assert (float(row["color_low"]), float(row["color_high"])) == pytest.approx(expected.interval)


def test_what_one_caption_gives_stands_below_the_arms(with_details: Project, written: Path) -> None:
    baseline = records(with_details, "pargo")[0]["baselines"]["one_caption"]
    row = rows_of(written)["f1.one_caption"]
    assert float(row["all"]) == baseline["value"]
    assert {kind: float(row[kind]) for kind in KINDS} == baseline["tasks"]
    assert baseline["how"].split("`")[1] in (written / "details.md").read_text()


def test_every_number_leads_to_its_score_files(with_details: Project, written: Path) -> None:
    found = json.loads((written / "cells.json").read_text())
    own = {key: cell for key, cell in found["cells"].items() if key.startswith("details/")}
    assert sum(cell["status"] == "measured" for cell in own.values()) == 9 * (7 + 7 + 7 + 6)
    for key, cell in own.items():
        seeds = [0] if "one_caption" in key else cell["seeds"]
        arm = "pargo" if "one_caption" in key else key.split(".")[2].split("/")[0]
        assert cell["files"] == [with_details.layout.score(arm, seed, "details").as_posix() for seed in seeds]
        chain = found["files"][cell["files"][0]]["chain"]
        assert any(name.startswith("artifacts/synthetic/sources/scenes") for name in chain)
        # the model that was asked is the one after pretraining
        assert not any(name.endswith("finetune.manifest.json") for name in chain)


def test_arms_are_compared_by_kind(with_details: Project) -> None:
    folder = with_details.layout.score("pargo", 0, "details").parent.parent
    found = compare(folder, folder.with_name("qformer"), samples=50)
    assert [row.task for row in found.rows if row.benchmark == "details"] == [None, *KINDS]
    # facts of one caption are no trials of a McNemar test
    one = compare(folder / "seed-0", folder.with_name("qformer") / "seed-0", samples=50)
    assert not [row.label for row in one.rows if row.benchmark == "details" and row.mcnemar]
    assert [row.label for row in one.rows if row.benchmark == "easy_vqa" and row.mcnemar]


def test_the_headline_table_has_one_column(with_details: Project, written: Path) -> None:
    layout = json.loads((written / "cells.json").read_text())["tables"]["projectors"]
    assert [c["key"] for c in layout["columns"] if c["key"].startswith("details.")] == ["details.mean_f1"]
    assert "facts about 18 images, facts parser, models after pretraining" in " ".join(layout["notes"])


def test_claims_say_which_models_were_asked(written: Path) -> None:
    with (written / "claims.csv").open(newline="", encoding="utf-8") as file:
        named = {row["benchmark"] for row in csv.DictReader(file)}
    assert "Details, models after pretraining (points of %)" in named
    assert not [name for name in named if "pretraining" in name and not name.startswith("Details")]


def test_with_one_seed_there_is_a_row_an_arm(with_details: Project, tmp_path: Path) -> None:
    settings = make_settings((0,), details=True)
    Project(settings).tables(tmp_path)
    rows = rows_of(tmp_path)
    assert [key for key in rows if key.startswith("recall.")] == [f"recall.{arm}" for arm in ARMS]
    assert {row["seed"] for row in rows.values()} == {"0", ""}


def change_score(project: Project, arm: str, seed: int, change) -> None:
    path = project.layout.score(arm, seed, "details")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def without_text(record: dict) -> None:
    """Nothing is said of it: 0 of 0 in every image."""
    for pair in record["measures"]["precision"]["text"].values():
        pair[:] = [0, 0]


@pytest.mark.parametrize(
    ("silent", "unknown"),
    [
        ([("pargo", 1)], ["pargo.seed-1", "pargo"]),  # no mean over the other seeds, nor over the other kinds
        ([(arm, seed) for arm in ARMS[1:] for seed in (0, 1)], None),  # whatever other arms say
    ],
)
def test_a_kind_of_which_nothing_was_said_has_no_precision(
    with_details: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: list, unknown: list | None
) -> None:
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    for arm, seed in silent:
        change_score(with_details, arm, seed, without_text)
    with_details.tables(tmp_path / "out")
    rows = {key: row for key, row in rows_of(tmp_path / "out").items() if key.startswith("precision.")}
    for key, row in rows.items():
        name = key.removeprefix("precision.")
        wanted = name in unknown if unknown else not name.startswith("pargo")
        assert (row["text"] == "") == (row["all"] == "") == wanted
        assert row["shape"]
    cells = json.loads((tmp_path / "out" / "cells.json").read_text())["cells"]
    if unknown:
        assert cells["details/details.precision.pargo/text"]["note"] == "no precision: nothing was said of it"


def test_files_without_losses_have_no_block_of_losses(
    with_details: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    for arm in ARMS:
        for seed in (0, 1):
            change_score(with_details, arm, seed, lambda record: record["measures"].pop("loss"))
    with_details.tables(tmp_path / "out")
    assert {key.split(".")[0] for key in rows_of(tmp_path / "out")} == {"f1", "precision", "recall"}
    assert "Loss" not in (tmp_path / "out" / "details.md").read_text()


def test_losses_are_written_with_decimals_and_their_intervals_too() -> None:
    cell = Cell(1.234, "nats", "measured", interval=(1.0, 1.567), files=("f",), digits=2)
    assert (cell.text, cell.interval_text) == ("1.23", "[1.00, 1.57]")


# Page ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(finished: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        project = Project(make_settings((0, 1), details=True))
        return project.report(project.layout.reports.with_name("with_details"))


def test_the_page_shows_every_number_and_links_to_places_that_exist(with_details: Project, report: Path) -> None:
    text, parsed = report.read_text(encoding="utf-8"), parse(report)
    records = json.loads((report.parent / "tables" / "cells.json").read_text())
    assert text.count('class="number measured"') == num_measured(records)
    assert '<h2 id="by-details">Details by kind of fact</h2>' in text
    assert len(parsed.ids) == len(set(parsed.ids))
    assert not parsed.open
    for link in (link for link in parsed.links if not link.startswith("data:")):
        assert link[1:] in parsed.ids if link.startswith("#") else (report.parent / link).is_file(), link


def test_a_sample_caption_is_right_when_it_says_every_fact_and_no_false_one(
    with_details: Project, tmp_path: Path
) -> None:
    chosen = samples_of(with_details, tmp_path, "details")
    assert {answer.right for sample in chosen for answer in sample.answers} == {True, False}
    for sample in chosen:
        for answer in sample.answers:
            said, there = NAMES.facts(answer.text), NAMES.facts(sample.label)
            assert answer.right == (there == said)


def test_a_caption_that_says_a_false_fact_is_not_right(
    with_details: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")

    def also_says(record: dict) -> None:
        for pair in record["values"]["shape"].values():
            pair[1] += 1

    change_score(with_details, "pargo", 0, also_says)
    chosen = samples_of(with_details, tmp_path / "answers", "details")
    ours = [sample.answers[0].right for sample in chosen]
    assert ours == [False] * len(ours) != []


def test_an_answer_to_an_unknown_task_is_an_error(
    with_details: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    path = with_details.layout.score("pargo", 0, "mini_mme")
    record = json.loads(path.read_text())
    record["correct"] = {f"another_{task}": images for task, images in record["correct"].items()}
    path.write_text(json.dumps(record))
    with pytest.raises(KeyError):
        with_details.answers(tmp_path / "answers")


def test_order_does_not_depend_on_that_of_the_json(with_details: Project) -> None:
    settings = ReportSettings.model_validate_json(canonical_json(with_details.settings))
    assert table_files(settings.benchmarks) == table_files(with_details.settings.benchmarks)
