"""What a job has published, under a second name until a launcher has taken it.

Snakemake deletes a rule's outputs before it runs the rule again: also those of a job that ended while no driver was
there to see it. A training of days must not be lost by that.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pargo.manifest import manifest_path

FINISHED = "finished"  # in the run directory


def keep(output: Path, run_directory: Path) -> None:
    """Give an artifact and its manifest a second name: hard links, or copies on another file system."""
    forget(run_directory)
    temporary = run_directory / f".{FINISHED}"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(output, temporary / "artifact", copy_function=_link)
    if manifest_path(output).exists():
        _link(manifest_path(output), temporary / "manifest.json")
    temporary.replace(run_directory / FINISHED)


def give_back(output: Path, run_directory: Path) -> bool:
    """Put the artifact back where it was; False when there is none."""
    kept = run_directory / FINISHED
    if not kept.is_dir():
        return False
    # the second name goes last, and the artifact itself, by which others see that it is there, just before it
    output.parent.mkdir(parents=True, exist_ok=True)
    if (kept / "manifest.json").exists():
        manifest_path(output).unlink(missing_ok=True)
        _link(kept / "manifest.json", manifest_path(output))
    temporary = output.with_name(f".{output.name}.back")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(kept / "artifact", temporary, copy_function=_link)
    temporary.replace(output)
    forget(run_directory)
    return True


def forget(run_directory: Path) -> None:
    """Remove what was kept of a finished stage, as a launcher has the result now."""
    shutil.rmtree(run_directory / FINISHED, ignore_errors=True)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
