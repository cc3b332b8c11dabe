"""`pargo data ls`, `size` and `verify`: what is stated, what is here, and what was changed since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from pargo.commands.application import app
from pargo.config.experiment import load_config
from pargo.fetch.table import known_downloads
from pargo.layout import Layout
from pargo.manifest import publish
from pargo.sources.needed import source_downloads
from pargo.sources.overview import check, download_table, rows, table, totals

ROOT = Path(__file__).parents[2]


@pytest.fixture
def paper():
    return load_config(ROOT / "config/paper.yaml")


def test_what_the_paper_needs(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {row.name: row for row in rows(paper, Layout("paper", tmp_path))}
    assert set(found) == set(paper.sources)
    assert {name for name, row in found.items() if row.state != "the run fetches it"} == {
        "instructions",
        "sharegpt4v_pt",
    }
    assert {name for name, row in found.items() if not row.used} == set(paper.sources) - paper.used_sources
    assert found["instructions"].missing == ("data/images/ocr_vqa/images",)
    assert list(found["short_captions"].downloads) == ["llava_pretrain", "llava_pretrain_images"]
    Path("data/pope").mkdir(parents=True)
    assert {row.name: row for row in rows(paper, Layout("paper", tmp_path))}["pope"].state == "files are here"


def test_every_row_is_counted_once(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    versions = {
        name: row for source in paper.used_sources for name, row in source_downloads(paper.sources[source]).items()
    }
    found = [row.fetch for row in rows(paper, Layout("paper", tmp_path)) if row.used]
    assert sum(fetch.exact for fetch in found) == sum(row.exact or 0 for row in versions.values())
    assert sum(fetch.size for fetch in found) == sum(row.bytes or 0 for row in versions.values())
    unknown = [name for fetch in found for name in fetch.unknown]
    assert sorted(unknown) == sorted(name for name, row in versions.items() if row.bytes is None)
    text = totals(rows(paper, Layout("paper", tmp_path)))
    assert "1.5 TB to fetch for the 11 sources in use" in text
    assert "size unknown: ocr_vqa_images; nothing imported" in text


def test_what_is_here_of_the_versions(paper, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data/mme").mkdir(parents=True)
    Path("data/.fetching/pope/incoming").mkdir(parents=True)
    Path("data/.fetching/pope/incoming/.val2014.zip.partial").write_bytes(b"1" * 2_500_000)
    names = ("mme", "pope", "mmvet", "easy_vqa")
    Console(width=200).print(download_table({name: known_downloads()[name] for name in names}))
    lines = capsys.readouterr().out.splitlines()
    shown = {name: next(line for line in lines if f" {name} " in line).split("│")[-2].strip() for name in names}
    assert shown == {"mme": "yes", "pope": "2.5 MB", "mmvet": "no", "easy_vqa": "-"}


def test_tables_name_every_row(paper, capsys):
    console = Console(width=200)
    found = rows(paper, Layout("paper"))
    console.print(
        table(found, "Sources"), download_table({key: row for one in found for key, row in one.downloads.items()})
    )
    shown = capsys.readouterr().out
    for name, row in known_downloads().items():
        if row.kind != "wheel" and not name.startswith("relaion"):
            assert shown.count(name) >= 2
            assert row.licence in shown


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


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"broken": {"no image": 50, "image is empty": 1}}, "left out 51: no image 50; image is empty 1"),
        ({"broken": 3, "reasons": {"image not found": 3}}, "left out 3: image not found 3"),
        ({"broken": 3}, "left out 3"),
        ({"broken": {}}, ""),
        ({"broken": 0}, ""),
        ({}, ""),
    ],
)
def test_what_an_import_left_out_is_shown(paper, tmp_path, monkeypatch, counts, expected):
    monkeypatch.chdir(tmp_path)
    layout = Layout("paper", tmp_path)
    with publish(layout.source("image_pool"), settings={}) as folder:
        (folder / "counts.json").write_text(json.dumps(counts))
    found = {row.name: row for row in rows(paper, layout)}
    assert found["image_pool"].left_out == expected
    assert not found["mme"].left_out
    console = Console(width=250, record=True)
    console.print(table(list(found.values()), "paper"))
    text = console.export_text()
    assert ("left out" in text) == bool(expected)
    assert expected in text
