"""Selection: every image is kept or dropped for one reason, the first of the list; none of a benchmark is left."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.config.selection import Selection
from pargo.data.selection.fingerprint import FINGERPRINTS, SCHEMA
from pargo.data.selection.select import DROPPED, RULES, SELECTED, SelectSettings, choose, run, share, statistics
from pargo.errors import PargoError
from pargo.manifest import publish

NONE = Selection(contamination_distance=None, near_duplicate_distance=None, exact_duplicates=False)


def image(identifier: str, value: int = 0, **changes) -> dict:
    """A row whose hash is that of the value: those of other values differ in about half of the bits."""
    rng = np.random.default_rng(value)
    hashes = {name: rng.bytes(32) for name in ("phash", "phash_mirrored")}
    row = {"id": identifier, "origin": "", "sha256": identifier.encode().ljust(32), "width": 400, "height": 300}
    return row | hashes | {"nsfw": None, "watermark": None, "problem": None} | changes


def near(identifier: str, value: int, bits: int, column: str = "phash", **changes) -> dict:
    """That differs from the image of a value in some bits of one hash."""
    row = image(identifier, 1000 + value, **changes)
    other = int.from_bytes(image("", value)["phash"], "big") ^ ((1 << bits) - 1)
    return row | {column: other.to_bytes(32, "big")}


def table(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def reasons(images: pa.Table, selection: Selection, **benchmarks: pa.Table) -> dict[str, str]:
    choice = choose(images, benchmarks, selection)
    names = zip(images["id"].to_pylist(), choice.rule.tolist(), strict=True)
    return {name: RULES[rule] for name, rule in names if rule >= 0}


@pytest.mark.parametrize(
    ("changes", "selection", "reason"),
    [
        ({"problem": "truncated", "width": None, "height": None, "phash": None, "sha256": None}, {}, "unreadable"),
        ({"width": 199}, {"min_side": 200}, "too_small"),
        ({"width": 200}, {"min_side": 200}, None),
        ({"width": 901}, {"max_aspect_ratio": 3.0}, "extreme_aspect"),
        ({"height": 1201}, {"max_aspect_ratio": 3.0}, "extreme_aspect"),
        ({"width": 900}, {"max_aspect_ratio": 3.0}, None),
        ({"nsfw": 0.51}, {"max_nsfw": 0.5}, "nsfw"),
        ({"nsfw": 0.5}, {"max_nsfw": 0.5}, None),
        ({"nsfw": None}, {"max_nsfw": 0.5}, None),
        ({"watermark": 0.9}, {"max_watermark": 0.8}, "watermark"),
        ({"watermark": 0.9, "nsfw": 0.9}, {"max_watermark": 0.8, "max_nsfw": 0.8}, "nsfw"),  # the first of the list
    ],
)
def test_rules_of_one_image(changes, selection, reason):
    found = reasons(table(image("a", **changes)), NONE.model_copy(update=selection))
    assert found == ({"a": reason} if reason else {})


def test_exact_duplicates_go_to_the_first_that_is_kept():
    same = {"sha256": b"x" * 32}
    images = table(image("small", 0, **same, width=10), image("a", 1, **same), image("b", 2), image("c", 3, **same))
    selection = NONE.model_copy(update={"exact_duplicates": True, "min_side": 50})
    choice = choose(images, {}, selection)
    assert reasons(images, selection) == {"small": "too_small", "c": "exact_duplicate"}
    assert choice.near == {3: "a"}


@pytest.mark.parametrize(("bits", "is_near"), [(0, True), (32, True), (33, False)])
@pytest.mark.parametrize("column", ["phash", "phash_mirrored"])
def test_an_image_of_a_benchmark_is_dropped(bits, is_near, column):
    benchmarks = {"mme": table(image("m", 5)), "pope": table(image("p", 6), image("bad", 7, problem="x", phash=None))}
    images = table(image("a", 1), near("b", 6, bits, column))
    choice = choose(images, benchmarks, Selection())
    assert choice.rule.tolist() == [-1, RULES.index("contaminated") if is_near else -1]
    assert (choice.near, choice.distance) == (({1: "pope/p"}, {1: bits}) if is_near else ({}, {}))
    if column == "phash_mirrored":
        assert reasons(images, Selection(contamination_mirrored=False), **benchmarks) == {}


def test_a_near_duplicate_of_a_contaminated_image_is_not_kept_for_it():
    images = table(near("a", 5, 20), near("b", 5, 30), image("c", 1), near("d", 1, 16))
    assert reasons(images, Selection(), mme=table(image("m", 5))) == {
        "a": "contaminated",
        "b": "contaminated",
        "d": "near_duplicate",
    }


def test_the_draw_is_balanced_and_does_not_depend_on_the_order():
    rows = [image(f"{origin}{number}", number, origin=origin) for origin in "abc" for number in range(20)]
    selection = NONE.model_copy(update={"num_images": 30, "weights": {"a": 1.0, "b": 2.0}})
    dropped = reasons(table(*rows), selection)
    assert Counter(name[0] for name in dropped) == {"a": 10, "c": 20}
    assert reasons(table(*reversed(rows)), selection) == dropped
    assert reasons(table(*rows), selection.model_copy(update={"seed": 1})) != dropped
    with pytest.raises(PargoError, match=r"no image is left of 'd'; those with images: 'a', 'b', 'c'"):
        reasons(table(*rows), NONE.model_copy(update={"num_images": 3, "weights": {"d": 1.0}}))


@given(
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 50), st.floats(0.01, 10)), min_size=1),
    st.integers(1, 200),
)
def test_shares(origins, total):
    present = {name: number for name, (number, _) in origins.items()}
    weights = {name: weight for name, (_, weight) in origins.items()}
    given_ = share(present, weights, total)
    assert sum(given_.values()) == min(total, sum(present.values()))
    assert all(0 <= given_[name] <= present[name] for name in present)
    full = {name for name in present if given_[name] == present[name]}
    ratios = [given_[name] / weights[name] for name in present if name not in full]
    # those that have more to give are as the weights say, but for one image each and the order in which they round
    slack = len(present) / min(weights.values())
    assert not ratios or max(ratios) - min(ratios) <= slack


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.sampled_from(["", "x", "y"])), min_size=1))
def test_every_image_is_selected_or_dropped_once(parts):
    rows = [near(f"{place}", value, bits, origin=origin) for place, (value, bits, origin) in enumerate(parts)]
    images = table(*rows)
    selection = Selection(num_images=5)
    choice = choose(images, {"mme": table(image("m", 0))}, selection)
    numbers = statistics(images, choice, selection)
    for count in (numbers, *numbers["origins"].values()):
        assert count["images"] == count["selected"] + sum(count["dropped"].values())
    assert sum(origin["images"] for origin in numbers["origins"].values()) == len(rows)
    assert numbers["selected"] == min(5, numbers["selected"] + numbers["dropped"]["not_drawn"])
    assert sum(numbers["benchmarks"].values()) == numbers["dropped"]["contaminated"]
    kept = choice.left()
    assert all(parts[row][0] != 0 or parts[row][1] > 32 for row in kept)


def artifact(path, rows: pa.Table):
    with publish(path, settings={}) as directory:
        pq.write_table(rows, directory / FINGERPRINTS)
    return path


def test_the_artifact(tmp_path):
    images = table(image("a", 1), near("b", 5, 3), image("c", 2, origin="laion"), image("d", 3, problem="bad"))
    source, mme = artifact(tmp_path / "source", images), artifact(tmp_path / "mme", table(image("x", 5)))
    selection = Selection(nsfw_origins=("laion",))
    run(SelectSettings(source="images", split="train", selection=selection), source, {"mme": mme}, tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / SELECTED).to_pylist() == [{"id": "a"}, {"id": "c"}]
    assert pq.read_table(tmp_path / "out" / DROPPED).to_pylist() == [
        {"id": "b", "reason": "contaminated", "near": "mme/x", "distance": 3},
        {"id": "d", "reason": "unreadable", "near": None, "distance": None},
    ]
    numbers = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert (numbers["images"], numbers["selected"], numbers["benchmarks"]) == (4, 2, {"mme": 1})
    assert numbers["without_nsfw"] == {"laion": 1}
    assert numbers["origins"]["laion"]["selected"] == 1


def test_nothing_left(tmp_path):
    source = artifact(tmp_path / "source", table(image("a", 1, width=5)))
    with pytest.raises(PargoError, match=r"dropped all 1 images \(too_small 1\)"):
        run(
            SelectSettings(source="images", split="train", selection=Selection(min_side=50)),
            source,
            {},
            tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()
