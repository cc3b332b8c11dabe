"""A finished run for the tests of the report."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.report_project import Project, make_settings


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Root of a finished run with two seeds; read only."""
    root, before = tmp_path_factory.mktemp("project"), Path.cwd()
    os.chdir(root)
    try:
        Project(make_settings((0, 1), details=True)).make(images_per_task=6, num_steps=40)
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def two_seeds(finished, monkeypatch) -> Project:
    """The run, with its root as the current directory."""
    monkeypatch.chdir(finished)
    return Project(make_settings((0, 1)))


@pytest.fixture
def project(finished, monkeypatch) -> Project:
    """The same run, of which the config asks for the first seed only."""
    monkeypatch.chdir(finished)
    return Project(make_settings((0,)))


@pytest.fixture
def with_details(finished, monkeypatch) -> Project:
    """The run with two seeds and its third benchmark, of details."""
    monkeypatch.chdir(finished)
    return Project(make_settings((0, 1), details=True))
