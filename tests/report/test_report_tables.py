"""Tables hold the numbers of the score files, each with its origin, in a form that no character breaks."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pargo.config.base import canonical_json
from pargo.config.report import Published
from pargo.errors import PargoError
from pargo.estimates import Difference, Seeds, Spread
from pargo.files import sha256_file
from pargo.manifest import read_provenance
from pargo.report import claims, tables, words
from pargo.report.arms import relations
from pargo.report.cells import MINUS, Cell, Column, Row, Table, rounded
from pargo.report.claims import PUBLISHED_GAIN
from pargo.report.latex import _row as _latex_row
from pargo.report.latex import escape_latex, macro_name, to_latex, to_macros
from pargo.report.settings import ReportSettings, table_files
from pargo.report.training import to_json
from pargo.report.training_file import read_training
from pargo.report.writers import escape_markdown, to_csv, to_markdown


@pytest.fixture
def written(project, tmp_path) -> Path:
    return project.tables(tmp_path)


def read_csv(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_writes_the_declared_files_and_keeps_others(project, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    project.tables(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*table_files(project.settings.benchmarks), "notes.txt"]
    )


def test_numbers_are_those_of_the_score_files(project, written):
    rows = read_csv(written / "projectors.csv")
    for arm in project.settings.projectors:
        mme = json.loads(project.layout.score(arm, 0, "mini_mme").read_text())
        vqa = json.loads(project.layout.score(arm, 0, "easy_vqa").read_text())
        expected = {
            "mini_mme.total": (mme["headline"]["value"], mme["headline"]["interval"]),
            "easy_vqa.accuracy": (vqa["headline"]["value"], vqa["headline"]["interval"]),
        }
        check_row(rows[arm], expected)
        tasks = read_csv(written / "mini_mme.csv")[f"mini_mme.score.{arm}"]
        check_row(tasks, {task: (entry["score"], entry["interval"]) for task, entry in mme["tasks"].items()})
        check_row(tasks, {"all": expected["mini_mme.total"]})


def check_row(row, expected):
    for key, (value, interval) in expected.items():
        assert float(row[key]) == value
        assert [float(row[f"{key}_low"]), float(row[f"{key}_high"])] == interval


@pytest.mark.parametrize(
    ("by_parser", "words"),
    [
        ({"official": 684.04, "pargo_release": 690.0}, "ParGo, mini-MME, seed 0: official 684.0, ParGo release 690.0."),
        ({"official": 0.4791, "vlmevalkit_2026_08": 0.3988}, "seed 0: official 0.479, vlmevalkit 2026 08 0.399."),
        ({"official": 684.04, "pargo_release": 684.04}, ""),
    ],
)
def test_scores_by_other_parsers_are_noted_where_they_differ(project, tmp_path, monkeypatch, by_parser, words):
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    path = project.layout.score("pargo", 0, "mini_mme")
    record = json.loads(path.read_text())
    record["figures"]["parsers"] = by_parser
    path.write_text(json.dumps(record))
    project.tables(tmp_path / "out")
    notes = (tmp_path / "out" / "projectors.md").read_text()
    assert ("Parsers disagree for ParGo, " in notes) == bool(words)
    assert words.lower() in notes.lower()


def test_costs_are_those_of_the_trained_weights(project, written):
    rows = read_csv(written / "cost.csv")
    for arm in project.settings.projectors:
        weights = load_file(project.layout.model(arm, 0, "finetune") / "model.safetensors")
        trained = [tensor.numel() for name, tensor in weights.items() if "input_norm" not in name]
        assert int(rows[arm]["parameters"]) == sum(trained)
        assert int(rows[arm]["tokens"]) == 25
        assert int(rows[arm]["flops"]) > int(rows[arm]["parameters"])


def test_baselines_stand_below_the_arms_with_their_values(project, written):
    rows = read_csv(written / "projectors.csv")
    assert [row["kind"] for row in rows.values()] == ["arm"] * 3 + ["baseline"] * 4
    assert float(rows["coin_flip"]["mini_mme.total"]) == 375
    assert float(read_csv(written / "mini_mme.csv")["mini_mme.score.constant_answer"]["OCR"]) == 50
    assert rows["constant_answer"]["easy_vqa.accuracy"] == ""
    vqa = json.loads(project.layout.score("pargo", 0, "easy_vqa").read_text())
    majority = vqa["baselines"]["majority_answer"]["value"]
    assert float(rows["majority_answer"]["easy_vqa.accuracy"]) == majority


@pytest.mark.parametrize(
    ("unit", "interval", "text"),
    [
        ("difference", (0.3, 35.2), "[+0.3, +35.2]"),
        ("difference", (-12.4, 0.0), f"[{MINUS}12, 0]"),
        ("difference", (-12.4, -0.02), f"[{MINUS}12.40, {MINUS}0.02]"),
        ("percent_difference", (0.0003, 0.02), "[+0.03, +2.00]"),
    ],
)
def test_an_interval_without_zero_is_not_written_with_zero(unit, interval, text):
    assert Cell(interval[1], unit, "measured", interval=interval, files=("f",)).interval_text == text


def test_the_claim_about_the_q_former_is_about_it_alone(project, tmp_path):
    settings = project.settings
    other = settings.report.model_copy(update={"reference_arm": "mlp"})
    project.tables(tmp_path, settings.model_copy(update={"report": other}))
    rows = read_csv(tmp_path / "claims.csv")
    assert rows["pargo_minus_qformer_mini_mme"]["kind"] == "gain"
    assert rows["pargo_minus_mlp_mini_mme"]["kind"] == "others"
    assert rows["pargo_minus_qformer_mini_mme_OCR"]["kind"] == "detail"


def test_difference_is_of_the_two_scores_and_its_interval_holds_it(project, written):
    row = read_csv(written / "claims.csv")["pargo_minus_qformer_mini_mme"]
    first, second = (
        json.loads(project.layout.score(arm, 0, "mini_mme").read_text())["headline"]["value"]
        for arm in ("pargo", "qformer")
    )
    assert float(row["difference"]) == pytest.approx(first - second)
    assert float(row["difference_low"]) <= first - second <= float(row["difference_high"])


def test_every_measured_number_leads_to_a_file_of_this_run(project, written):
    records = json.loads((written / "cells.json").read_text())
    shown = [cell for table in records["tables"].values() for row in table["rows"] for cell in row["cells"].values()]
    assert sorted(shown) == sorted(records["cells"])
    for cell in records["cells"].values():
        assert cell["files"] or cell["status"] in ("published", "unknown")
        for file in cell["files"]:
            origin = records["files"][file]
            assert origin["sha256"] == sha256_file(Path(file))
            assert file == project.layout.training.as_posix() or origin["hardware"]
            for name in origin["chain"]:
                node = records["artifacts"][name]
                assert node["sha256"] == sha256_file(Path(name))
                assert node["code"] == read_provenance(Path(name.removesuffix(".manifest.json")))["code"]


def test_chain_of_a_score_goes_down_to_its_sources(project, written):
    records = json.loads((written / "cells.json").read_text())
    cell = records["cells"]["projectors/pargo/mini_mme.total"]
    assert cell["n"] == 30
    assert cell["seeds"] == [0]
    chain = records["files"][cell["files"][0]]["chain"]
    for part in ("predictions/pargo/seed-0", "pargo/seed-0/finetune", "pargo/seed-0/pretrain", "sources/mini_mme"):
        assert any(part in name for name in chain)


def test_same_bytes_twice_and_no_trace_of_place_or_time(project, written, tmp_path):
    again = tmp_path / "again"
    tables.run(project.settings, reversed(project.scores), project.layout.training, again)
    for name in table_files(project.settings.benchmarks):
        assert (again / name).read_bytes() == (written / name).read_bytes()
        assert str(Path.cwd()) not in (written / name).read_text()
        assert "commit" not in (written / name).read_text()


def test_published_and_measured_rows_say_what_they_are(written):
    rows = read_csv(written / "claims.csv").values()
    published = [row for row in rows if row["status"] == "published"]
    assert [float(row["difference"]) for row in published] == [PUBLISHED_GAIN]
    assert all(row["difference"] == "" for row in rows if row["status"] == "unknown")
    assert {row["status"] for row in rows} == {"published", "measured", "unknown"}
    assert "259.96" not in (written / "projectors.csv").read_text()
    assert r"\textit{+259.96}" in (written / "claims.tex").read_text()
    assert r"\textcolor{gray}{---}" in (written / "claims.tex").read_text()
    assert "| published |  |  | *+259.96* |  |  |" in (written / "claims.md").read_text()


def test_published_numbers_stand_beside_ours_and_nothing_is_computed_from_them(project, written, tmp_path):
    numbers = (
        Published(arm="pargo", benchmark="mini_mme", value=1234.5, source="Table 1 of a paper"),
        Published(arm="pargo", minus="mlp", benchmark="easy_vqa", value=12.25, source="Table 2 of a paper"),
    )
    other = project.settings.report.model_copy(update={"published": numbers})
    project.tables(tmp_path / "b", project.settings.model_copy(update={"report": other}))
    before, after = (json.loads((folder / "cells.json").read_text())["cells"] for folder in (written, tmp_path / "b"))
    new = {key: cell for key, cell in after.items() if key not in before}
    assert {key: before[key] for key in before} == {key: after[key] for key in before}
    assert {key: (cell["status"], cell["text"], cell["note"]) for key, cell in new.items()} == {
        "projectors/published_pargo/mini_mme.total": ("published", "1234.5", "Table 1 of a paper"),
        "claims/published_pargo_minus_mlp_easy_vqa/difference": ("published", "+12.25", "Table 2 of a paper"),
    }
    rows = read_csv(tmp_path / "b" / "claims.csv")
    assert rows["published_pargo_minus_mlp_easy_vqa"]["source"] == "Table 2 of a paper"
    assert r"\textit{1234.5}" in (tmp_path / "b" / "projectors.tex").read_text()


def test_an_arm_that_is_trained_otherwise_is_no_variant_and_tests_no_claim(project, tmp_path, monkeypatch):
    """The same projector: on other captions it tests that claim, with another learning rate none."""
    training = read_training(project.train())
    projectors = project.settings.projectors | {"mlp": project.settings.projectors["pargo"]}
    settings = project.settings.model_copy(update={"projectors": projectors})
    for change, relation in (({"mixture": {"other": 1.0}}, "captions"), ({"learning_rate": 1.0}, "training")):
        pretrain = training.settings["mlp"]["pretrain"] | change
        changed = training.settings | {"mlp": training.settings["mlp"] | {"pretrain": pretrain}}
        assert relations(settings, training.model_copy(update={"settings": changed})) == {
            "pargo": "headline",
            "qformer": "qformer",
            "mlp": relation,
        }
    wider = projectors["mlp"].model_copy(update={"num_layers": 2})
    variant = project.settings.model_copy(update={"projectors": projectors | {"mlp": wider}})
    assert relations(variant, training)["mlp"] == "variant"


def test_claims_are_about_pargo_alone(project, tmp_path):
    """Of another headline arm nothing tests them, whatever it scores."""
    report = project.settings.report.model_copy(update={"headline_arm": "qformer", "reference_arm": "pargo"})
    project.tables(tmp_path, project.settings.model_copy(update={"report": report}))
    found = json.loads((tmp_path / "cells.json").read_text())
    assert {claim["verdict"] for claim in found["claims"].values()} == {"not tested"}
    assert "claims/qformer_minus_pargo_mini_mme/difference" in found["cells"]


def test_an_arm_that_is_trained_otherwise_tests_no_claim(project, tmp_path):
    path = project.layout.training
    training = read_training(project.train())
    finetune = training.settings["qformer"]["finetune"] | {"learning_rate": 9.0}
    changed = training.settings | {"qformer": training.settings["qformer"] | {"finetune": finetune}}
    other = tmp_path / "training.json"
    other.write_text(to_json(training.model_copy(update={"settings": changed})))
    tables.run(project.settings, project.scores, path, tmp_path / "a")
    tables.run(project.settings, project.scores, other, tmp_path / "b")
    verdicts = [
        json.loads((tmp_path / folder / "cells.json").read_text())["claims"]["gain"]["verdict"] for folder in "ab"
    ]
    assert verdicts == ["undecided", "not tested"]


def test_rounding_is_half_away_from_zero_of_what_the_csv_shows():
    for value, digits, scale, text in (
        (0.125, 2, 1, "0.13"),
        (-0.125, 2, 1, "-0.13"),
        (1.005, 2, 1, "1.01"),
        (0.865, 0, 100, "87"),
        (0.8645, 1, 100, "86.5"),
        (-0.0001, 2, 1, "0.00"),
        (1e22, 0, 1, "10000000000000000000000"),
    ):
        assert f"{rounded(value, digits, scale):f}" == text
    assert Cell(999_999, "parameters", "computed").text == "1.00 M"
    assert [Cell(value, "seconds", "computed").text for value in (59.4, 90, 5400)] == ["59 s", "1.5 min", "1.5 h"]
    assert [Cell(value, "p", "computed").text for value in (0.0004, 0.0305, 1.0)] == ["< 0.001", "0.031", "1.000"]


def test_several_seeds_are_averaged_and_kept(two_seeds, tmp_path):
    two_seeds.tables(tmp_path)
    cell = json.loads((tmp_path / "cells.json").read_text())["cells"]["projectors/pargo/mini_mme.total"]
    values = [
        json.loads(two_seeds.layout.score("pargo", seed, "mini_mme").read_text())["headline"]["value"]
        for seed in (0, 1)
    ]
    assert cell["seed_values"] == values
    assert cell["value"] == pytest.approx(sum(values) / 2)
    assert len(cell["files"]) == 2


def test_verdicts_hold_seeds_and_all_comparisons(project, two_seeds, tmp_path):
    """By Holm's correction over the rows that were measured; with one seed none, and nothing but measured rows."""
    for made, number in ((project, 1), (two_seeds, 2)):
        folder = tmp_path / str(number)
        made.tables(folder)
        rows = read_csv(folder / "claims.csv").values()
        measured = [row for row in rows if row["status"] == "measured"]
        assert all(bool(row["verdict"]) == (row in measured) for row in rows)
        found = {row["verdict"] for row in measured}
        notes = (folder / "claims.md").read_text()
        if number == 1:
            assert found == {"undecided (one training seed)"}
            assert "with one training seed nothing follows about methods" in notes
        else:
            assert f"over all {len(measured)} comparisons" in notes


