"""Artifacts: a directory plus a manifest of its content, published whole or not at all.

A manifest holds the sha256 and size of every file and nothing else, so equal content gives an equal manifest and what
reads the artifact need not run again, whatever was changed to make it. How it was made is inside the directory:
`provenance.json` (settings, inputs, code, hardware) is versioned with it; `run.json` (time, commit, package versions)
differs from run to run and is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pargo.code import hash_of_meanings, meanings
from pargo.config.base import canonical_json
from pargo.errors import PargoError
from pargo.files import read_json, sha256_file, sha256_text, write_atomic
from pargo.kept import complete, new_place, put
from pargo.layout import manifest_path
from pargo.machine import hardware, run_record
from pargo.seen import Seen, content, files_below

PROVENANCE = "provenance.json"
RUN_RECORD = "run.json"
CODE_DIGITS = 12  # digits of what a file means, in the run record: enough to name the files that changed
NOT_CONTENT = (PROVENANCE, RUN_RECORD, ".snakemake_timestamp")


def describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    """`{relative path: {"sha256": ..., "size": bytes}}` of every file below, sorted, without records."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in NOT_CONTENT)
    return {
        path.relative_to(directory).as_posix(): {"sha256": sha256_file(path), "size": path.stat().st_size}
        for path in sorted(files)
    }


def manifest_text(directory: Path) -> str:
    """The manifest that the files of a directory give."""
    return _json({"files": describe_files(directory)})


@contextmanager
def publish(
    directory: Path,
    *,
    settings: Any,
    inputs: Iterable[Path] = (),
    code: Iterable[Path] = (),
    measured: Mapping[str, Any] | None = None,
    local: Iterable[Path] = (),
) -> Iterator[Path]:
    """Yield an empty temporary directory; on success it becomes `directory` and its manifest is written.

    Args:
        directory: the artifact; an old one is replaced. The manifest is `manifest_path(directory)`.
        settings: what the stage read (recorded as is).
        inputs: artifact directories the stage read; their manifests' hashes are recorded.
        code: the stage's source files (`pargo.code.import_closure`); one hash of what they mean is
            recorded, as they are when the stage begins: a job reads them first (`pargo.jobs.stage`).
        measured: what the settings left to a measurement; may be filled until the end.
        local: files and folders of a person that the stage reads; their contents are recorded, as when it begins.

    On failure nothing is published and the temporary directory is removed.
    """
    finish = run_record()
    # as they are now: what is edited while the stage runs did not make the artifact
    files = meanings(code)
    record = {
        "settings": json.loads(canonical_json(settings)),
        "inputs": {manifest_path(path).as_posix(): sha256_file(manifest_path(path)) for path in sorted(inputs)},
        "code": hash_of_meanings(files),
    }
    if contents := {path.as_posix(): content(path) for path in local}:
        record["local"] = contents
    with new_place(directory) as temporary:
        yield temporary
        record["hardware"] = hardware()
        if measured:
            record["measured"] = dict(measured)
        (temporary / PROVENANCE).write_text(_json(record), encoding="utf-8")
        digits = {path: text[:CODE_DIGITS] for path, text in files.items()}
        manifest = manifest_text(temporary)
        more = {"code": digits, "manifest": sha256_text(manifest)}
        (temporary / RUN_RECORD).write_text(_json(finish() | more), encoding="utf-8")
        complete(temporary, manifest)
        mend_manifest(directory)
        put(temporary, directory)


def mend_manifest(directory: Path) -> None:
    """Give an artifact its own manifest back, before it is set aside: git may have replaced it, as on another branch.

    Its run record says which it is; what was edited by hand fits none, and keeps what it has.
    """
    path = manifest_path(directory)
    try:
        own = read_json(directory / RUN_RECORD)["manifest"]
    except (PargoError, KeyError, TypeError):
        return
    if not path.is_file() or sha256_file(path) != own:
        text = manifest_text(directory)
        if sha256_text(text) == own:
            write_atomic(path, text)


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an artifact directory."""
    return read_json(manifest_path(directory))


def read_provenance(directory: Path) -> dict[str, Any]:
    """How an artifact was made: `settings`, `inputs` (manifest -> sha256), `code` (hash), `hardware`, `measured`, and
    `local` (a person's files -> hash)."""
    return read_json(directory / PROVENANCE)


def differing(directory: Path, *, trust_times: bool = True) -> list[str]:
    """The files of an artifact that differ from its manifest, each in words.

    Args:
        directory: the artifact.
        trust_times: do not read files whose size and times are as when they were read last.

    Raises:
        PargoError: there is no manifest, or it is broken.
    """
    expected = read_manifest(directory)["files"]
    names, seen = (
        [name for name in files_below(directory) if Path(name).name not in NOT_CONTENT],
        Seen(directory, trust_times=trust_times),
    )
    found, lines = set(names), []
    for name, entry in expected.items():
        if name not in found:
            lines.append(f"{name}: missing")
        elif (size := (directory / name).stat().st_size) != entry["size"]:
            lines.append(f"{name}: changed ({size} bytes and not {entry['size']})")
        elif seen.sha256(name) != entry["sha256"]:
            lines.append(f"{name}: changed")
    seen.keep()
    return lines + [f"{name}: not in the manifest" for name in names if name not in expected]


def verify(directory: Path, *, trust_times: bool = False) -> None:
    """Raise PargoError naming the files of an artifact that differ from its manifest; arguments as of `differing`."""
    if bad := differing(directory, trust_times=trust_times):
        raise PargoError(f"{directory} differs from {manifest_path(directory)}: " + "; ".join(bad))
