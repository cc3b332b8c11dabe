"""Which fields a place of a config may have, by the JSON schema of the whole: the choices where a key is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def field_names(schema: Mapping[str, Any], location: Iterable[Any]) -> list[str]:
    """Names of the fields that a mapping at this place may have, by the JSON schema of the whole."""
    node = schema
    for part in location:
        node = _child(_resolve(node, schema), str(part), schema)
    return sorted(_resolve(node, schema).get("properties", {}))


def _child(node: Mapping[str, Any], part: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a field, of a mapping's values, or of the class that a tag chooses; empty when there is none."""
    if part in node.get("properties", {}):
        return node["properties"][part]
    for values in ("additionalProperties", "patternProperties"):
        if isinstance(node.get(values), dict):
            return node[values] if values == "additionalProperties" else next(iter(node[values].values()))
    if part in node.get("discriminator", {}).get("mapping", {}):
        return {"$ref": node["discriminator"]["mapping"][part]}
    options = [_resolve(option, schema) for option in node.get("anyOf", [])]
    return next((child for option in options if (child := _child(option, part, schema))), {})


def _resolve(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, and choose the only class of an optional value."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    options = [option for option in node.get("anyOf", []) if option.get("type") != "null"]
    return _resolve(options[0], schema) if len(options) == 1 else node
