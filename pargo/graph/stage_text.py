"""dvc.yaml and dvc.lock by stage: of megabytes of other configs nothing is read but where a stage begins.

Both are written with two spaces before the name of a stage and more before all that is below it, so a stage is found
without reading YAML. A file of another form, as a person may write it, is read as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from pargo.errors import PargoError

try:
    from yaml import CSafeLoader
except ImportError:  # PyYAML was built without it
    from yaml import SafeLoader as CSafeLoader  # type: ignore[assignment]

_START = re.compile(r"^stages:\n", re.MULTILINE)
_STAGE = re.compile(r"^  ([a-z]\w*-[\w-]+):\n", re.MULTILINE)  # as ours are: with a hyphen
_OTHER = re.compile(r"^ {0,2}[^ \n]", re.MULTILINE)  # what stands where stages do, or further left


def owner(stage: str) -> str:
    """The config a stage belongs to."""
    return stage.partition("-")[0]


def split(text: str) -> tuple[str, dict[str, str]] | None:
    """The text before the stages, and each stage's text by name; None for a file of another form."""
    start = _START.search(text)
    if start is None:
        return None
    head, rest = text[: start.end()], text[start.end() :]
    found = list(_STAGE.finditer(rest))
    if len(found) != len(_OTHER.findall(rest)) or (rest and (not found or found[0].start())):
        return None
    starts = [*(one.start() for one in found), len(rest)]
    stages = {one[1]: rest[one.start() : end] for one, end in zip(found, starts[1:], strict=True)}
    return (head, stages) if len(stages) == len(found) and (not rest or rest.endswith("\n")) else None


def join(head: str, stages: Mapping[str, str]) -> str:
    """A file of stages; a head without any is closed as YAML."""
    return head + "".join(stages.values()) if stages else head.replace("stages:\n", "stages: {}\n")


def stages_of(text: str, file: str, config: str) -> dict[str, Any]:
    """The stages of a config, as read.

    Args:
        text: of dvc.yaml or dvc.lock.
        file: its name, for errors.
        config: whose stages; those of others are not looked at.

    Raises:
        PargoError: the file is broken.
    """
    if parts := split(text):
        text = join(parts[0], {name: stage for name, stage in parts[1].items() if owner(name) == config})
    found = _load(text, file).get("stages") or {}
    if not isinstance(found, dict):
        raise PargoError(f"{file}: stages: expected a mapping from names to stages")
    return {name: stage for name, stage in found.items() if owner(name) == config}


def stage_texts(text: str, file: str, dump: Callable[[Any], str]) -> dict[str, str]:
    """Each stage's text by name.

    Args:
        text: of dvc.yaml or dvc.lock.
        file: its name, for errors.
        dump: writes the stages of a file of another form.

    Raises:
        PargoError: the file is broken.
    """
    if parts := split(text):
        return parts[1]
    stages = _load(text, file).get("stages") or {}
    return {name: dump({"stages": {name: stage}}).removeprefix("stages:\n") for name, stage in stages.items()}


def _load(text: str, file: str) -> dict[str, Any]:
    """YAML by the C reader where there is one: a record of the paper's size has megabytes.

    Raises:
        PargoError: it is none, or no mapping.
    """
    try:
        found = yaml.load(text, Loader=CSafeLoader) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _broken(file, "YAML", mark.line + 1 if mark else None) from error
    if not isinstance(found, dict):
        raise PargoError(f"{file}: expected a mapping: get it back with `git checkout {file}`")
    return found


def read_params(text: str, file: str) -> dict[str, Any]:
    """What dvc-params.json holds, by stage; arguments and errors as of `stages_of`."""
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise _broken(file, "JSON", getattr(error, "lineno", None)) from error
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise PargoError(f"{file}: expected a mapping of mappings: get it back with `git checkout {file}`")
    return found


def _broken(file: str, kind: str, line: int | None) -> PargoError:
    where = f" at line {line}" if line else ""
    return PargoError(
        f"{file}: not valid {kind}{where}, perhaps an unfinished merge: resolve it, or `git checkout {file}`"
    )