def verdicts_of(settings, *differences):
    row = Row(
        "r", "gain", {"claim": "c", "verdict": ""}, {"difference": Cell(1.0, "difference", "measured", files=("f",))}
    )
    rows = [claims._Measured(row), *(claims._Measured(row, found, "qformer") for found in differences)]
    first, *others = claims._with_verdicts(settings, rows)
    assert first.texts["verdict"] == ""
    found = []
    for row in others:
        needed = [int(row.cells[key].known) for key in ("seeds", "images") if key in row.cells]
        found.append((row.texts["verdict"], *needed) if needed else row.texts["verdict"])
    return found


def difference_of(value: float, seeds: float = 1.0) -> Difference:
    """With a standard error of 5 that is due to images, and a variance between seeds."""
    spread = Spread(25.0, (Seeds(3, seeds, 0.0),) * 2)
    return Difference(value, (0.0, 0.0), spread.p(value), spread)


def test_a_verdict_is_by_the_corrected_p_value(project):
    settings = project.settings
    assert verdicts_of(settings, difference_of(40)) == ["ParGo is better"]
    assert verdicts_of(settings, difference_of(-40)) == ["Q-Former is better"]
    # 2.2 standard errors: one alone would do, and two would not
    assert verdicts_of(settings, difference_of(11)) == ["ParGo is better"]
    more = ("undecided", 3, 2)
    assert verdicts_of(settings, difference_of(11), difference_of(11)) == [more] * 2
    assert verdicts_of(settings, difference_of(40), difference_of(11)) == ["ParGo is better"] * 2
    assert verdicts_of(settings, difference_of(12, seeds=60.0)) == [("undecided", 11, 1)]
    assert verdicts_of(settings, difference_of(0)) == ["undecided (no difference was measured)"]
    assert verdicts_of(settings, difference_of(0.1)) == ["undecided"]  # not even 20 seeds and 64 times the images
    alone = Difference(40.0, (30.0, 50.0), 0.001, None)
    assert verdicts_of(settings, alone) == ["undecided (one training seed)"]


