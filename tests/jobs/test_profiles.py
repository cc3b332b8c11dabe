"""A profile that is none is refused: Snakemake would run everything on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pargo.code import ROOT
from pargo.errors import ConfigError, UsageError
from pargo.jobs.profiles import check_profile_files, jobs_files

KNOWN = "profiles: workflow/profiles/default, workflow/profiles/paper, workflow/profiles/slurm"


@pytest.fixture
def with_slurm(tmp_path, monkeypatch):
    """A PATH with a program named sbatch, or without one."""

    def choose(there: bool) -> None:
        folder = tmp_path / f"bin-{there}"
        folder.mkdir()
        if there:
            (folder / "sbatch").write_text("#!/bin/sh\n")
            (folder / "sbatch").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return choose


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "workflow/profiles").iterdir()))
def test_the_projects_own_profiles_pass_where_slurm_is(name, with_slurm):
    with_slurm(True)
    check_profile_files(Path("workflow/profiles") / name)


@pytest.mark.parametrize("name", ["slurm", "paper"])
def test_a_profile_for_slurm_is_refused_where_it_is_not(name, with_slurm):
    with_slurm(False)
    with pytest.raises(UsageError, match=f"{name} runs jobs on SLURM, and this machine has no `sbatch`"):
        check_profile_files(Path("workflow/profiles") / name)
    check_profile_files(Path("workflow/profiles/default"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("workflow/profiles/slrum", "slrum does not exist; did you mean workflow/profiles/slurm?; " + KNOWN),
        ("workflow/profile/slurm", "slurm does not exist; did you mean workflow/profiles/slurm?; " + KNOWN),
        ("slurm", "slurm does not exist; did you mean workflow/profiles/slurm?; " + KNOWN),
        ("mine", "--profile: mine does not exist; " + KNOWN),
        ("none", "--profile: none does not exist; " + KNOWN),  # Snakemake's word for no profile
        ("workflow", "workflow has no profile.yaml; " + KNOWN),
        ("workflow/profiles/slurm/profile.yaml", "profile.yaml is a file; " + KNOWN),
    ],
)
def test_what_is_no_profile_is_refused_with_those_that_there_are(given, message):
    with pytest.raises(UsageError) as error:
        check_profile_files(Path(given))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set-resources: {pretrain: {executor: x/jobs.yaml}}\n", "pretrain: there is no jobs file x/jobs.yaml"),
        ("set-resources: {pretrain: {executor: \"'x.yml'\"}}\n", "pretrain: there is no jobs file x.yml"),
        ("set-resources: [\n", "not valid YAML"),
        ("- 1\n", "expected a mapping, got a list"),
        ("set-resources: 3\n", "expected a mapping, got the number 3"),
        ("set-resources: {pretrain: x}\n", "expected a mapping, got text"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_file(tmp_path, text, message):
    (tmp_path / "profile.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        check_profile_files(tmp_path)
    assert message in str(error.value)
    assert "profile.yaml" in str(error.value)


def test_a_jobs_file_for_this_machine_needs_no_slurm(tmp_path, with_slurm):
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("backend: local\n")
    asked = f"{{pretrain: {{executor: {jobs}}}, download: {{mem_mb: 1}}}}"
    (tmp_path / "profile.yaml").write_text(f"set-resources: {asked}\n")
    assert list(jobs_files(tmp_path)) == [("pretrain", jobs)]
    with_slurm(False)
    check_profile_files(tmp_path)


def test_snakemakes_older_name_of_the_file_is_one_too(tmp_path, with_slurm):
    (tmp_path / "config.yaml").write_text("cores: 2\n")
    check_profile_files(tmp_path)
    (tmp_path / "config.yaml").write_text("set-resources: {pretrain: {executor: x/jobs.yaml}}\n")
    with pytest.raises(ConfigError, match=r"config\.yaml: pretrain: there is no jobs file x/jobs\.yaml"):
        check_profile_files(tmp_path)
    (tmp_path / "profile.yaml").write_text("cores: 2\n")
    check_profile_files(tmp_path)


@pytest.mark.parametrize("config", ["", "config/quik.yaml", "config", "Makefile.yaml"])
def test_make_names_a_config_that_is_not_there_before_it_installs(tmp_path, config):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "config").mkdir()
    (tmp_path / "config/quick.yaml").touch()
    make = ["make", "reproduce", f"CONFIG={config}", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"MAKEFLAGS": ""})
    assert done.returncode == 2
    assert f"error: CONFIG={config}: there is no such file; configs: config/quick.yaml" in done.stderr
    assert not (tmp_path / ".venv").exists()
