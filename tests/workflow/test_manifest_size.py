"""What every profile must say: whatever the size of a manifest, only a change of its content reruns what reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pargo.code import ROOT

PROFILES = sorted(path.parent for path in (ROOT / "workflow/profiles").glob("*/profile.yaml"))
KEPT = ("rerun-incomplete", "rerun-triggers", "max-checksum-file-size")
SNAKEFILE = """
rule all:
    input: "copy"

rule download:
    input: "raw"
    output: "source.manifest.json"
    shell: "cp {input} {output}"

rule features:
    input: "source.manifest.json"
    output: "copy"
    shell: "cp {input} {output}; echo >> runs"
"""


def kept(profile: Path) -> str:
    """The profile's rules of what reruns, without its resources for the project's own rules."""
    lines = (profile / "profile.yaml").read_text().splitlines()
    return "\n".join(line for line in lines if line.split(":")[0] in KEPT)


# profiles that say the same are tried once; the name in the test is the last one's
SAID = {kept(profile): profile.name for profile in PROFILES}


@pytest.mark.parametrize("rules", SAID, ids=SAID.get)
def test_a_source_of_many_files_that_comes_again_with_the_same_content_reruns_nothing(tmp_path, rules):
    own = tmp_path / "profile"
    own.mkdir()
    (own / "profile.yaml").write_text(rules)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    files = {f"images/{number:06d}.jpg": {"sha256": f"{number:064x}", "size": number} for number in range(20_000)}

    def run(change: int) -> int:
        files["images/000000.jpg"]["size"] = change
        (tmp_path / "raw").write_text(json.dumps(files))
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "--workflow-profile", str(own)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return len((tmp_path / "runs").read_text())

    assert run(1) == 1
    assert (tmp_path / "source.manifest.json").stat().st_size > 1_000_000  # Snakemake's own limit
    assert run(1) == 1  # made again, as an import does
    assert run(2) == 2
