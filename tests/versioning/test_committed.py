"""The committed dvc.yaml and dvc-params.json are what the graph gives: nobody edits them, and none is stale."""

import pytest
import yaml

from pargo.code import ROOT
from pargo.versioning.dvc import generate
from pargo.versioning.graph import list_jobs
from pargo.versioning.stages import owner

STAGES = ROOT / "dvc.yaml"


def configs() -> list[str]:
    return sorted({owner(stage) for stage in yaml.safe_load(STAGES.read_text())["stages"]}) if STAGES.exists() else []


@pytest.mark.parametrize("config", configs() or [None])
def test_committed_files_are_the_generated_ones(config: str | None) -> None:
    if config is None:
        pytest.fail("dvc.yaml is absent: record a run of the default config")
    jobs = list_jobs(ROOT / "config" / f"{config}.yaml")
    for path, text in generate(config, jobs).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run pargo versions record --config {config}"


def test_default_config_is_recorded_where_its_report_is() -> None:
    if not (ROOT / "reports/quick/index.html").exists():
        pytest.fail("reports/quick is absent: run the default config")
    assert "quick" in configs(), "reports/quick exists, but its run is not recorded: pargo versions record"
