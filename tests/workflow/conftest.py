"""One finished micro run in a copy of the project, which the tests of the workflow look at and disturb."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers.workflow_project import Project, copy_project


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, in which no test works; the workers of pytest-xdist share the one run."""
    base = tmp_path_factory.getbasetemp()
    # the workers' folders are side by side in one of the whole session
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "micro-run"
    done = root.with_name("micro-run.done")
    with FileLock(root.with_name("micro-run.lock")):
        if not done.exists():
            shutil.rmtree(root, ignore_errors=True)  # where it failed in another worker, this one says why, too
            _run_micro(root)
            done.touch()
    return root


@pytest.fixture(scope="module")
def project(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The copy after `pargo reproduce --config config/micro.yaml`, committed; each module has its own to disturb."""
    root = tmp_path_factory.mktemp("workflow") / "project"
    shutil.copytree(micro_run, root, symlinks=True)
    return Project(root)


def _run_micro(root: Path) -> None:
    root.mkdir()
    copy_project(root)
    project = Project(root)
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "code")
    project.reproduce()
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "run")