def test_as_many_comparisons_as_the_paper_has_can_be_decided(project):
    assert verdicts_of(project.settings, *[difference_of(40)] * 98) == ["ParGo is better"] * 98


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        (["pargo", "pargo_short_captions"], ["ParGo", "ParGo (short captions)"]),
        (["pargo", "other"], ["ParGo", "ParGo (other)"]),
        (["pargo", "pargos"], ["ParGo", "ParGo (pargos)"]),
        (["x", "pargo_x"], ["ParGo (x)", "ParGo (pargo x)"]),
        (["pargo-a", "pargo_b"], ["ParGo (a)", "ParGo (b)"]),
    ],
)
def test_arms_with_one_projector_are_told_apart(project, arms, expected):
    projector = project.settings.projectors["pargo"]
    settings = project.settings.model_copy(update={"projectors": dict.fromkeys(arms, projector)})
    assert list(words.projectors(settings).values()) == expected


def test_benchmarks_of_a_kind_are_told_apart(project):
    one = project.settings.benchmarks["mini_mme"]
    settings = project.settings.model_copy(update={"benchmarks": dict.fromkeys(["mini_mme", "mini_mme_release"], one)})
    names = [words.benchmark(settings, name) for name in settings.benchmarks]
    assert names == ["mini-MME", "mini-MME (release)"]


