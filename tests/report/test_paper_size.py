"""The report at the paper's size, 11 arms, 3 seeds, 7 benchmarks: nothing collapses, is cut or repeats a colour."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from pargo.report import answers, figures, page, tables
from pargo.report.cells import Cell, Column, Row, Table
from pargo.report.figure_scores import scores_figure, tasks_figure
from pargo.report.latex import _Layout, text_width, to_latex
from pargo.report.scores import Scores
from pargo.report.style import arm_colors, arm_markers, style
from tests.helpers.paper_run import PaperRun

WIDTHS = (345, 240)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PaperRun:
    """The run with its tables, answers, figures and page, made without a warning."""
    root, before = tmp_path_factory.mktemp("paper"), Path.cwd()
    os.chdir(root)
    try:
        made = PaperRun()
        made.make()
        layout, settings = made.layout, made.settings
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tables.run(settings, made.scores, layout.training, layout.tables)
            answers.run(settings, made.scores, made.predictions, layout.answers)
            figures.run(settings, made.scores, layout.training, layout.figures)
            parts = layout.training, layout.answers, layout.tables, layout.figures
            page.run(settings, made.scores, *parts, layout.page)
    finally:
        os.chdir(before)
    return made


@pytest.fixture(autouse=True)
def _in_its_folder(run: PaperRun, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.getbasetemp() / "paper0")


def rows_of(run: PaperRun, table: str) -> list[dict[str, str]]:
    with (run.layout.tables / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_arm_is_what_it_is_to_the_headline_arm(run: PaperRun) -> None:
    rows = rows_of(run, "claims")
    kinds = {
        row["row"].split("_minus_")[1].rpartition("_mme")[0]: row["kind"] for row in rows if row["row"].endswith("_mme")
    }
    assert kinds == {
        "qformer": "gain",
        **dict.fromkeys(("resampler", "linear", "mlp", "c_abstractor"), "others"),
        "pargo_short_captions": "captions",
        **dict.fromkeys(("partial_only", "global_only", "no_cascade", "pargo_release"), "parts"),
    }
    assert rows_of(run, "ablations")[0]["row"] == "pargo"
    assert {row["row"] for row in rows_of(run, "ablations")[1:]} == {
        arm for arm, kind in kinds.items() if kind == "parts"
    }
    assert [row["row"] for row in rows_of(run, "captions")] == ["pargo", "pargo_short_captions"]
    assert "full" in {row["cascade"] for row in rows_of(run, "ablations")}


def test_what_this_run_measures_is_not_said_to_be_not_run(run: PaperRun) -> None:
    rows = rows_of(run, "claims")
    assert not [row for row in rows if row["source"] == "not run in this configuration"]
    assert [row["benchmark"] for row in rows if row["row"] == "pargo_minus_qformer_mme"] == ["MME (of 2800)"]
    claims = json.loads((run.layout.tables / "cells.json").read_text())["claims"]
    assert set(claims) == {"gain", "others", "detail", "captions", "parts"}
    assert claims["detail"]["verdict"] == "not tested"  # no benchmark of details
    assert {claims[key]["verdict"] for key in ("gain", "others", "captions")} <= {
        "supported",
        "not supported",
        "undecided",
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_keep_to_the_width_by_count(run: PaperRun, width: int) -> None:
    records = json.loads((run.layout.tables / "cells.json").read_text())
    for name, found in records["tables"].items():
        table = table_of(found, records["cells"])
        layout = _Layout.of(table, width)
        for panel in layout.panels:
            assert layout.width(panel) <= width, name
        shown = [column.key for panel in layout.panels for column in panel.columns]
        assert shown == [column.key for column in table.columns if not column.aside]


def table_of(found: dict, cells: dict) -> Table:
    """A table as it was before it was written."""
    fields = {key: value for key, value in found.items() if key not in ("columns", "rows")}
    kept = Cell.__dataclass_fields__
    rows = tuple(
        Row(
            row["key"],
            row["kind"],
            row["texts"],
            {
                key: Cell(**{name: _tuple(value) for name, value in cells[number].items() if name in kept})
                for key, number in row["cells"].items()
            },
            row["one_seed"],
            row["needs_no_image"],
        )
        for row in found["rows"]
    )
    fields |= {name: tuple(fields[name]) for name in ("notes", "block", "aside")}
    return Table(columns=tuple(Column(**column) for column in found["columns"]), rows=rows, **fields)


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("width", WIDTHS)
def test_tables_keep_to_the_width_by_tex(run: PaperRun, tmp_path: Path, width: int) -> None:
    records = json.loads((run.layout.tables / "cells.json").read_text())
    boxes = []
    for name, found in records["tables"].items():
        text = to_latex(table_of(found, records["cells"]), width)
        head, _, body = text.partition(r"{\small")
        for part in re.findall(r"\\begin\{tabular\}\{@\{\}[l>].*?\n\\end\{tabular\}", body, re.DOTALL):
            boxes.append(
                rf"{{{head}\small\setlength{{\tabcolsep}}{{3pt}}\sbox0{{{part}}}"
                rf"\typeout{{BOX {name} \the\wd0 \space \the\dimexpr\ht0+\dp0\relax}}}}"
            )
    packages = r"\documentclass{article}\usepackage{booktabs,array,xcolor}\begin{document}"
    (tmp_path / "all.tex").write_text("\n".join([packages, *boxes, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found_ = re.findall(r"BOX (\w+) ([\d.]+)pt\s+([\d.]+)pt", done.stdout.replace("\n", " "))
    assert len(found_) == len(boxes) > 20
    for name, wide, high in found_:
        assert float(wide) <= width, name
        assert float(high) <= 550, name


def test_text_is_as_wide_as_tex_sets_it() -> None:
    """In points, as TeX says with cmr9 and cmr7."""
    assert text_width("0123456789") == pytest.approx(46.25, abs=0.2)
    assert text_width("Answers that could not be parsed") == pytest.approx(136.64, abs=0.5)
    assert text_width("[795, 877]", 7) == pytest.approx(33.4, abs=0.5)


def test_figures_show_every_arm_once_and_cut_nothing(run: PaperRun) -> None:
    scores = Scores(run.settings, run.scores)
    assert len(set(arm_colors(run.settings).values())) == len(set(arm_markers(run.settings).values())) == 11
    with style():
        for drawn, panels in (
            (scores_figure(run.settings, scores), 6),
            (tasks_figure(run.settings, scores, "mmbench_en"), 20),
        ):
            drawn.figure.draw_without_rendering()
            assert len(drawn.figure.axes) == panels  # MM-Vet is not graded
            whole = drawn.figure.bbox
            for legend in drawn.figure.legends:
                box = legend.get_window_extent()
                assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
                assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
            for axis in drawn.figure.axes:
                assert axis.get_window_extent().width > 60
                assert len(axis.containers) == 11
            first = drawn.figure.axes[0].get_yticklabels()
            assert len({label.get_text() for label in first}) == 11
            assert min(label.get_window_extent().x0 for label in first) >= 0


def test_the_page_is_whole(run: PaperRun) -> None:
    text = run.layout.page.read_text(encoding="utf-8")
    cells = json.loads((run.layout.tables / "cells.json").read_text())["cells"]
    assert text.count('<span class="number ') >= len(cells) - sum(
        cell["status"] == "unknown" for cell in cells.values()
    )
    data = json.loads(re.search(r'id="answers-data">(.*?)</script>', text, re.DOTALL)[1])
    assert len(data["arms"]) == 11
    assert {key: len(found["rows"]) for key, found in data["benchmarks"].items()}["mme"] == 14 * 6 * 2
