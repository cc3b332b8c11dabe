"""One finished micro run in a copy of the project, which the tests of the workflow look at and disturb."""

from __future__ import annotations

import pytest

from tests.helpers.workflow_project import Project, copy_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The copy after `pargo reproduce --config config/micro.yaml`, committed."""
    root = tmp_path_factory.mktemp("project")
    copy_project(root)
    project = Project(root)
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "code")
    project.reproduce()
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "run")
    return project
