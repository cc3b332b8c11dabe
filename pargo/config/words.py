"""What is wrong with a value, in words of YAML (a list, a mapping) in place of pydantic's (tuple, dictionary)."""

from __future__ import annotations

from typing import Any

from pargo.config.yaml_file import written

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
    return problem["msg"][0].lower() + problem["msg"][1:]


def explain(field: str, problem: Any) -> str:
    """One of pydantic's errors as one sentence: field, value, and what would be right."""
    if problem["type"] == "missing":
        return f"{field}: {expected(problem)}"
    if problem["type"] == "value_error":
        return f"{field}: {expected(problem)}" if field else expected(problem)
    return f"{field}: {written(problem['input'])} is not valid: {expected(problem)}"


def _count(number: int) -> str:
    return f"{number} item{'s' if number != 1 else ''}"
