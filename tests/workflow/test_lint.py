"""Snakemake's own linter has nothing to say about the workflow but for what is listed here."""

import subprocess
import sys

from tests.helpers.workflow_project import ROOT

# one Python environment, locked by requirements.lock, serves all rules
ALLOWED = ("Specify a conda environment or container for each rule",)


def test_lint() -> None:
    command = [sys.executable, "-m", "snakemake", "--lint", "--configfile", "config/micro.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.startswith("    * ")]
    assert found  # the linter ran
    assert not [line for line in found if not line.removeprefix("* ").startswith(ALLOWED)]


def test_no_shell_command_reads_the_config() -> None:
    # Snakemake does not track `{config[...]}` in a shell command
    for path in ROOT.glob("workflow/rules/*.smk"):
        assert "{config[" not in path.read_text()
