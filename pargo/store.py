"""Artifacts that were made before: what is replaced is set aside, and what was ever made here is not made again.

An artifact is looked for among those of all configs, and among those set aside below `.pargo/kept/`, by what makes it.
`pargo gc` removes what was set aside.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pargo.files import write_atomic
from pargo.kept import KEPT, kind_of, set_aside
from pargo.layout import manifest_path
from pargo.made import Spec, reason_to_remake
from pargo.manifest import PROVENANCE


def find(output: Path, spec: Spec) -> Path | None:
    """An artifact that is what a job would make, and that is whole; None when there is none.

    Args:
        output: where the job would make it; that place is not looked at.
        spec: what would make it.
    """
    for directory in _candidates(output):
        if directory != output and not reason_to_remake(directory, spec):
            return directory
    return None


def bring(found: Path, output: Path) -> None:
    """Put an artifact where a job would make it; what is there now is set aside.

    One that was set aside is moved; of another config's, the files are linked, or copied where that cannot be.
    """
    manifest = manifest_path(found).read_bytes()
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        if found.is_relative_to(KEPT):
            new = found
        else:
            new = temporary / output.name
            shutil.copytree(found, new, copy_function=_link)
        set_aside(output)
        new.replace(output)
        write_atomic(manifest_path(output), manifest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if found.is_relative_to(KEPT):
        shutil.rmtree(found.parent, ignore_errors=True)


def _candidates(output: Path) -> Iterator[Path]:
    kind = kind_of(output)
    if kind is not None:
        for path in (*KEPT.glob(f"{kind}/*/*/{PROVENANCE}"), *Path("artifacts").glob(f"*/{kind}/**/{PROVENANCE}")):
            yield path.parent


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
