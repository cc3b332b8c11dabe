"""Every registered benchmark and source is whole; a faulty one is one clear error, found without importing it."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import pargo.benchmarks
import pargo.sources.makers
from pargo.benchmarks import parts
from pargo.benchmarks.answering import prompts
from pargo.benchmarks.scores.rule import ScorePart
from pargo.benchmarks.scores.score import ScoreSettings
from pargo.config.benchmarks import BENCHMARKS, PARTS, check_parts, part
from pargo.config.parts import check_implementation, defined_in
from pargo.config.plugins import Kind
from pargo.config.sources import SOURCES, check_maker
from pargo.config.sources.wheel import importer, importers
from pargo.errors import PargoError
from pargo.sources.download import DownloadSettings
from tests.helpers.sorts import Sort

PROTOCOLS = {
    "answers": parts.AnswersPart,
    "dataset": parts.DatasetPart,
    "prompt": prompts.PromptPart,
    "results": parts.ResultsPart,
    "score": ScorePart,
}
NO_BENCHMARKS = {"answering", "formats", "harnesses", "scores"}  # packages beside the benchmarks'


# All that are registered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BENCHMARKS.names)
def test_every_benchmark_has_its_parts(kind: str) -> None:
    check_parts(kind)
    settings = BENCHMARKS.settings(kind)
    assert ("rank" in settings.needs.get("answers", ())) == any(
        name.startswith("ranking") for name in importlib.import_module(part(kind, "score")).PARSERS
    )
    assert ("add_grades" in settings.needs.get("results", ())) == ("judge" in settings.model_fields)
    assert not settings.whole or "check_complete" in settings.needs["results"]


@pytest.mark.parametrize("kind", SOURCES.names)
def test_every_source_has_a_maker(kind: str) -> None:
    check_maker(kind)


def test_nothing_is_there_without_settings() -> None:
    packages = {module.name for module in pkgutil.iter_modules(pargo.benchmarks.__path__) if module.ispkg}
    used = {BENCHMARKS.settings(kind).package or kind for kind in BENCHMARKS.names}
    assert packages - NO_BENCHMARKS == used
    assert {module.name for module in pkgutil.iter_modules(pargo.sources.makers.__path__)} == set(SOURCES.names)


def test_titles_are_told_apart() -> None:
    titles = [BENCHMARKS.settings(kind).title for kind in BENCHMARKS.names]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", importers())
def test_every_importer_is_whole(name: str) -> None:
    assert importer(name) == f"pargo.sources.wheels.{name}"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_a_config_checks_is_what_the_protocol_says(name: str) -> None:
    protocol = PROTOCOLS[name]
    members = {member for member in vars(protocol) if not member.startswith("_")} | set(protocol.__annotations__)
    assert members == set(PARTS[name])


# Faults ---------------------------------------------------------------------------------------------------------------


CLASS = "from typing import Literal\nfrom tests.helpers.sorts import Sort\n"


def one(name: str, tag: str) -> str:
    return f"class {name}(Sort):\n    kind: Literal[{tag!r}]\n    numbers: tuple[int, ...] = ()\n"


@pytest.fixture
def make_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package of plug-ins from texts by file name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(**files: str) -> Kind[Sort]:
        package = f"sorts_{tmp_path.name.replace('-', '_')}"
        made.append(package)
        for name, text in {"__init__": "", **files}.items():
            path = tmp_path / package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(CLASS + text)
        importlib.invalidate_caches()
        return Kind(package, Sort, tag="kind", word="sort")

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] in made]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (one("A", "b"), r"a: A\.kind is 'b'; expected 'a', the name of the file"),
        (
            one("A", "a") + one("B", "a"),
            r"a: expected one subclass of Sort with a field `kind: Literal\['a'\]`, found 2",
        ),
        ("", r"a: expected one subclass of Sort .*, found 0"),
        ("class A(Sort):\n    pass\n", r"a: expected one subclass of Sort .*, found 0"),
    ],
)
def test_a_file_whose_class_is_another(make_kind: Any, text: str, message: str) -> None:
    kind = make_kind(a=text, b=one("B", "b"))
    with pytest.raises(PargoError, match=message):
        kind.settings("a")
    assert kind.settings("b").__name__ == "B"  # which is whole


def test_a_name_that_is_not_there(make_kind: Any) -> None:
    kind = make_kind(a=one("A", "a"), b=one("B", "b"), _shared="")
    with pytest.raises(PargoError, match=r"^unknown sort 'c'; choices: a, b$"):
        kind.module("c")


def test_implementations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "raise RuntimeError('imported')\nimport os as b\nfrom os import path\nc: int = 1\nd, (e, *f) = 1, (2, 3)\n"
    (tmp_path / "plugin_with_parts.py").write_text(text + "def g(): ...\nclass H: ...\nif b:\n    i = 1\n")
    assert defined_in("plugin_with_parts") == {"b", "path", "c", "d", "e", "f", "g", "H"}
    check_implementation("sort 'x'", {"plugin_with_parts": ("g", "c")})
    with pytest.raises(PargoError, match=r"^sort 'x': plugin_with_parts does not define `i`, `j`$"):
        check_implementation("sort 'x'", {"plugin_with_parts": ("g", "i", "j")})
    for missing in ("no_such_plugin", "pargo.no.such.plugin"):
        with pytest.raises(PargoError, match=rf"^sort 'x' has settings, but no module {missing}; expected .* `make`$"):
            check_implementation("sort 'x'", {missing: ("make",)})


# In a stage's settings ------------------------------------------------------------------------------------------------

SCORE = '{"benchmark": %s, "bootstrap_samples": 5}'


@pytest.mark.parametrize(
    ("benchmark", "place", "message"),
    [
        ('{"kind": "mmme", "source": "x"}', ("benchmark",), "expected tags: 'details', 'easy_vqa', 'mini_mme'"),
        ('{"kind": "mme"}', ("benchmark", "source"), "Field required"),
        ('{"kind": "mme", "source": "x", "judge": null}', ("benchmark", "judge"), "Extra inputs"),
        ('{"kind": "mme", "source": "x", "prompt": "y"}', ("benchmark", "prompt"), "Input should be 'official'"),
        ('{"source": "x"}', ("benchmark",), "Unable to extract tag using discriminator 'kind'"),
        ("3", ("benchmark",), "Input should be an object"),
    ],
)
def test_an_error_names_the_field_of_the_plugin(benchmark: str, place: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ScoreSettings.model_validate_json(SCORE % benchmark)
    found = {error["loc"]: error["msg"] for error in caught.value.errors()}
    assert message in found[place]


def test_lists_of_json_are_tuples_and_come_out_again() -> None:
    text = '{"id":"x","source":{"kind":"official","benchmark":"pope","files":["a","b"]}}'
    settings = DownloadSettings.model_validate_json(text)
    assert settings.source.inputs == ("a", "b")
    assert DownloadSettings.model_validate_json(settings.model_dump_json()) == settings
    with pytest.raises(ValidationError, match="valid tuple"):  # strict, as YAML's lists are made tuples before
        DownloadSettings.model_validate(
            {"id": "x", "source": {"kind": "official", "benchmark": "pope", "files": ["a"]}}
        )
