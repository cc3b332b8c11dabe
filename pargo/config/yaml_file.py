"""YAML files that people write: read with errors that say file, line, and what is wrong there in YAML's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from pargo.errors import ConfigError

MAX_BYTES = 10_000_000  # of a file that a person writes
WORDS = {dict: "a mapping", list: "a list", tuple: "a list", str: "text", bool: "true or false", type(None): "nothing"}


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, which YAML would silently resolve to the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{_place(key_node.start_mark)}: a key must be text or a number")
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ConfigError(f"{_place(key_node.start_mark)}: key {key!r} twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, what: str = "config") -> Any:
    """What a YAML file holds; `what` is what an error calls it.

    Raises:
        ConfigError: it cannot be read, is no text, or not valid YAML; the message names file and line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes: is it YAML?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {what} {path}: {_reason(error)}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8, and so no YAML") from None
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        raise ConfigError(f"{path} holds control characters: it is no text, and so no YAML")
    try:
        loader = _UniqueKeyLoader(text)
        loader.name = str(path)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_explain(error, path, text)) from None
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # e.g. a date that is none
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}") from None


def kind_of(value: Any) -> str:
    """What a value is, in words of YAML."""
    return next((words for kind, words in WORDS.items() if type(value) is kind), f"the number {value!r}")


def written(value: Any, limit: int = 100) -> str:
    """A value as YAML may write it, cut where it is long."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _reason(error: OSError) -> str:
    return "it is a folder" if isinstance(error, IsADirectoryError) else str(error.strerror)


def _place(mark: yaml.Mark) -> str:
    return f"{mark.name}:{mark.line + 1}"


def _explain(error: yaml.MarkedYAMLError, path: Path, text: str) -> str:
    """One line; of the two places that the parser names, the one where it could not go on."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"{where}: not valid YAML: a tab; YAML indents with spaces"
    if (error.problem or "").startswith("could not determine a constructor for the tag"):
        return f"{where}: not valid YAML for a config: a tag (!); only text, numbers, lists and mappings"
    return f"{where}: not valid YAML: {error.problem or error.context}"
