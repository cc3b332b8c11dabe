"""A config that cannot be run is refused with one message: field, value, and what would be right."""

import copy
import datetime
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pargo.config.experiment import load_config, merge, parse_config
from pargo.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "config"
MICRO = yaml.safe_load((CONFIGS / "micro.yaml").read_text())


def change(path: str, value: Any) -> dict:
    """The micro config with one value set."""
    data = copy.deepcopy(MICRO)
    *parents, key = path.split("/")
    node = data
    for parent in parents:
        node = node[parent]
    node[key] = value
    return data


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_valid_and_named_like_its_file(path: Path) -> None:
    assert load_config(path).name == path.stem


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("nmae", "x", "nmae: unknown key; did you mean 'name'?"),
        ("base/pretrain/learnin_rate", 1.0, "base.pretrain.learnin_rate: unknown key; did you mean 'learning_rate'?"),
        ("base/finetune/lora/rnak", 2, "base.finetune.lora.rnak: unknown key; did you mean 'rank'?"),
        ("sources/scenes/num_image", 3, "sources.scenes.num_image: unknown key; did you mean 'num_images'?"),
        (
            "arms/qformer",
            {"projector": {"num_layer": 3}},
            "arms.qformer.projector.num_layer: unknown key; did you mean 'num_layers'",
        ),
        ("projectors/qformer/num_token", 3, "projectors.qformer.num_token: unknown key; did you mean 'num_tokens'"),
        ("projectors/pargo/num_heads", 3, "projectors.pargo.num_heads: hidden_size 32 is not a multiple of 3"),
        (
            "arms/qformer/projector",
            "former",
            "arms.qformer.projector: 'former' is not defined; choices: pargo, qformer",
        ),
        ("base/projector", "x", "base.projector: 'x' is not defined; choices: pargo, qformer"),
        ("projectors/pargo/cascade", [1, 2, 4], "cascade: 3 numbers for 2 layers (num_layers)"),
        ("projectors/pargo/cascade", [1, 5], "cascade: 5 neighbours, but there are 4 partial tokens"),
        ("projectors/pargo/window", [2, 3], "windows of 2 x 3 patches do not divide 16 patches into 4 groups"),
        (
            "arms/pargo",
            {"projector": {"group_shape": "raster", "window": [2, 2]}},
            "window [2, 2] needs group_shape 'window', not 'raster'",
        ),
        (
            "arms/pargo",
            {"projector": {"num_partial_tokens": 0, "num_global_tokens": 0}},
            "no token would leave the projector",
        ),
        (
            "arms/pargo",
            {"projector": {"self_attention": "release", "cascade": "full"}},
            "cascade: the masks of the release are the same in every layer",
        ),
        (
            "base/pretrain/num_samples",
            "many",
            "base.pretrain.num_samples: 'many' is not valid: expected a whole number",
        ),
        ("base/pretrain/num_samples", 1.5, "base.pretrain.num_samples: 1.5 is not valid"),
        ("base/pretrain/learning_rate", "1e-3", "write 1.0e-3"),
        (
            "projectors/pargo/name",
            "perceiver",
            "projectors.pargo.name: 'perceiver' is not valid; choices: c_abstractor, linear, mlp, pargo, "
            "qformer, resampler",
        ),
        (
            "sources/scenes/kind",
            "wheels",
            "sources.scenes.kind: 'wheels' is not valid; choices: conversations, image_shards, language_model",
        ),
        (
            "benchmarks/mini_mme/kind",
            "mmme",
            "benchmarks.mini_mme.kind: 'mmme' is not valid; choices: details, easy_vqa, mini_mme",
        ),
        (
            "sources/files",
            {"kind": "official", "benchmark": "easy_vqa", "files": ["x"]},
            "sources.files.benchmark: 'easy_vqa' is not valid; choices: mmbench, mme, mmvet, pope, seedbench",
        ),
        (
            "datasets/leak",
            {"source": "mini_mme", "split": "test"},
            "benchmarks.mini_mme.split: dataset 'leak' is split 'test' of 'mini_mme' too",
        ),
        ("base/pretrain/mixture", {"scene": 1.0}, "pretrain.mixture: 'scene' is not defined; choices: scenes"),
        ("base/finetune/batch_size", 3, "base.finetune: batch_size 3 is not a multiple of micro_batch_size 2"),
        ("report/headline_arm", "x", "report.headline_arm: 'x' is not defined; choices: pargo, qformer"),
        ("sources/mini_mme/seed", 0, "the benchmark would hold training images"),
        ("arms/qformer", 3, "arms.qformer: expected differences from base"),
        ("seeds", [0, 0], "seeds: [0, 0] holds a seed twice"),
        ("benchmarks", {}, "benchmarks"),
        ("base", None, "base: required"),
    ],
)
def test_error_names_field_value_and_choices(path: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(change(path, value), "config/x.yaml")
    assert expected in str(error.value)
    assert str(error.value).startswith("config/x.yaml: ")
    assert "\n" not in str(error.value)


# what no message may say: words of pydantic, Python and JSON's schemas, where a config has lists and mappings
FOREIGN = re.compile(
    r"tuple|\bdict|Input should|input should|valid (int|string|list|number)|NoneType|None\b|instance of|\bTrue"
)
# of every kind that YAML knows
WRONG = (
    *(
        None,
        [],
        {},
        "x",
        "",
        -1,
        0,
        1.5,
        True,
        [1],
        ["a", "b"],
        {"a": 1},
        {"kind": "x"},
        {"name": "mlp"},
        {1: 2},
        [[1]],
    ),
    *(float("nan"), float("inf"), 10**30, datetime.date(2020, 1, 1), b"x"),
)


def _paths(node: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Of all values of a config file."""
    if path:
        yield "/".join(path)
    for key, value in node.items() if isinstance(node, dict) else ():
        yield from _paths(value, (*path, key))


@pytest.mark.parametrize("path", sorted(_paths(MICRO)))
def test_every_value_in_every_place_is_taken_or_refused_in_words_of_yaml(path: str) -> None:
    for value in random.Random(path).sample(WRONG, 2):
        try:
            parse_config(change(path, value), "config/x.yaml")
        except ConfigError as error:
            text = str(error)
            assert text.startswith("config/x.yaml: "), text
            assert "\n" not in text, text
            assert not FOREIGN.search(text), (value, text)


def test_576_patches_do_not_go_into_100_partial_tokens() -> None:
    data = change("projectors/pargo/num_partial_tokens", 100)
    data["vision"]["num_patches"] = 576
    message = r"num_partial_tokens: 576 patches cannot be divided evenly by 100; choices: 1, 2, .*288, 576"
    with pytest.raises(ConfigError, match=message):
        parse_config(data)


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("arm", ["pargo", "mlp"])
def test_a_max_length_without_room_beside_the_image_is_refused(stage: str, arm: str) -> None:
    """Tokens of an image are written in the config, or follow from the patches."""
    data = change(f"base/{stage}/max_length", 8)
    data["vision"]["num_patches"] = 16
    data["projectors"] = {
        "pargo": {
            **MICRO["projectors"]["pargo"],
            "num_partial_tokens": 4,
            "num_global_tokens": 4,
            "group_shape": "raster",
        },
        "mlp": {"name": "mlp", "adjacent_patches": 2, "hidden_size": 8},
    }
    data["base"]["projector"], data["arms"] = arm, {arm: {}, f"{arm}_again": {}}
    data["report"] |= {"headline_arm": arm, "reference_arm": f"{arm}_again"}
    message = rf"arms\.{arm}\.{stage}\.max_length: 8 tokens hold no answer, as an image takes 8 of them"
    with pytest.raises(ConfigError, match=message):
        parse_config(data)
    data["base"][stage]["max_length"] = 9
    assert getattr(parse_config(data).arms[arm], stage).max_length == 9


def test_the_report_compares_two_arms() -> None:
    """Before, the run went on to its end, and the page was lost to a KeyError."""
    with pytest.raises(ConfigError) as error:
        parse_config(change("report/reference_arm", "pargo"))
    assert str(error.value) == (
        "config: report.reference_arm: 'pargo' is the headline arm too, and the report compares the two; "
        "other arms: qformer"
    )
    alone = change("report/reference_arm", "pargo")
    del alone["arms"]["qformer"]
    with pytest.raises(ConfigError, match="other arms: none, add one to arms"):
        parse_config(alone)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ({"arm": "nobody"}, "report.published.0.arm: 'nobody' is not defined; choices: pargo, qformer"),
        ({"minus": "nobody"}, "report.published.0.minus: 'nobody' is not defined"),
        ({"benchmark": "nothing"}, "report.published.0.benchmark: 'nothing' is not defined"),
        ({"arm": "qformer", "minus": "pargo"}, "report.published.0: a difference is of the headline arm 'pargo' and"),
        ({"source": ""}, "report.published.0.source"),
        ({"source": None}, "report.published.0.source"),
    ],
)
def test_a_published_number_says_what_it_is_of_and_where_it_stands(number, words):
    whole = {"arm": "pargo", "benchmark": "mini_mme", "value": 1.5, "source": "Table 2 of a paper"}
    assert parse_config(change("report/published", [whole])).report.published[0].value == 1.5
    with pytest.raises(ConfigError) as error:
        parse_config(
            change("report/published", [{key: value for key, value in (whole | number).items() if value is not None}])
        )
    assert words in str(error.value)


def test_a_published_number_is_given_once():
    number = {"arm": "pargo", "benchmark": "mini_mme", "value": 1.5, "source": "Table 2 of a paper"}
    assert parse_config(change("report/published", [number, number | {"minus": "qformer"}]))
    with pytest.raises(ConfigError, match=r"report\.published\.1: a second number of the same"):
        parse_config(change("report/published", [number, number | {"value": 2.5}]))


@pytest.mark.parametrize("path", ["base/pretrain/learnin_rate", "projectors/pargo/learnin_rate"])
def test_error_in_what_arms_share_is_said_once(path: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(change(path, 1.0))
    assert str(error.value).count("learnin_rate") == 1


def test_one_word_chooses_a_projector() -> None:
    config = parse_config(change("arms/pargo", {"projector": "qformer", "generation": {"num_shards": 2}}))
    assert config.arms["pargo"].projector == config.projectors["qformer"]
    assert config.arms["pargo"] == config.arms["qformer"]
    # of two of a kind, the one that is named, with nothing of the other
    settings = {key: value for key, value in MICRO["projectors"]["pargo"].items() if key != "group_shape"}
    plain = change("projectors/plain", settings)
    plain["arms"]["pargo"] = {"projector": "plain"}
    config = parse_config(plain)
    assert config.arms["pargo"].projector == config.projectors["plain"] != config.projectors["pargo"]
    default = parse_config(MICRO)
    assert default.arms["pargo"].projector == default.projectors["pargo"]
    changed = parse_config(change("arms/pargo", {"projector": {"num_layers": 3}})).arms["pargo"].projector
    assert changed == default.projectors["pargo"].model_copy(update={"num_layers": 3})


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda path: None, "cannot read config"),
        (lambda path: path.write_text("name: a\nname: b\n"), "key 'name' twice"),
        (lambda path: path.write_text("name: [\n"), "not valid YAML"),
        (lambda path: path.write_text("- 1\n"), "expected a mapping"),
    ],
)
def test_bad_file(tmp_path: Path, write: Callable[[Path], Any], expected: str) -> None:
    path = tmp_path / "x.yaml"
    write(path)
    with pytest.raises(ConfigError, match=expected) as error:
        load_config(path)
    assert "x.yaml" in str(error.value)


def test_arm_changes_only_what_it_names() -> None:
    data = change("arms", {"pargo": {}, "wide": {"projector": {"hidden_size": 64}}})
    data["report"]["reference_arm"] = "wide"
    arms = parse_config(data).arms
    assert arms["wide"].projector.hidden_size == 64
    assert arms["wide"].projector.num_layers == arms["pargo"].projector.num_layers
    assert arms["wide"].pretrain == arms["pargo"].pretrain


def test_merge_replaces_a_renamed_mapping_and_a_mixture() -> None:
    base = {
        "projector": {"name": "pargo", "num_layers": 3},
        "mixture": {"scenes": 1.0},
        "lora": {"rank": 2, "alpha": 4},
    }
    merged = merge(base, {"projector": {"name": "mlp"}, "mixture": {"easy_vqa": 1.0}, "lora": {"rank": 8}})
    assert merged == {"projector": {"name": "mlp"}, "mixture": {"easy_vqa": 1.0}, "lora": {"rank": 8, "alpha": 4}}
    assert base["lora"] == {"rank": 2, "alpha": 4}
