"""What a job has published, as a copy until a launcher has taken it.

Snakemake deletes a rule's outputs before it runs the rule again, and git puts other manifests beside them: also when a
job ended while no driver was there to see it. A training of days must not be lost by that.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pargo.errors import PargoError
from pargo.files import copy_file
from pargo.kept import complete, new_place, put
from pargo.manifest import differing, manifest_path, mend_manifest

FINISHED = "finished"  # in the run directory
ARTIFACT = "artifact"  # in that folder, with its manifest beside it


def keep(output: Path, run_directory: Path) -> None:
    """Copy an artifact and its manifest; the copy takes no room where the file system shares blocks."""
    forget(run_directory)
    temporary = run_directory / f".{FINISHED}"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(output, temporary / ARTIFACT, copy_function=copy_file)
    copy_file(manifest_path(output), manifest_path(temporary / ARTIFACT))
    temporary.replace(run_directory / FINISHED)


def is_in_place(output: Path, run_directory: Path) -> bool:
    """Is what the job published where it was, and whole? Its manifest is given back where git has replaced it."""
    if not output.is_dir():
        return False
    mend_manifest(output)
    copy = manifest_path(run_directory / FINISHED / ARTIFACT)
    try:
        same = not copy.is_file() or copy.read_bytes() == manifest_path(output).read_bytes()
        return same and not differing(output)
    except (PargoError, OSError, KeyError, TypeError):
        return False


def give_back(output: Path, run_directory: Path) -> bool:
    """Put the copy where the artifact was; what is there is set aside. False when there is no whole copy."""
    copy = run_directory / FINISHED / ARTIFACT
    try:
        if differing(copy):
            return False
        manifest = manifest_path(copy).read_bytes()
    except (PargoError, KeyError, TypeError):
        return False
    with new_place(output) as temporary:
        shutil.copytree(copy, temporary, dirs_exist_ok=True, copy_function=copy_file)
        complete(temporary, manifest)
        put(temporary, output)
    return True


def forget(run_directory: Path) -> None:
    """Remove what was kept of a finished stage, as a launcher has the result now."""
    shutil.rmtree(run_directory / FINISHED, ignore_errors=True)
