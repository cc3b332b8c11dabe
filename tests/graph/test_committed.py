"""The committed DVC files are what the graph gives: nobody edits them, none is stale, and no value stands in two."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pargo.code import ROOT
from pargo.graph.dvc import generate
from pargo.graph.dvc_repository import LOCK_FILE, PARAMS_FILE, STAGES_FILE
from pargo.graph.dvc_stages import settings_hash
from pargo.graph.jobs import list_jobs
from pargo.graph.stage_text import owner


def stages(path: Path = STAGES_FILE) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())["stages"] if path.exists() else {}


def configs() -> list[str]:
    return sorted({owner(stage) for stage in stages()})


@pytest.mark.parametrize("config", configs() or [None])
def test_committed_files_are_the_generated_ones(config: str | None) -> None:
    """A code hash may also be the recorded one: code that moved makes no file stale, `versions status` tells of it."""
    if config is None:
        pytest.fail("dvc.yaml is absent: record a run of the default config")
    files = generate(config, list_jobs(ROOT / "config" / f"{config}.yaml"))
    committed, recorded = json.loads(PARAMS_FILE.read_text(encoding="utf-8")), stages(LOCK_FILE)
    params = json.loads(files[PARAMS_FILE])
    for name in params.keys() & committed.keys() & recorded.keys():
        code = committed[name]["code"]
        if code == recorded[name]["params"][PARAMS_FILE.name][f"{name}.code"]:
            params[name]["code"] = code
    files[PARAMS_FILE] = json.dumps(params, indent=1, ensure_ascii=False) + "\n"
    advice = f"run pargo versions write --config config/{config}.yaml"
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: {advice}"


def test_default_config_is_recorded_where_its_report_is() -> None:
    if not (ROOT / "reports/quick/index.html").exists():
        pytest.fail("reports/quick is absent: run the default config")
    assert "quick" in configs(), "reports/quick exists, but its run is not recorded: pargo versions record"


def test_record_holds_of_code_and_settings_their_hashes_alone() -> None:
    recorded = stages(LOCK_FILE)
    assert recorded.keys() <= stages().keys()
    for name, stage in recorded.items():
        keys = {f"{name}.code", f"{name}.settings_sha256"}
        (held,) = stage["params"].values()
        assert set(held) == keys
        assert all(len(value) == 64 for value in held.values())
        assert not [dep["path"] for dep in stage.get("deps", []) if dep["path"].startswith("pargo/")]
        assert f"--settings {PARAMS_FILE.name}:{name} " in stage["cmd"] + " "


def test_settings_stand_in_one_file_beside_their_hash() -> None:
    for name, entry in json.loads(PARAMS_FILE.read_text(encoding="utf-8")).items():
        assert entry["settings_sha256"] == settings_hash(entry["settings"]), name
    for path in (STAGES_FILE, LOCK_FILE):
        assert "{" not in path.read_text(encoding="utf-8"), f"{path.name} holds settings"
