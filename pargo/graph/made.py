"""Was an artifact made by what would make it now? Its own `provenance.json` says, whatever times and caches say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pargo.errors import PargoError
from pargo.files import sha256_file
from pargo.layout import manifest_path
from pargo.manifest import NOT_CONTENT, PROVENANCE, read_manifest, read_provenance

SHOWN = 3  # settings and files named by a reason


def reason_to_remake(
    directory: Path, settings: str, code: str, *, root: Path = Path(), hash_of: Callable[[Path], str] = sha256_file
) -> str:
    """Why an artifact that exists is not what its job would make, in words; empty when it is.

    Sizes of files are compared, not their contents: `pargo.manifest.verify` reads them.

    Args:
        directory: the artifact.
        settings: canonical JSON of its job's settings.
        code: hash of its job's code.
        root: what the paths in its provenance are relative to.
        hash_of: sha256 of a file, for callers that ask about the same inputs many times.
    """
    manifest = manifest_path(directory)
    if not manifest.is_file():
        return f"{manifest} is missing"
    try:
        provenance, files = read_provenance(directory), read_manifest(directory)["files"]
        recorded, inputs = provenance["settings"], provenance["inputs"]
    except (PargoError, KeyError, TypeError):
        return f"{directory / PROVENANCE} is missing or broken"
    if lines := list(_changed_files(directory, files)):
        return some(lines)
    if lines := list(differences(recorded, json.loads(settings))):
        return f"made with other settings: {some(lines)}"
    if provenance.get("code") != code:
        return "made by other code"
    now = {path: hash_of(root / path) for path in inputs if (root / path).is_file()}
    changed = [path for path, digest in now.items() if digest != inputs[path]]
    return f"made from another {some(changed)}" if changed else ""


def _changed_files(directory: Path, files: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What a look at names and sizes tells."""
    found = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    for name, entry in files.items():
        if name not in found:
            yield f"{directory / name} is missing"
        elif (size := found[name].stat().st_size) != entry["size"]:
            yield f"{directory / name} has {size} bytes and not {entry['size']}"
    for name, path in sorted(found.items()):
        if name not in files and path.name not in NOT_CONTENT:
            yield f"{directory / name} is not in the manifest"


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """`a.b: 1, now 2` of every value that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif before != now:
        yield f"{path}: {json.dumps(before)}, now {json.dumps(now)}"


def some(texts: Iterable[str]) -> str:
    """The first ones, and how many more there are."""
    every = list(texts)
    more = f", and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
