"""Benchmarks come into the form in which the rows of downloads bring them: the paper's config reads them there."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from pargo.code import ROOT
from pargo.config.base import canonical_json
from pargo.config.experiment import load_config
from pargo.graph.stage_settings import download
from pargo.manifest import verify
from pargo.sources.download import DownloadSettings, run
from tests.helpers.official_files import WRITERS

PAPER = load_config(ROOT / "config/paper.yaml")
OFFICIAL = {name: source for name, source in PAPER.sources.items() if source.kind == "official"}
TOP = {"mme": "MME_Benchmark_release_version"}  # folder above the files, where there is one


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_downloaded_form_of_a_benchmark(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, made = OFFICIAL[name], tmp_path / "made" / TOP.get(OFFICIAL[name].benchmark, "")
    made.mkdir(parents=True)
    WRITERS[source.benchmark](made)
    for file in source.files:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            root = tmp_path / "made"
            with zipfile.ZipFile(path, "w") as archive:
                for member in sorted(root.rglob("*")):
                    if member.is_file() and (source.benchmark in ("mme", "mmvet") or member.suffix != ".json"):
                        archive.write(member, member.relative_to(root))
        else:
            found = list(made.rglob("*.tsv" if path.suffix == ".tsv" else path.name))
            shutil.copyfile(found[0], path)
    settings = DownloadSettings.model_validate_json(canonical_json(download(PAPER, name)))
    run(settings, tmp_path / "artifact")  # the folders are there: nothing is fetched
    verify(tmp_path / "artifact")
    assert len(list((tmp_path / "artifact" / "test").rglob("*.*"))) > 2
