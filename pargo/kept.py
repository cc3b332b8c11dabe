"""Artifacts that were replaced: moved below `.pargo/kept/`, where `pargo.store` finds them and `pargo gc` ends them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pargo.layout import manifest_path

KEPT = Path(".pargo/kept")


def set_aside(directory: Path) -> None:
    """Move an artifact out of the way, where `pargo.store` finds it; one without a manifest is removed.

    Only what lies below `artifacts/` is kept: other places are a person's own.
    """
    if not directory.exists():
        return
    kind, manifest = kind_of(directory), manifest_path(directory)
    if kind is None or not manifest.is_file():
        shutil.rmtree(directory)
        return
    (KEPT / kind).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=KEPT / kind))
    kept = folder / directory.name
    shutil.copyfile(manifest, manifest_path(kept))
    directory.replace(kept)


def kept() -> list[Path]:
    """All artifacts that were set aside."""
    return sorted(path for path in KEPT.glob("*/*/*") if path.is_dir())


def kind_of(directory: Path) -> str | None:
    """Of what kind an artifact is, e.g. `models`; None where it is none of this project."""
    parts = directory.parts
    return parts[2] if len(parts) > 3 and parts[0] == "artifacts" else None
