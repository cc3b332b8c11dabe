"""Writes config/README.md from the config classes, so that the field reference cannot drift (a test compares).

Run `python -m pargo.config.docs` after changing a field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pargo.config.experiment import Config, Experiment

HEAD = """# Configs

One file is one reproduction. `base` (required, in the file only) is an [Experiment](#experiment), `arms` are named
differences from it: an arm lists only what it changes (a `projector` with another `name` replaces the base's projector
as a whole, and so does a `mixture`). Where the file has a table `projectors`, one word chooses one of them:
`arms: x: {{projector: resampler}}`.

Check a file with `.venv/bin/pargo config check FILE`; a wrong one is refused before anything runs.

| file | what it runs |
|---|---|
{files}

Fields below are generated from `pargo/config/` by `python -m pargo.config.docs`; do not edit them here.
How many cores are used is no part of a config (`--cores`, `workflow/profiles/`); the threads of one job are, because
sums are split by thread.
"""


def render(directory: Path) -> str:
    """The text of config/README.md for the configs in a directory."""
    files = "\n".join(f"| `{path.name}` | {_first_comment(path)} |" for path in sorted(directory.glob("*.yaml")))
    parts = [HEAD.format(files=files)]
    definitions: dict[str, Any] = {}
    for model in (Config, Experiment):
        schema = model.model_json_schema()
        definitions |= schema.pop("$defs")
        definitions[model.__name__] = schema
    order = ["Config", "Experiment", *sorted(set(definitions) - {"Config", "Experiment"})]
    parts += [_section(name, definitions[name]) for name in order]
    return "\n".join(parts)


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def _section(name: str, schema: dict[str, Any]) -> str:
    lines = [f"## {name}", "", " ".join(schema.get("description", "").split()), ""]
    lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field, node in schema.get("properties", {}).items():
        default = "required" if field in schema.get("required", ()) else f"`{_text(node.get('default'))}`"
        lines.append(f"| `{field}` | {_type(node)} | {default} | {node.get('description', '')} |")
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    return "(nested defaults)" if isinstance(value, dict) else str(value)


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    for key in ("anyOf", "oneOf"):
        if key in node:
            return " or ".join(_type(option) for option in node[key])
    if node.get("type") == "array":
        items = node.get("prefixItems") or [node.get("items", {})]
        return "list of " + ", ".join(dict.fromkeys(_type(item) for item in items))
    if node.get("type") == "object":
        # keys with a pattern stand elsewhere in a schema than any keys
        values = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
        return "mapping of name to " + (_type(values) if isinstance(values, dict) else "value")
    return str(node.get("type", "value"))


if __name__ == "__main__":
    folder = Path(__file__).resolve().parents[2] / "config"
    (folder / "README.md").write_text(render(folder), encoding="utf-8")
