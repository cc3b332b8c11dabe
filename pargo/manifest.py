"""Artifacts: a directory plus a manifest of its content, published whole or not at all.

A manifest holds the sha256 and size of every file and nothing else, so equal content gives an equal manifest and what
reads the artifact need not run again, whatever was changed to make it. How it was made is inside the directory:
`provenance.json` (settings, inputs, code, hardware) is versioned with it; `run.json` (time, commit, package versions)
differs from run to run and is not.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pargo.code import ROOT
from pargo.config.base import canonical_json
from pargo.errors import PargoError
from pargo.files import read_json, sha256_file, sha256_text, write_atomic
from pargo.layout import manifest_path
from pargo.machine import hardware, run_record

PROVENANCE = "provenance.json"
RUN_RECORD = "run.json"
NOT_CONTENT = (PROVENANCE, RUN_RECORD, ".snakemake_timestamp")


def describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    """`{relative path: {"sha256": ..., "size": bytes}}` of every file below, sorted, without records."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in NOT_CONTENT)
    return {
        path.relative_to(directory).as_posix(): {"sha256": sha256_file(path), "size": path.stat().st_size}
        for path in sorted(files)
    }


@contextmanager
def publish(
    directory: Path,
    *,
    settings: Any,
    inputs: Iterable[Path] = (),
    code: Iterable[Path] = (),
    measured: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Yield an empty temporary directory; on success it becomes `directory` and its manifest is written.

    Args:
        directory: the artifact; an old one is replaced. The manifest is `manifest_path(directory)`.
        settings: what the stage read (recorded as is).
        inputs: artifact directories the stage read; their manifests' hashes are recorded.
        code: the stage's source files (`pargo.code.import_closure`); one hash of them is recorded.
        measured: what the settings left to a measurement; may be filled until the end.

    On failure nothing is published and the temporary directory is removed.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    temporary.chmod(0o755)
    finish = run_record()
    try:
        yield temporary
        record = {
            "settings": json.loads(canonical_json(settings)),
            "inputs": {manifest_path(path).as_posix(): sha256_file(manifest_path(path)) for path in sorted(inputs)},
            "code": code_hash(code),
            "hardware": hardware(),
        }
        if measured:
            record["measured"] = dict(measured)
        manifest = _json({"files": describe_files(temporary)})
        (temporary / PROVENANCE).write_text(_json(record), encoding="utf-8")
        (temporary / RUN_RECORD).write_text(_json(finish()), encoding="utf-8")
        if directory.exists():
            shutil.rmtree(directory)
        temporary.replace(directory)
        write_atomic(manifest_path(directory), manifest)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def code_hash(code: Iterable[Path]) -> str:
    """One hash of the names and contents of source files."""
    return hash_of_files({path.as_posix(): sha256_file(ROOT / path) for path in code})


def hash_of_files(files: Mapping[str, str]) -> str:
    """One hash of source files whose sha256 are known, by path; see `code_hash`."""
    return sha256_text(canonical_json(files))


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an artifact directory."""
    return read_json(manifest_path(directory))


def read_provenance(directory: Path) -> dict[str, Any]:
    """How an artifact was made: `settings`, `inputs` (manifest -> sha256), `code` (hash), `hardware`, `measured`."""
    return read_json(directory / PROVENANCE)


def verify(directory: Path) -> None:
    """Raise PargoError naming the files of an artifact that differ from its manifest."""
    expected, found = read_manifest(directory)["files"], describe_files(directory)
    bad = [
        f"{name}: {'missing' if name not in found else 'changed'}"
        for name in expected
        if found.get(name) != expected[name]
    ]
    bad += [f"{name}: not in the manifest" for name in found if name not in expected]
    if bad:
        raise PargoError(f"{directory} differs from {manifest_path(directory)}: " + "; ".join(bad))
