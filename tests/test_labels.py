"""Names of datasets and sources are labels: another name is no change, and what is read as what still is one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.code import code_hash
from pargo.layout import manifest_path
from pargo.made import Spec, reason_to_remake
from pargo.manifest import publish

TOWERS = {"vision": {"source": "tower"}, "language": {"source": "llm"}}
TRAINING = {
    "train": {"mixture": {"b": 0.7, "c": 0.3}, "rank": 4},
    "sources": {"b": "scenes", "c": "photos"},
    "splits": {"b": "train", "c": "test"},
    "shuffle_turns": ["c"],
} | TOWERS
SOURCES = ("sources/llm", "sources/scenes", "sources/photos", "features/scenes-train", "features/photos-test")
FINETUNE = (*SOURCES, "models/a/seed-0/pretrain")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(config: str, **contents: str) -> None:
    """Inputs of a config: place -> content."""
    for place, text in contents.items():
        path = manifest_path(Path("artifacts", config, place))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"files": {text: {}}}))


def made(rule: str, settings: dict[str, Any], places: tuple[str, ...]) -> Path:
    """An artifact of config `one`, whose inputs hold what they are called there."""
    write("one", **{place: place for place in places})
    output = Path("artifacts/one/x/y")
    with publish(output, settings=settings, inputs=[Path("artifacts/one", place) for place in places]) as folder:
        (folder / "file").write_text("")
    return output


def why(output: Path, rule: str, settings: dict[str, Any], places: dict[str, str]) -> str:
    """Why the artifact is not what config `two` would make, whose inputs are at these places with these contents."""
    write("two", **places)
    paths = tuple(Path("artifacts/two", place) for place in places)
    return reason_to_remake(output, Spec(rule, settings, code_hash([]), paths))


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Names in settings, as keys or values, replaced."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def test_datasets_and_sources_of_a_training_with_other_names() -> None:
    output = made("finetune", TRAINING, FINETUNE)
    names = {"b": "captions", "c": "dialogues", "scenes": "pictures", "photos": "albums"}
    places = {place.replace("scenes", "pictures").replace("photos", "albums"): place for place in FINETUNE}
    assert why(output, "finetune", renamed(TRAINING, names), places) == ""
    # what only one is called, too: the language model's folder is named by the settings
    assert why(output, "finetune", renamed(TRAINING, names | {"b": "z"}), places) != "", "another order of the mixture"


@given(st.permutations(["pictures", "albums"]), st.permutations(["scenes", "photos"]))
def test_what_is_read_as_what_is_no_name(sources: list[str], contents: list[str]) -> None:
    output = made("finetune", TRAINING, FINETUNE)
    settings = copy.deepcopy(TRAINING) | {"sources": dict(zip("bc", sources, strict=True))}
    read = dict(zip(sources, contents, strict=True))
    splits = dict(zip(sources, ("train", "test"), strict=True))
    places = {f"sources/{name}": f"sources/{content}" for name, content in read.items()}
    places |= {
        f"features/{name}-{splits[name]}": f"features/{content}-{'train' if content == 'scenes' else 'test'}"
        for name, content in read.items()
    }
    places |= {"sources/llm": "sources/llm", "models/a/seed-0/pretrain": "models/a/seed-0/pretrain"}
    same = contents == ["scenes", "photos"]
    assert (why(output, "finetune", settings, places) == "") is same


def test_weights_that_give_the_same_shares() -> None:
    output = made("finetune", TRAINING, FINETUNE)
    other = copy.deepcopy(TRAINING)
    other["train"]["mixture"] = {"b": 7, "c": 3}
    assert why(output, "finetune", other, {place: place for place in FINETUNE}) == ""


WARM_UP = {
    "language": {"source": "llm", "warm_up": {"mixture": {"b": 0.7, "c": 0.3}, "num_samples": 8}},
    "sources": {"b": "scenes", "c": "photos"},
    "splits": {"b": "train", "c": "test"},
}
WARMED = ("sources/llm", "sources/scenes", "sources/photos")


def test_datasets_and_sources_of_a_warm_up_with_other_names() -> None:
    output = made("warm_up", WARM_UP, WARMED)
    names = {"b": "captions", "c": "dialogues", "scenes": "pictures", "photos": "albums"}
    places = {place.replace("scenes", "pictures").replace("photos", "albums"): place for place in WARMED}
    assert why(output, "warm_up", renamed(WARM_UP, names), places) == ""
    assert why(output, "warm_up", renamed(WARM_UP, {"b": "z"}), {place: place for place in WARMED}) != ""
    exchanged = {"sources/scenes": "sources/photos", "sources/photos": "sources/scenes", "sources/llm": "sources/llm"}
    assert why(output, "warm_up", WARM_UP, exchanged) != ""


def test_names_of_a_warm_ups_datasets_do_not_count_in_a_training_after_it() -> None:
    settings = TRAINING | {"language": WARM_UP["language"]}
    places = tuple(place.replace("sources/llm", "language/llm") for place in FINETUNE)
    output = made("finetune", settings, places)
    same = {place: place for place in places}
    warm_up = {"mixture": {"x": 7, "y": 3}, "num_samples": 8}
    assert why(output, "finetune", settings | {"language": {"source": "llm", "warm_up": warm_up}}, same) == ""
    other = {**warm_up, "mixture": {"x": 3, "y": 7}}
    assert why(output, "finetune", settings | {"language": {"source": "llm", "warm_up": other}}, same) != ""
    assert why(output, "finetune", settings, same | {"language/llm": "another"}) != ""


def test_messages_have_the_names() -> None:
    output = made("finetune", TRAINING, FINETUNE)
    other = copy.deepcopy(TRAINING)
    other["train"]["mixture"]["b"] = 0.6
    assert why(output, "finetune", other, {place: place for place in FINETUNE}) == (
        "made with other settings: train.mixture.b: 0.7, now 0.6"
    )


def test_a_source_with_another_name() -> None:
    settings = {"id": "scenes", "source": {"kind": "scenes", "seed": 0}, "pin": None, "downloads": {}}
    output = made("download", settings, ())
    assert why(output, "download", settings | {"id": "pictures"}, {}) == ""
    assert "seed" in why(output, "download", settings | {"source": {"kind": "scenes", "seed": 1}}, {})


def test_the_benchmark_of_an_evaluation_from_a_source_with_another_name() -> None:
    places = ("sources/llm", "sources/mme", "features/mme-test", "models/a/seed-0/finetune")
    settings = TOWERS | {"benchmark": {"kind": "mme", "source": "mme"}}
    output = made("evaluate", settings, places)
    other = TOWERS | {"benchmark": {"kind": "mme", "source": "official"}}
    named = {place.replace("mme", "official"): place for place in places}
    assert why(output, "evaluate", other, named) == ""
    named["sources/official"] = "sources/other images"
    assert why(output, "evaluate", other, named).startswith("an input changed: ")


def test_features_and_captions_of_a_source_with_another_name() -> None:
    vision = {"vision": {"source": "tower"}, "split": "train"}
    output = made("features", vision, ("sources/scenes", "sources/tower"))
    assert why(output, "features", vision, {"sources/pics": "sources/scenes", "sources/tower": "sources/tower"}) == ""
    swapped = {"sources/pics": "sources/tower", "sources/tower": "sources/scenes"}
    assert why(output, "features", vision, swapped) != ""


def test_a_file_of_the_report_shows_names() -> None:
    settings = {"benchmark": {"kind": "mme", "source": "mme"}}
    output = made("score", settings, ("predictions/a/seed-0/mme",))
    other = {"benchmark": {"kind": "mme", "source": "official"}}
    assert "source" in why(output, "score", other, {"predictions/a/seed-0/mme": "predictions/a/seed-0/mme"})
