"""`pargo data ls`, `size` and `verify`: what is stated, what is here, and what was changed since."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pargo.cli import app
from pargo.config.experiment import load_config
from pargo.data.overview import check, rows, totals
from pargo.layout import Layout
from pargo.manifest import publish

ROOT = Path(__file__).parents[2]


@pytest.fixture
def paper():
    return load_config(ROOT / "config/paper.yaml")


def test_what_the_paper_needs(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {row.name: row for row in rows(paper, Layout("paper", tmp_path))}
    assert set(found) == set(paper.sources)
    assert {row.state for row in found.values()} == {"to be fetched"}
    assert {name for name, row in found.items() if not row.used} == set(paper.sources) - paper.used_sources
    assert found["short_captions"].missing == (
        "data/LLaVA-Pretrain/blip_laion_cc_sbu_558k.json",
        "data/LLaVA-Pretrain/images",
    )
    Path("data/benchmarks/pope").mkdir(parents=True)
    assert {row.name: row for row in rows(paper, Layout("paper", tmp_path))}["pope"].state == "files are here"


def test_totals_are_sums_over_what_is_in_use(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stated = [paper.sources[name].estimate for name in paper.used_sources]
    gigabytes = sum(estimate.gigabytes for estimate in stated if estimate)
    text = totals(rows(paper, Layout("paper", tmp_path)))
    assert f"{gigabytes / 1000:,.1f} TB stated for" in text
    assert "nothing imported" in text
    assert "nothing stated for mme, " in text


def test_a_changed_file_is_found(paper, tmp_path):
    layout = Layout("paper", tmp_path)
    assert list(check(paper, layout)) == []
    with publish(layout.source("pope"), settings={}) as directory:
        (directory / "a").write_text("12345")
    assert list(check(paper, layout)) == [("pope", None)]
    row = {row.name: row for row in rows(paper, layout)}["pope"]
    assert (row.state, row.found, row.missing) == ("imported", 5, ())
    (layout.source("pope") / "a").write_text("12346")
    ((name, problem),) = check(paper, layout)
    assert name == "pope"
    assert "a: changed" in problem


@pytest.mark.parametrize("command", ["ls", "size", "verify"])
@pytest.mark.parametrize("config", ["quick", "paper"])
def test_the_commands(command, config):
    result = CliRunner().invoke(app, ["data", command, "--config", str(ROOT / f"config/{config}.yaml")])
    assert result.exit_code == 0, result.output
