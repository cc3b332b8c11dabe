"""Before anything runs: a benchmark's source has what it asks about, and none of its images is trained on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pargo.config.experiment import Config, parse_config
from pargo.config.sources import SOURCES
from pargo.data.annotations import facts_of
from pargo.data.shards import Shards
from pargo.errors import ConfigError
from pargo.sources.importers.easy_vqa import make_record
from pargo.sources.mini_mme import PAIRS, choose, write_mini_mme
from pargo.sources.needed import check_sources
from pargo.sources.scene_source import write_scenes
from pargo.sources.scenes import draw_scene

MICRO = yaml.safe_load((Path(__file__).parents[2] / "config" / "micro.yaml").read_text())
SCENES = {"kind": "scenes", "num_images": 8, "image_size": 32, "seed": 2}
DETAILS = {"kind": "details", "source": "held_out", "split": "train"}


def parsed(source: dict[str, Any], benchmark: dict[str, Any] = DETAILS, **others: Any) -> Config:
    """Micro with a benchmark of another source, `held_out`."""
    data = copy.deepcopy(MICRO)
    data["sources"]["held_out"] = source
    data["benchmarks"]["details"] = benchmark
    for name, value in others.items():
        data[name] |= value
    return parse_config(data, "x.yaml")


def refused(*given: Any, **others: Any) -> str:
    with pytest.raises(ConfigError) as error:
        parsed(*given, **others)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix("x.yaml: ")


def test_details_of_scenes_that_no_arm_is_trained_on() -> None:
    assert parsed(SCENES).benchmarks["details"].split == "train"


FILES = {
    "mini_mme": {"kind": "mini_mme", "images_per_task": 2, "seed": 2},
    "conversations": {"kind": "conversations", "annotations": ["a.json"], "images": "images"},
    "image_shards": {"kind": "image_shards", "shards": {"web": "tars"}},
    "official": {"kind": "official", "benchmark": "pope", "files": ["x"]},
    "random_vision": {"kind": "random_vision"},
}


@pytest.mark.parametrize("kind", FILES)
def test_details_need_annotations(kind: str) -> None:
    assert refused(FILES[kind], DETAILS | {"split": "train"}) == (
        f"benchmarks.details.source: 'held_out' is of kind {kind}, whose images have no annotations; details takes "
        "sources of kind scenes or wheel"
    )


@pytest.mark.parametrize(
    ("source", "benchmark", "choices"),
    [
        (SCENES, {"kind": "details", "source": "held_out"}, "train"),  # `test` by default
        (FILES["mini_mme"], {"kind": "easy_vqa", "source": "held_out", "split": "train"}, "test"),
        (FILES["conversations"], {"kind": "easy_vqa", "source": "held_out", "split": "test"}, "train"),
    ],
)
def test_a_split_that_a_kind_of_source_does_not_write(source: dict, benchmark: dict, choices: str) -> None:
    split = "test" if choices == "train" else "train"
    assert refused(source, benchmark) == (
        f"benchmarks.details.split: {split!r} is not there, as 'held_out' is of kind {source['kind']}; "
        f"choices: {choices}"
    )
    wrong = {"leak": {"source": "held_out", "split": split}}
    assert refused(source, benchmark | {"split": choices}, datasets=wrong).startswith("datasets.leak.split: ")


@pytest.mark.parametrize("name", ["projectors", "claims", "cost", "numbers"])
def test_a_table_has_a_name_of_its_own(name: str) -> None:
    data = copy.deepcopy(MICRO)
    data["sources"]["held_out"] = SCENES
    data["benchmarks"][name] = DETAILS
    with pytest.raises(ConfigError, match=f"benchmarks.{name}: the report has another table of this name; give the"):
        parse_config(data)


def test_kinds_say_what_they_write(tmp_path: Path) -> None:
    """Splits and annotations of drawn scenes, and annotations of the one package of images that there is."""
    write_scenes(tmp_path / "scenes", seed=2, num_images=2, image_size=32)
    write_mini_mme(tmp_path / "mini_mme", seed=2, images_per_task=1, image_size=32)
    for kind in ("scenes", "mini_mme"):
        written = tuple(path.name for path in (tmp_path / kind).iterdir())
        assert SOURCES.settings(kind).splits == written
    assert facts_of(Shards(tmp_path / "scenes/train").record("000000"), "here")["count"]
    turns = [("what shape is in the image?", "circle"), ("what color is the shape?", "red")]
    assert facts_of(make_record("a", turns), "here")["color"] == {("red", "circle"): 1}


def test_the_split_of_a_source_that_an_arm_is_trained_on() -> None:
    assert refused(SCENES, DETAILS | {"source": "scenes"}) == (
        "benchmarks.details.split: dataset 'scenes' is split 'train' of 'scenes' too: the benchmark would hold "
        "training images"
    )


@pytest.mark.parametrize("other", [{}, {"num_images": 64}, {"image_size": 64}])
def test_scenes_of_the_seed_that_an_arm_is_trained_on(other: dict) -> None:
    """However many there are, and however large they are drawn."""
    assert refused(SCENES | other | {"seed": 0}) == (
        "benchmarks.details.source: 'held_out' draws scenes of seed 0, as does 'scenes' of dataset 'scenes': the "
        "benchmark would hold training images; give it another seed"
    )


def test_mini_mme_of_the_seed_that_an_arm_is_trained_on() -> None:
    message = refused(FILES["mini_mme"] | {"seed": 0}, {"kind": "mini_mme", "source": "held_out"})
    assert "'held_out' draws scenes of seed 0, as does 'scenes' of dataset 'scenes'" in message


def test_benchmarks_of_two_sources_share_no_images() -> None:
    """One of them may be where settings are chosen, the other where the result is measured."""
    assert refused(SCENES | {"seed": 1}) == (
        "benchmarks.mini_mme.source: 'mini_mme' draws scenes of seed 1, as does 'held_out' of benchmark 'details': the "
        "benchmark would share its images; give it another seed"
    )
    again = {"again": DETAILS | {"source": "another"}}
    assert "as does 'another' of benchmark 'again'" in refused(SCENES, sources={"another": SCENES}, benchmarks=again)


def test_benchmarks_of_one_source_share_its_images() -> None:
    """Of several parsers, say; and a source that no benchmark and no dataset names may draw whatever it will."""
    again = {"again": DETAILS | {"max_images": 4}}
    assert parsed(SCENES, benchmarks=again, sources={"another": SCENES}).sources["another"].draws == "scenes of seed 2"


@pytest.mark.parametrize("name", ["smollm2_135m_instruct", "efficientnet_lite0", "easy_vqa"])
def test_details_of_a_package_need_its_annotations(name: str) -> None:
    """The table of downloads knows, so nothing runs before it is said."""
    data = copy.deepcopy(MICRO)
    data["sources"][name] = {"kind": "wheel"}
    data["benchmarks"]["details"] = DETAILS | {"source": name, "split": "test"}
    config = parse_config(data)
    if name == "easy_vqa":
        check_sources(config)
        return
    with pytest.raises(ConfigError) as error:
        check_sources(config, "x.yaml")
    assert str(error.value) == (
        f"x.yaml: benchmarks.details.source: the package {name!r} has no images with annotations; packages that have: "
        "easy_vqa"
    )


def test_the_splits_of_one_package_are_apart() -> None:
    """Training on one, and a benchmark of the other."""
    trained = {"easy": {"source": "easy_vqa", "split": "train"}}
    wheel = {"easy_vqa": {"kind": "wheel"}}
    for kind in ("easy_vqa", "details"):
        asked = {"kind": kind, "source": "easy_vqa", "split": "test"}
        assert parsed(SCENES, asked, datasets=trained, sources=wheel).benchmarks["details"].kind == kind
        assert "would hold training images" in refused(
            SCENES, asked | {"split": "train"}, datasets=trained, sources=wheel
        )


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(16, 24), st.integers(1, 4))
def test_sources_that_draw_the_same_share_scenes_and_others_do_not(
    seed: int, other: int, num_images: int, images_per_task: int
) -> None:
    """What `draws` promises. Not every scene has a question for mini-MME, so of very few none may be shared."""
    settings = {
        "scenes": SOURCES.settings("scenes").model_validate(SCENES | {"num_images": num_images, "seed": seed}),
        "mini_mme": SOURCES.settings("mini_mme").model_validate(
            FILES["mini_mme"] | {"images_per_task": images_per_task, "seed": other}
        ),
    }
    drawn = {draw_scene(seed, index) for index in range(num_images)}
    first = {scene for scene, _, _ in choose(other, next(iter(PAIRS)), images_per_task)}
    assert bool(drawn & first) == (settings["scenes"].draws == settings["mini_mme"].draws)
