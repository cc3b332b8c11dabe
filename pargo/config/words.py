"""What pydantic finds wrong, in one way for all who validate: field, value and what would be right.

In words of YAML and JSON (a list, a mapping) in place of Python's (tuple, dictionary).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pargo.config.schema import field_names
from pargo.config.yaml_file import written

if TYPE_CHECKING:
    from pydantic import ValidationError

EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}
NAME = "^[a-z][a-z0-9_]*$"


def expected(problem: Any) -> str:
    """What would be right, of one of pydantic's errors, e.g. `expected a list`."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in EXPECTED:
        return f"expected {EXPECTED[kind]}"
    if kind in BOUNDS:
        words, key = BOUNDS[kind]
        return f"expected {words} {context[key]}"
    if kind in ("too_short", "too_long"):
        word, key = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        return f"expected {word} {_count(context[key])}, got {context['actual_length'] or 'none'}"
    if kind in ("string_too_short", "string_too_long"):
        return "expected text that is not empty" if kind == "string_too_short" else "expected a shorter text"
    if kind == "string_pattern_mismatch":
        if context["pattern"] == NAME:
            return "expected a name: lower-case letters, digits and _, a letter first"
        return f"expected text of the form {context['pattern']}"
    if kind in ("literal_error", "enum"):
        return f"choices: {context['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "missing":
        return "required but not given"
    if kind == "value_error":
        return str(context["error"])
    if kind == "json_invalid":
        return f"not valid JSON: {context['error']}"
    return problem["msg"][0].lower() + problem["msg"][1:]


def explain(field: str, problem: Any, known: Iterable[str] = (), *, in_yaml: bool = False) -> str:
    """One of pydantic's errors as one sentence: field, value, and what would be right.

    Args:
        field: where it is, as the reader knows it.
        known: of an unknown key, those that there are.
        in_yaml: the value is written in YAML, which has numbers of its own.
    """
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{field}: unknown key{hint}" + (f" (choices: {', '.join(known)})" if known else "")
    if kind == "union_tag_invalid":
        choices, tag = context["expected_tags"].replace("'", ""), tag_of(value)
        given = value.get(tag, context["tag"]) if isinstance(value, dict) else context["tag"]
        return f"{field}.{tag}: {written(given)} is not valid; choices: {choices}"
    if kind == "union_tag_not_found":
        return f"{field}.{context['discriminator'].strip(chr(39))}: required but not given"
    if kind in ("missing", "value_error", "json_invalid"):
        return f"{field}: {expected(problem)}" if field else expected(problem)
    hint = (
        "; YAML reads 1e-3 as text: write 1.0e-3" if in_yaml and kind == "float_type" and isinstance(value, str) else ""
    )
    sentence = f"{written(value)} is not valid: {expected(problem)}{hint}"
    return f"{field}: {sentence}" if field else sentence


def explain_all(
    error: ValidationError,
    schema: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    below: str = "",
    in_yaml: bool = False,
) -> str:
    """All that pydantic found wrong, each thing once: sentences with `; ` between them.

    Args:
        schema: JSON schema of what was validated; with it an unknown key has its choices.
        data: what was validated; with it a field is named as it is written there.
        below: what the place of each field begins with.
    """
    sentences = []
    for problem in error.errors():
        path = ([below] if below else []) + place(problem, data)
        known = field_names(schema, problem["loc"][:-1]) if schema and problem["type"] == "extra_forbidden" else ()
        sentences.append(explain(".".join(path), problem, known, in_yaml=in_yaml))
    return "; ".join(dict.fromkeys(sentences))


def tag_of(value: Any) -> str:
    """The key that chooses between classes: `kind`, or `name` of a projector."""
    return "kind" if isinstance(value, dict) and "kind" in value else "name"


def place(problem: Any, data: Any) -> list[str]:
    """Path to a value as written: pydantic also names the chosen class of a union, and `[key]`."""
    parts = []
    for part in problem["loc"]:
        if isinstance(data, dict) and part not in data and data.get(tag_of(data)) == part:
            continue
        if part != "[key]":
            parts.append(str(part))
        data = data.get(part) if isinstance(data, dict) else None
    return parts


def _count(number: int) -> str:
    return f"{number} item{'s' if number != 1 else ''}"