def test_missing_and_foreign_scores_are_refused(project, two_seeds, tmp_path):
    with pytest.raises(PargoError, match=r"missing for arm mlp, seed 0, benchmark easy_vqa"):
        tables.run(project.settings, project.scores[:-1], project.train(), tmp_path)
    with pytest.raises(PargoError, match=r"not scores of config 'synthetic': .*seed-1"):
        tables.run(project.settings, two_seeds.scores, project.train(), tmp_path)


def test_order_does_not_depend_on_that_of_the_json(project):
    settings = ReportSettings.model_validate_json(canonical_json(project.settings))
    assert list(settings.projectors) == ["pargo", "qformer", "mlp"]
    assert list(settings.benchmarks) == ["mini_mme", "easy_vqa"]
    assert canonical_json(settings) == canonical_json(project.settings)


# Writers --------------------------------------------------------------------------------------------------------------

NASTY = r"a|b_c & 50 % #1 $x$ {y} \z *w* [q]"


def nasty_table() -> Table:
    cell = Cell(-1.25, "difference", "measured", interval=(-2.0, 0.5), files=("f",))
    row = Row("r", "k", {"name": NASTY}, {"c": cell})
    return Table("t", "caption", {"name": NASTY}, (Column("c", NASTY),), (row,))


def test_markdown_cells_keep_their_number_whatever_they_hold():
    lines = [line for line in to_markdown(nasty_table()).splitlines() if line.startswith("|")]
    assert [line.replace(r"\|", "").count("|") for line in lines] == [3, 3, 3]
    assert escape_markdown("a|b*c") == r"a\|b\*c"


