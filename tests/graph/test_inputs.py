"""What the report finds by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pargo.code import ROOT
from pargo.config.experiment import load_config
from pargo.graph.jobs import jobs_of
from pargo.manifest import PROVENANCE


@pytest.mark.parametrize("config", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_tables_read_how_every_artifact_behind_scores_was_made(config: Path) -> None:
    jobs = jobs_of(load_config(config))
    tables = next(job for job in jobs if job.rule == "report_tables")
    read = {path.parent for path in tables.paths if path.name == PROVENANCE}
    assert read == {job.output for job in jobs if not job.files and job.rule != "attention"}
