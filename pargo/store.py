"""Finds artifacts that were made before, so that a job restores one and does not make it again.

An artifact is looked for among those of all configs, and among those set aside below `.pargo/kept/`, by what makes it.
`pargo gc` removes what was set aside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pargo.errors import PargoError
from pargo.files import copy_file
from pargo.kept import KEPT, alone_with_kept, complete, kind_of, move, new_place, put
from pargo.layout import manifest_path
from pargo.made import Spec, is_made_by, reason_to_remake
from pargo.manifest import PROVENANCE, mend_manifest

TRIES = 3  # other jobs may take away, or set aside, what was found


def find(output: Path, spec: Spec) -> Path | None:
    """An artifact that is what a job would make, and that is whole; None when there is none.

    Args:
        output: where the job would make it; that place is not looked at.
        spec: what would make it.
    """
    for directory in _candidates(output):
        with suppress(OSError):  # another process takes it away
            # its files last: they may have gigabytes
            candidate = directory != output and is_made_by(directory, spec, output)
            if candidate and not reason_to_remake(directory, spec, target=output):
                return directory
    return None


def restore(output: Path, spec: Spec) -> Path | None:
    """Put an artifact that was made before where a job would make it; the place where it was, None when there is none.

    Arguments as of `find`.
    """
    for _ in range(TRIES):
        found = find(output, spec)
        if found is None or bring(found, output):
            return found
    return None


def bring(found: Path, output: Path) -> bool:
    """Put an artifact where a job would make it; what is there now is set aside.

    One that was set aside is moved; another config's is copied, so that damage of one leaves the other whole.

    Returns:
        False where it went away meanwhile: another job took it, or made it anew.
    """
    own, before = found.is_relative_to(KEPT), 0
    try:
        before, manifest = found.stat().st_ino, manifest_path(found).read_bytes()
        with new_place(output) as temporary:
            if own:
                with alone_with_kept():
                    complete(temporary, manifest)  # first, so that it counts as whole wherever a kill leaves it
                    move(found, temporary)
            else:
                shutil.copytree(found, temporary, dirs_exist_ok=True, copy_function=copy_file)
                if found.stat().st_ino != before or manifest_path(found).read_bytes() != manifest:
                    return False
                complete(temporary, manifest)
            mend_manifest(output)
            put(temporary, output)
    except (FileNotFoundError, shutil.Error) as error:
        if not found.is_dir() or found.stat().st_ino != before:
            return False
        if isinstance(error, shutil.Error):  # of many files: (from, to, why) of each
            raise PargoError(f"cannot copy {found} to {output}: {error.args[0][0][2]}") from error
        raise
    if own:
        with alone_with_kept():
            shutil.rmtree(found.parent, ignore_errors=True)
    return True


def _candidates(output: Path) -> Iterator[Path]:
    kind = kind_of(output)
    if kind is not None:
        for top in (KEPT / kind, *Path("artifacts").glob(f"*/{kind}")):
            for folder, inner, names in os.walk(top):  # passes over what goes away meanwhile
                if PROVENANCE in names:
                    inner.clear()
                    yield Path(folder)
