"""The table of settings without effect: each is a field that there is, and names a test that there is."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from pargo.code import ROOT
from pargo.config.engines.openai import OpenAIEngine
from pargo.config.experiment import Config, parse_config
from pargo.config.yaml_file import read_yaml
from pargo.graph.jobs import jobs_of
from pargo.no_effect import NO_EFFECT, is_free
from pargo.stages import field

ROWS = [(rule, path) for rule, fields in NO_EFFECT.items() for path in fields]
SETTINGS: dict[str, Any] = {
    "train": {"lora": None, "num_workers": 0},
    "generation": {"precision": None},
    "language": {"precision": "fp32"},
}


def functions_of(file: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node.name


@pytest.mark.parametrize(("rule", "path"), ROWS)
def test_each_names_a_field_and_a_test(rule: str, path: str) -> None:
    file, _, name = NO_EFFECT[rule][path].test.partition("::")
    assert name in functions_of(file)
    job = next(job for job in jobs_of(config_with_servers()) if job.rule == rule)
    field(json.loads(job.settings), path)


@cache
def config_with_servers() -> Config:
    """Micro, with captions and grades of served models."""
    data = read_yaml(ROOT / "config/micro.yaml")
    served = {"base_url": "http://127.0.0.1/v1", "model": "vlm"}
    data["captions"]["engine"] = {"kind": "openai"} | served
    data["sources"]["mmvet"] = {"kind": "official", "benchmark": "mmvet", "files": ["mm-vet.zip"]}
    data["benchmarks"]["mmvet"] = {"kind": "mmvet", "source": "mmvet", "judge": served}
    return parse_config(data)


def test_all_that_an_engine_calls_how_is_without_effect() -> None:
    """And nothing else: what counts for answers that are kept counts for the artifact."""
    start = "captions.engine."
    for rule in ("caption", "report_captions"):
        named = {path.removeprefix(start) for path in NO_EFFECT[rule] if path.startswith(start)}
        assert named == OpenAIEngine.how


@pytest.mark.parametrize(
    ("rule", "path", "before", "now", "free", "free_if_strict"),
    [
        ("pretrain", "train.num_workers", 0, 4, True, True),
        ("pretrain", "train.learning_rate", 0.1, 0.2, False, False),
        ("pretrain", "train.packing", True, False, True, False),
        ("finetune", "train.on_bad_sample", "stop", "skip", True, True),
        ("finetune", "train.on_bad_sample", "skip", "stop", False, False),
        ("caption", "captions.max_failures", 0.01, 0.5, True, True),
        ("caption", "captions.max_failures", 0.5, 0.01, False, False),
        ("caption", "captions.engine.timeout", 60.0, 9.0, True, True),
        ("caption", "captions.engine.model", "a", "b", False, False),
        ("grade", "judge.base_url", "http://a/v1", "http://b/v1", True, True),
        ("grade", "judge.max_replies", 5, 9, True, True),
        ("grade", "judge.max_replies", 9, 5, False, False),
        ("grade", "judge.max_tokens", 16, 32, False, False),
        ("evaluate", "generation.batch_size", 1, 8, True, False),
        ("evaluate", "generation.max_new_tokens", 1, 8, False, False),
        ("score", "generation.batch_size", 1, 8, False, False),
    ],
)
def test_which_changes_are_free(rule: str, path: str, before: Any, now: Any, free: bool, free_if_strict: bool) -> None:
    assert is_free(rule, path, before, now, SETTINGS, strict=False) is free
    assert is_free(rule, path, before, now, SETTINGS, strict=True) is free_if_strict


@pytest.mark.parametrize("path", ["train.packing", "train.micro_batch_size"])
def test_with_dropout_it_counts_how_samples_are_put_together(path: str) -> None:
    settings = SETTINGS | {"train": {"lora": {"dropout": 0.1}}}
    assert not is_free("finetune", path, 1, 2, settings, strict=False)


@pytest.mark.parametrize("generation", [{"precision": "bf16"}, {"precision": None}])
def test_in_bf16_answers_depend_on_the_batch(generation: dict[str, Any]) -> None:
    settings = {"generation": generation, "language": {"precision": "bf16"}}
    assert not is_free("evaluate", "generation.batch_size", 1, 8, settings, strict=False)
