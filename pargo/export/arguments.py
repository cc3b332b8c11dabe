"""Arguments of `export`, `chat`, `serve` and the converters, checked by names and first bytes alone: without torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pargo.arguments import choice, existing, existing_file, existing_folder, new_folder, read_mapping
from pargo.errors import InputError, UsageError
from pargo.layout import Layout

DTYPES = ("bfloat16", "float32")
MODEL_TYPE = "pargo"
SIZE = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)
ZIP, PICKLE, GGUF = b"PK\x03\x04", b"\x80", b"GGUF"


def check_export(
    run: Path, directory: Path, language: Path | None, vision: Path | None, dtype: str, shard_size: str
) -> None:
    """Raise UsageError where `pargo export` could not begin."""
    choice("--dtype", dtype, DTYPES)
    if not SIZE.fullmatch(shard_size.strip()):
        raise UsageError(f"--shard-size: {shard_size!r}: expected a number and KB, MB or GB, such as 5GB")
    settings = _config("RUN", run)
    parts = {name: settings.get(name) for name in ("language", "vision", "projector")}
    if not all(isinstance(part, dict) for part in parts.values()):
        raise UsageError(f"RUN: {run} is no fine-tuned or converted model: its config.json has no {', '.join(parts)}")
    for name, given in (("language", language), ("vision", vision)):
        if given is not None:
            existing_folder(f"--{name}", given, holding="config.json")
            continue
        source = str(parts[name].get("source"))  # type: ignore[union-attr]
        place = Layout.of_model(run)
        if place is None:
            raise UsageError(
                f"RUN: {run} is not below artifacts/<config>/models: say with --{name} where {source!r} is"
            )
        warmed_up = bool(parts[name].get("warm_up"))  # type: ignore[union-attr]
        folder = place.layout.language(source, warmed_up) if name == "language" else place.layout.source(source)
        if not folder.is_dir():
            raise UsageError(f"RUN: {folder}, the {name} it was trained with, is not there")
    new_folder("DIR", directory)


def check_exported(directory: Path) -> None:
    """Raise UsageError unless a folder looks like an exported model."""
    problem = ""
    if not (existing_folder("DIR", directory) / "config.json").is_file():
        problem = "it has no config.json"
    elif (kind := _config("DIR", directory).get("model_type")) != MODEL_TYPE:
        problem = f"its config.json says {kind!r}" if kind else "its config.json names no model_type"
    if problem:
        raise UsageError(f"DIR: {directory} holds no exported model: {problem}; `pargo export` writes one")


def check_chat(directory: Path, image: Path, attention: Path | None) -> None:
    """Raise UsageError where `pargo chat` could not begin."""
    if attention is not None and attention.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--save-attention: {attention} is neither a .png nor a .svg file")
    existing_file("IMAGE", image)
    from pargo.data.rgb import open_rgb

    try:
        open_rgb(image, str(image))
    except InputError as error:
        raise UsageError(f"IMAGE: {error}") from None
    check_exported(directory)


def check_release(checkpoint: Path, directory: Path) -> None:
    """Raise UsageError where `pargo convert-release` could not begin."""
    if not _begins(existing_file("CKPT", checkpoint), ZIP, PICKLE):
        raise UsageError(f"CKPT: {checkpoint} is no checkpoint of torch: it begins neither as a zip nor as a pickle")
    new_folder("DIR", directory)


def check_language(source: Path, directory: Path) -> None:
    """Raise UsageError where `pargo convert-language` could not begin."""
    if not existing("SOURCE", source).is_dir():
        if source.suffix != ".gguf" or not _begins(existing_file("SOURCE", source), GGUF):
            raise UsageError(f"SOURCE: {source} is neither a GGUF file (named .gguf) nor a folder")
    elif (kind := _config("SOURCE", source).get("model_type")) != "internlm2":
        raise UsageError(
            f"SOURCE: {source} holds a model of the kind {kind!r}: only InternLM2 and GGUF need to be converted"
        )
    new_folder("DIR", directory)


def _config(name: str, directory: Path) -> dict[str, Any]:
    path = existing_folder(name, directory, holding="config.json") / "config.json"
    try:
        return read_mapping(f"{name}: {path}", path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise UsageError(f"{name}: {path} is no text") from None


def _begins(path: Path, *magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(magic)
