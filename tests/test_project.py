"""A command finds its project as git does; what was given keeps its meaning, wherever the command is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pargo.code import ROOT
from pargo.errors import UsageError
from pargo.jobs.record import JobRecord
from pargo.layout import Layout
from pargo.project import MARKS, find_project, go_to_project
from tests.helpers.project_marks import make_project


def pargo(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "pargo", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_nearest_folder_upwards_is_the_project(tmp_path):
    outer = make_project(tmp_path / "a")
    inner = make_project(outer / "b" / "c")
    (inner / "d" / "e").mkdir(parents=True)
    (outer / "b" / MARKS[0]).touch()  # one mark alone is none
    for start, found in {inner / "d" / "e": inner, inner: inner, outer / "b": outer, outer: outer}.items():
        assert find_project(start, own=tmp_path) == found


def test_elsewhere_it_is_the_project_of_this_code(tmp_path):
    assert find_project(tmp_path) == ROOT


def test_where_there_is_none_the_error_says_where_it_looked(tmp_path):
    with pytest.raises(
        UsageError, match=f"no project here: looked in {tmp_path} and the folders above it for Snakefile"
    ):
        find_project(tmp_path, own=tmp_path / "site-packages")


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("quick.yaml", "config/quick.yaml"),
        ("../config/quick.yaml", "config/quick.yaml"),
        ("..", "."),
        ("../../elsewhere/x.yaml", "{parent}/elsewhere/x.yaml"),
        ("/etc/x.yaml", "/etc/x.yaml"),
        ("{root}/config/x.yaml", "config/x.yaml"),
    ],
)
def test_paths_are_those_of_where_the_person_stands(tmp_path, monkeypatch, given, seen):
    root = make_project(tmp_path / "project")
    (root / "config").mkdir()
    monkeypatch.chdir(root / "config")
    found = go_to_project()(Path(given.format(root=root)))
    assert Path.cwd() == root
    assert found == Path(seen.format(parent=tmp_path))


def test_in_the_project_paths_stay_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    assert str(go_to_project()(Path("../x/./y"))) == "../x/y"


def test_a_graph_is_not_run_by_the_code_of_another_project(tmp_path):
    project = make_project(tmp_path / "other")
    for command in (("reproduce",), ("versions", "status")):
        done = pargo(*command, folder=project)
        assert done.returncode == 2
        assert f"this is the project {project}, but this `pargo` is the code of {ROOT}" in done.stderr


def test_jobs_are_found_from_every_folder_of_the_project(tmp_path):
    project = make_project(tmp_path / "project")
    run = project / "runs/quick/pretrain/pargo/seed-0"
    run.mkdir(parents=True)
    JobRecord(spec="s", backend="local", tag="t", folder="jobs/0001", job_id="424242").write(run)
    (project / "config").mkdir()
    for folder in (project, project / "config", run):
        done = pargo("jobs", folder=folder)
        assert (done.returncode, "424242" in done.stdout) == (0, True), done.stderr
        assert pargo("logs", "424242", folder=folder).stdout == "no log yet\n"
    elsewhere = pargo("jobs", folder=tmp_path)
    assert elsewhere.returncode == 0
    assert "424242" not in elsewhere.stdout
    assert elsewhere.stderr == f"in the project {ROOT}\n"


def test_configs_are_read_from_a_folder_of_the_project():
    for folder, config in ((ROOT / "config", "micro.yaml"), (ROOT / "tests/jobs", "../../config/micro.yaml")):
        for command in (("data", "ls"), ("data", "size")):
            done = pargo(*command, "--config", config, folder=folder)
            assert done.returncode == 0, done.stderr
        assert pargo("config", "check", config, folder=folder).returncode == 0
    wrong = pargo("data", "ls", "--config", "config/micro.yaml", folder=ROOT / "config")
    assert (wrong.returncode, "config/config/micro.yaml does not exist" in wrong.stderr) == (2, True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The package alone, as in the site-packages of an environment without a project."""
    folder = tmp_path_factory.mktemp("site-packages")
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    shutil.copytree(ROOT / "pargo", folder / "pargo", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "run.py").write_text(code + "from pargo.cli import main\nmain()\n")
    return folder


def test_an_installation_without_a_project(installed, tmp_path):
    """What needs no project works anywhere; what needs one says where it looked."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"NO_COLOR": "1"}
        command = [sys.executable, str(installed / "run.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    for command in (("jobs",), ("logs", "1"), ("reproduce",), ("plan",), ("data", "ls"), ("versions", "status")):
        done = run(*command)
        assert done.returncode == 2, command
        assert f"no project here: looked in {tmp_path} and the folders above it" in done.stderr
    scores = ROOT / "reports/quick/scores"
    done = run("compare", str(scores / "pargo"), str(scores / "qformer"), "--samples", "10", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]
    assert run("config", "check", str(ROOT / "config/micro.yaml")).returncode == 0
    assert "CKPT: x does not exist" in run("convert-release", "x", "y").stderr


def test_a_model_directory_is_known_from_every_folder(tmp_path, monkeypatch):
    model = tmp_path / "artifacts/quick/models/pargo/seed-3/finetune"
    model.mkdir(parents=True)
    for folder, given in {
        tmp_path: "artifacts/quick/models/pargo/seed-3/finetune",
        model.parent: "finetune",
        model: ".",
        tmp_path / "artifacts": "quick/models/pargo/seed-3/finetune",
        model.parents[2]: "../models/pargo/seed-3/finetune",
    }.items():
        monkeypatch.chdir(folder)
        place = Layout.of_model(Path(given))
        assert place is not None, given
        assert (place.layout.config, place.arm, place.seed) == ("quick", "pargo", 3)
        assert place.layout.source("x").absolute() == tmp_path / "artifacts/quick/sources/x"
    assert Layout.of_model(tmp_path / "my-model") is None
    assert Layout.of_model(model.parent / "x" / "finetune") is None
