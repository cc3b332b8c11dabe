"""What is recorded of a real run: one code hash per stage, and every difference from it told by stage."""

import json
from pathlib import Path
from typing import Any

import yaml
from dvc.utils.serialize import dump_yaml

from tests.helpers.workflow_project import Project

MICRO = ("--config", "config/micro.yaml")
OLD_FORM = "in the form of an older ParGo-Repro"


def params(project: Project) -> dict[str, Any]:
    return json.loads((project.root / "dvc-params.json").read_text())


def changes(project: Project, config: str = MICRO[1]) -> list[str]:
    """Lines of `pargo versions status` on code and settings."""
    done = project.pargo("versions", "status", "--config", config, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("micro-") and "differ" in line]


def write_older_form(root: Path) -> None:
    """DVC's files as an older ParGo-Repro wrote them: lists of code files, whole settings in the file and the lock."""
    code, held = "pargo/code.py", json.loads((root / "dvc-params.json").read_text())
    stages, lock = (yaml.safe_load((root / name).read_text()) for name in ("dvc.yaml", "dvc.lock"))
    for name, stage in stages["stages"].items():
        command = stage["cmd"].replace(f"dvc-params.json:{name}", f"'{json.dumps(held[name]['settings'])}'")
        stage |= {"cmd": command, "deps": [*stage["deps"], code], "params": [{"dvc-params.json": [name]}]}
        recorded = lock["stages"][name]
        recorded["cmd"] = command
        recorded["deps"] = [*recorded.get("deps", []), {"path": code, "hash": "md5", "md5": "0" * 32, "size": 1}]
        recorded["params"] = {"dvc-params.json": {name: held[name]["settings"]}}
    dump_yaml(root / "dvc.yaml", stages)
    dump_yaml(root / "dvc.lock", lock)
    (root / "dvc-params.json").write_text(json.dumps({name: entry["settings"] for name, entry in held.items()}))


def test_code_of_a_stage_is_the_code_that_its_artifact_records(project: Project) -> None:
    entries, checked = params(project), 0
    for name, stage in yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"].items():
        for path in (project.root / out for out in stage["outs"] if isinstance(out, str)):
            provenance = json.loads((path / "provenance.json").read_text())
            assert (entries[name]["code"], entries[name]["settings"]) == (provenance["code"], provenance["settings"])
            checked += 1
    assert checked == 21


def test_new_source_file_that_nobody_imports_changes_nothing(project: Project) -> None:
    for path in ("pargo/nobody.py", "pargo/train/nobody.py", "pargo/models/projectors/nobody.py"):
        (project.root / path).write_text("")
    try:
        status = project.pargo("versions", "status", *MICRO)
        assert status.stdout.strip() == "up to date"
        project.pargo("versions", "write", *MICRO)
        assert project.git("diff", "--name-only") == ""
    finally:
        for path in project.root.rglob("nobody.py"):
            path.unlink()


def test_changed_code_is_told_by_stage_and_file(project: Project) -> None:
    with project.edited("pargo/report/figures.py"):
        told = changes(project)
        # the page reads the figures, and not their code
        assert told == ["micro-report_figures: its code differs from the recorded run's: pargo/report/figures.py"]
        assert "up to date" in project.run("dvc", "status").stdout  # which reads what was written
        refused = project.pargo("versions", "restore", *MICRO, check=False)
        assert refused.returncode == 1
        assert f"dvc.lock records another version: {told[0]}: check out the commit" in refused.stderr
        project.pargo("versions", "write", *MICRO)
        assert project.git("diff", "--name-only").split() == ["dvc-params.json", "pargo/report/figures.py"]
        assert changes(project) == told
        modified = [line for line in project.run("dvc", "status").stdout.splitlines() if "modified" in line]
        assert [line.split()[-1] for line in modified] == ["micro-report_figures.code"]
    project.pargo("versions", "write", *MICRO)
    assert project.git("status", "--porcelain") == ""


def test_changed_setting_is_told_by_stage_with_its_value(project: Project) -> None:
    variant = project.variant("width", report__latex_width=240)
    assert changes(project, variant) == [
        f"micro-{stage}: its settings differ from the recorded run's: report.latex_width: 345, now 240"
        for stage in ("report_answers", "report_figures", "report_page", "report_tables", "report_training")
    ]


def test_files_of_the_older_form_are_told_and_written_anew(project: Project) -> None:
    write_older_form(project.root)
    status = project.pargo("versions", "status", *MICRO, check=False)
    assert status.returncode == 1
    assert status.stdout.count(OLD_FORM) == 1
    refused = project.pargo("versions", "restore", *MICRO, check=False)
    assert refused.returncode == 1
    assert OLD_FORM in refused.stderr
    assert "Traceback" not in refused.stderr
    project.pargo("versions", "record", *MICRO)
    assert project.git("status", "--porcelain") == ""  # byte for byte what a new record is
