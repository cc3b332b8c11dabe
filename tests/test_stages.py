"""The table of stages agrees with what the stages declare, what the config gives them, and what the rules spell."""

import importlib
import inspect
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pargo.code import ROOT, import_closure
from pargo.config.base import Settings, canonical_json
from pargo.config.experiment import Config, parse_config
from pargo.config.yaml_file import read_yaml
from pargo.errors import PargoError, UsageError
from pargo.graph import stage_settings
from pargo.graph.groups import RULES
from pargo.stages import STAGES, Input, Plugin, Stage, field

EVERY = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
TYPES = {"one": {Path}, "named": {Mapping[str, Path]}, "several": {Iterable[Path], Sequence[Path]}}


def declared(function: str) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """Parameters of `module:function`, and their types."""
    module, _, name = function.partition(":")
    found = getattr(importlib.import_module(module), name or "run")
    return dict(inspect.signature(found).parameters), typing.get_type_hints(found)


def check_input(of: Input, parameter: inspect.Parameter, kind: Any) -> None:
    """An input has the type of its kind; None where it is optional, or a default to the same effect."""
    options = set(typing.get_args(kind)) if isinstance(kind, types.UnionType) else {kind}
    assert (options - {type(None)}) <= TYPES[of.kind], (of, kind)
    if of.kind == "one":
        assert of.optional == (type(None) in options), (of, kind)
    if parameter.default is not inspect.Parameter.empty:
        assert of.optional, f"{of.name} may be left out of `run`, but not of the command"


@EVERY
def test_inputs_are_the_arguments_of_run(stage: Stage) -> None:
    parameters, hints = declared(stage.module)
    expected = ["settings", *(of.name for of in stage.inputs), "output"]
    expected += ["run_directory"] if stage.keeps else []
    expected += [stage.shards.argument] if stage.shards else []
    others = set(parameters) - set(expected)
    assert set(expected) <= set(parameters)
    assert all(parameters[name].default is not inspect.Parameter.empty for name in others), others
    assert not others & {"run_directory"}, "`run` keeps something"
    for of in stage.inputs:
        check_input(of, parameters[of.name], hints[of.name])
    assert hints["output"] is Path
    if stage.keeps:
        assert Path in {hints["run_directory"], *typing.get_args(hints["run_directory"])}


@EVERY
def test_a_part_takes_what_run_takes(stage: Stage) -> None:
    if stage.shards is None:
        return
    parameters, hints = declared(stage.shards.function)
    assert set(parameters) == {"settings", *(of.name for of in stage.inputs), "shard", "run_directory"}
    whole = declared(stage.module)[1]
    assert {name: hints[name] for name in parameters if name != "shard"} == {
        name: whole[name] for name in parameters if name != "shard"
    }
    assert hints["shard"] is int
    assert whole[stage.shards.argument] == Sequence[Path]


def test_a_part_leaves_the_file_that_is_put_together() -> None:
    from pargo.benchmarks.answering.evaluate import ANSWERS

    shards = STAGES["evaluate"].shards
    assert shards is not None
    assert shards.file == ANSWERS


def experiment(name: str) -> Config:
    """A config of the project; the paper's with a judge, so that every stage has a job."""
    data = read_yaml(ROOT / f"config/{name}.yaml")
    if name == "paper":
        data["benchmarks"]["mmvet"]["judge"] = {"base_url": "https://host/v1", "model": "m"}
    return parse_config(data)


@pytest.fixture(scope="module", params=["micro", "paper"])
def config(request: pytest.FixtureRequest) -> Config:
    return experiment(request.param)


def wildcards(config: Config, names: Sequence[str]) -> list[dict[str, Any]]:
    """All that the rules may ask for; a seed and a split are enough."""
    choices = {
        "source": sorted(config.used_sources),
        "dataset": sorted({name for arm in config.arms.values() for name in arm.pretrain.mixture}),
        "arm": list(config.arms),
        "benchmark": list(config.benchmarks),
        "seed": config.seeds[:1],
        "split": ["train"],
    }
    found: list[dict[str, Any]] = [{}]
    for name in names:
        found = [one | {name: value} for one in found for value in choices[name]]
    return found