def test_latex_escapes_each_special_character():
    assert escape_latex(r"50 % & a_b #1 $ { } \ ~ ^") == (
        r"50 \% \& a\_b \#1 \$ \{ \} \textbackslash{} \textasciitilde{} \textasciicircum{}"
    )
    row = [line for line in to_latex(nasty_table(), 345).splitlines() if line.startswith("a|b")][-1]
    assert row.replace(r"\&", "").count("&") == 1
    assert r"\ensuremath{-}1.3" in row  # -1.25: half away from zero, as the csv says
    assert _latex_row(["[1]", "x"]).startswith("{}[")  # else an argument of the line break before it


def test_csv_holds_raw_values():
    row = next(iter(csv.DictReader(to_csv(nasty_table()).splitlines())))
    assert row["name"] == NASTY
    assert (float(row["c"]), float(row["c_low"]), float(row["c_high"])) == (-1.25, -2.0, 0.5)


def test_macro_names_are_letters_only_and_unique():
    assert macro_name("measured", "arm_2", "mini_mme.OCR") == "measuredArmTwoMiniMmeOCR"
    cell = Cell(1, "count", "measured", files=("f",))
    assert r"\newcommand{\measuredA}{1}" in to_macros({("measured", "a"): cell}, "x")
    with pytest.raises(PargoError, match=r"\\measuredAOne"):
        to_macros({("measured", "a1"): cell, ("measured", "a_one"): cell}, "x")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (412.345, "points", "412.3"),
        (0.9561, "percent", "95.6"),
        (12.34, "difference", "+12.3"),
        (-12.34, "difference", f"{MINUS}12.3"),
        (-0.001, "difference", "0.0"),
        (1_234_567, "parameters", "1.23 M"),
        (9_030_000_000, "flops", "9.03 G"),
        (1234, "count", "1,234"),
    ],
)
def test_numbers_in_words(value, unit, text):
    assert Cell(value, unit, "computed").text == text


def test_a_measured_number_without_a_file_cannot_be_made():
    with pytest.raises(ValueError, match="result file"):
        Cell(1.0, "points", "measured")
    with pytest.raises(ValueError, match="unknown"):
        Cell(None, "points", "published")