@EVERY
def test_settings_are_those_that_run_declares(stage: Stage, config: Config) -> None:
    """The same fields, and types that take every value that a config gives."""
    function = getattr(stage_settings, stage.name)
    declares = declared(stage.module)[1]["settings"]
    assert issubclass(declares, Settings)
    for chosen in wildcards(config, list(inspect.signature(function).parameters)[1:]):
        if stage.name == "grade" and not getattr(config.benchmarks[chosen["benchmark"]], "judge", None):
            continue  # no such job
        if stage.name == "attention" and config.arms[chosen["arm"]].projector.name != "pargo":
            continue  # neither
        given = function(config, **chosen)
        text = canonical_json(given)
        assert set(given) == set(declares.model_fields)
        assert canonical_json(declares.model_validate_json(text)) == text


@EVERY
def test_plugins_are_the_same_of_objects_and_of_json(stage: Stage, config: Config) -> None:
    """The rule has the settings as objects; the command of a heavy stage reads them from JSON."""
    function, modules = getattr(stage_settings, stage.name), set()
    for chosen in wildcards(config, list(inspect.signature(function).parameters)[1:]):
        given = function(config, **chosen)
        modules.add(stage.modules(given))
        if stage.heavy:
            assert stage.modules(json.loads(canonical_json(given))) == stage.modules(given)
        if stage.shards:
            assert field(given, stage.shards.number) >= 1
    for names in modules:
        assert stage.module in names
        assert import_closure(*names)  # they are there


def test_the_names_of_stages_are_those_of_rules_and_groups() -> None:
    rules = {
        name: text
        for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
        for name, text in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    }
    assert set(rules) == set(STAGES) == {rule for rules in RULES.values() for rule in rules}
    for name, text in rules.items():
        assert set(re.findall(r"(?:reads|settings|options|command)\(\s*\"(\w+)\"", text)) == {name}
        assert ("executor=EXECUTOR" in text) == STAGES[name].heavy


def test_commands_are_named_once() -> None:
    assert len({stage.command for stage in STAGES.values()}) == len(STAGES)
    for stage in STAGES.values():
        names = [of.name for of in stage.inputs]
        assert len(set(names)) == len(names)
        assert not set(names) & {"settings", "output", "run_directory", "executor", "shard", "help"}


@pytest.mark.parametrize(
    ("settings", "path", "expected"),
    [
        ({"a": {"kind": "x"}}, "a.kind", "x"),
        ({"a": "x"}, "a.kind", "x"),
        ({"a": {"b": {"kind": "x", "c": 1}}}, "a.b.kind", "x"),
        ({"a": {"b": 2}}, "a.b", 2),
        ({"a": 1}, "a", 1),
    ],
)
def test_field(settings: dict[str, Any], path: str, expected: Any) -> None:
    assert field(settings, path) == expected


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        ({}, "a.b", "a: expected a mapping with b"),
        ({"a": {}}, "a.b", "a: expected a mapping with b"),
        ({"a": "x"}, "a.b", "a: expected a mapping with b"),
        ({"a": None}, "a.b.kind", "a: expected a mapping with b"),
        ({"a": {"b": {}}}, "a.b.kind", "a.b: expected a mapping with kind"),
        ({"a": {"b": 3}}, "a.b.kind", "a.b: expected a mapping with kind"),
        ({}, "a", "a: required but not given"),
    ],
)
def test_a_field_that_is_not_there(settings: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        field(settings, path)
    assert str(error.value) == message


def test_a_plugin_that_there_is_not() -> None:
    with pytest.raises(PargoError, match="unknown benchmark 'nosuch'"):
        Plugin("pargo.benchmarks:answer_modules", ("benchmark.kind",)).modules({"benchmark": {"kind": "nosuch"}})


@pytest.mark.parametrize(
    ("stage", "settings", "expected"),
    [
        ("filter", {"quality": {}}, []),
        ("filter", {"quality": {"scorer": {"directory": "clip", "min_similarity": 0.2}}}, ["clip"]),
        ("caption", {"captions": {"engine": "annotations"}}, []),
        ("caption", {"captions": {"engine": {"kind": "openai", "base_url": "http://a/v1", "model": "m"}}}, []),
        ("caption", {"captions": {"engine": {"kind": "transformers", "directory": "models/a"}}}, ["models/a"]),
    ],
)
def test_models_that_a_config_names_by_folder_are_read(stage: str, settings: Any, expected: list[str]) -> None:
    assert [path.as_posix() for path in STAGES[stage].local_files(settings)] == expected


@pytest.mark.parametrize(("stage", "settings"), [("filter", {"quality": 1}), ("caption", {"captions": {"engine": 1}})])
def test_settings_that_name_no_model_well_are_refused(stage: str, settings: Any) -> None:
    with pytest.raises(UsageError, match=r"^(quality|captions): .*expected"):
        STAGES[stage].local_files(settings)
