"""`pargo compare`: known differences and p values, pairing, invariances, several seeds, and every refusal by name."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pargo.benchmarks.scores.compare import Comparison, Row, compare
from pargo.benchmarks.scores.compare_table import HEADS, render
from pargo.benchmarks.scores.make import make_headline, make_task, shares
from pargo.benchmarks.scores.score import score_answers, to_json
from pargo.errors import PargoError
from pargo.statistics import holm

SAMPLES = 400


def record(correct: dict, *, rule: str = "pooled", values: dict | None = None, **changes) -> dict:
    """A score record of right (1) and wrong (0) answers: {task: {image: marks}}."""
    values = values or shares(correct)
    questions = {task: sum(map(len, images.values())) for task, images in correct.items()}
    total = sum(questions.values())
    return {
        "benchmark": "pope",
        "parser": "official",
        "parser_version": 1,
        "asked": dict.fromkeys(correct, "0"),
        "headline": make_headline(values, rule, 20, name="accuracy", maximum=1, num_questions=total).model_dump(),
        "tasks": {
            task: make_task(values[task], 20, num_questions=questions[task], unparseable=0).model_dump()
            for task in correct
        },
        "figures": {},
        "counts": {},
        "baselines": {},
        "correct": correct,
        "values": values,
        "inputs": {},
    } | changes


def marks(seed: int, sizes: dict[str, int], chance: float = 0.6, questions: int = 2) -> dict:
    rng = random.Random(seed)
    return {
        task: {f"{task}-{i:03d}": [int(rng.random() < chance) for _ in range(questions)] for i in range(size)}
        for task, size in sizes.items()
    }


def write(path: Path, data: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(data), encoding="utf-8")
    return path


def table(comparison: Comparison) -> dict[tuple[str, str | None], Row]:
    return {(row.benchmark, row.task): row for row in comparison.rows}


def one_task(right_a: str, right_b: str) -> tuple[dict, dict]:
    """Two records with one question an image: a string of 0 and 1."""
    return tuple(record({"t": {f"{i:03d}": [int(mark)] for i, mark in enumerate(text)}}) for text in (right_a, right_b))


# Numbers --------------------------------------------------------------------------------------------------------------


def test_known_numbers(tmp_path):
    """40 questions: A alone is right 9 times, B alone once, both 20 times."""
    a, b = one_task("1" * 9 + "0" + "1" * 20 + "0" * 10, "0" * 9 + "1" + "1" * 20 + "0" * 10)
    found = compare(write(tmp_path / "a" / "pope.json", a), write(tmp_path / "b" / "pope.json", b), 2000)
    assert (found.seeds_a, found.seeds_b, found.samples) == (1, 1, 2000)
    (row,) = found.rows  # a single task says what the headline says
    assert (row.benchmark, row.task, row.num_images, row.num_questions) == ("pope", None, 40, 40)
    assert (row.value_a, row.value_b, row.difference) == (29 / 40, 21 / 40, 0.2)
    # the difference of an image is 1, 0 or -1: its standard error is sqrt((10/40 - 0.2**2) / 40) = 0.0725
    assert row.interval == pytest.approx((0.2 - 1.96 * 0.0725, 0.2 + 1.96 * 0.0725), abs=0.03)
    assert row.p_holm == row.p
    assert 2 / 2001 <= row.p < 0.03
    assert (row.mcnemar.only_a, row.mcnemar.only_b) == (9, 1)
    assert row.mcnemar.p == row.mcnemar.p_holm == pytest.approx(2 * 11 / 1024)
    assert [note.split(".")[0] for note in found.notes] == ["Intervals and p values are about the images alone"]


def test_equal_runs_differ_by_nothing(tmp_path):
    data = record(marks(0, {"x": 30, "y": 25}))
    found = compare(write(tmp_path / "a.json", data), write(tmp_path / "b.json", data), SAMPLES)
    assert [row.task for row in found.rows] == [None, "x", "y"]
    for row in found.rows:
        assert (row.difference, row.interval, row.p, row.p_holm) == (0.0, (0.0, 0.0), 1.0, 1.0)
        assert (row.mcnemar.only_a, row.mcnemar.only_b, row.mcnemar.p) == (0, 0, 1.0)


def test_comparison_is_paired_by_image(tmp_path):
    """Images differ widely, B is wrong once more on every image: paired, the interval has no width at all."""
    rng = random.Random(0)
    right = {f"{i}": rng.randint(1, 9) for i in range(50)}
    a = record({"t": {image: [1] * n + [0] * (9 - n) for image, n in right.items()}})
    b = record({"t": {image: [1] * (n - 1) + [0] * (10 - n) for image, n in right.items()}})
    (row,) = compare(write(tmp_path / "a.json", a), write(tmp_path / "b.json", b), SAMPLES).rows
    assert row.interval == pytest.approx((1 / 9, 1 / 9))
    assert row.p == 2 / (SAMPLES + 1)


@pytest.mark.parametrize("rule", ["sum", "mean", "pooled"])
def test_headline_follows_its_rule(tmp_path, rule):
    sides = [marks(seed, {"x": 30, "y": 10}) for seed in (0, 1)]
    files = [write(tmp_path / f"{i}.json", record(side, rule=rule)) for i, side in enumerate(sides)]
    found = table(compare(*files, SAMPLES))
    a, b = (json.loads(file.read_text())["headline"]["value"] for file in files)
    row = found["pope", None]
    assert (row.value_a, row.value_b) == pytest.approx((a, b))
    assert row.difference == pytest.approx(a - b)
    tasks = [found["pope", "x"].difference, found["pope", "y"].difference]
    expected = {"sum": sum(tasks), "mean": sum(tasks) / 2, "pooled": (60 * tasks[0] + 20 * tasks[1]) / 80}
    assert row.difference == pytest.approx(expected[rule])


def test_scores_other_than_accuracy(tmp_path):
    """F1 with images of 0 / 0; McNemar still tests right and wrong answers."""
    correct = marks(0, {"x": 30}), marks(1, {"x": 30})
    values = [
        {
            "x": {
                image: [2.0 * sum(pair), 2.0 * sum(pair) + pair.count(0) * (i % 2)] for i, (image, pair) in enumerate(x)
            }
        }
        for x in (list(side["x"].items()) for side in correct)
    ]
    assert any(pair == [0.0, 0.0] for pair in values[0]["x"].values())
    files = [write(tmp_path / f"{i}.json", record(correct[i], rule="mean", values=values[i])) for i in (0, 1)]
    (row,) = compare(*files, SAMPLES).rows
    for value, side in zip((row.value_a, row.value_b), values, strict=True):
        assert value == pytest.approx(np.sum(list(side["x"].values()), 0)[0] / np.sum(list(side["x"].values()), 0)[1])
    a, b = ([mark for image in side["x"].values() for mark in image] for side in correct)
    only_a = sum(x > y for x, y in zip(a, b, strict=True))
    only_b = sum(x < y for x, y in zip(a, b, strict=True))
    assert (row.mcnemar.only_a, row.mcnemar.only_b) == (only_a, only_b)
    assert row.mcnemar.p == binomtest(only_a, only_a + only_b).pvalue


def test_holm_is_over_the_whole_table(tmp_path):
    for side, chance in (("a", 0.6), ("b", 0.72)):
        for number, name in enumerate(("pope", "mme")):
            data = record(marks(number + 10 * (side == "b"), {"x": 40, "y": 40, "z": 40}, chance), benchmark=name)
            write(tmp_path / side / f"{name}.json", data)
    rows = compare(tmp_path / "a", tmp_path / "b", SAMPLES).rows
    assert [(row.benchmark, row.task) for row in rows] == [(b, t) for b in ("mme", "pope") for t in (None, *"xyz")]
    assert [row.p_holm for row in rows] == holm([row.p for row in rows])
    assert [row.mcnemar.p_holm for row in rows] == holm([row.mcnemar.p for row in rows])
    assert any(row.p < row.p_holm < 1 for row in rows)


def test_interval_holds_the_true_difference(tmp_path):
    """In about 95 % of experiments; 60 images of three questions that stand and fall together, true difference 0.1."""
    rng, held, experiments = np.random.default_rng(0), 0, 120
    for _ in range(experiments):
        level = rng.uniform(0.3, 0.8, size=(60, 1))
        files = []
        for name, gain in (("a", 0.1), ("b", 0.0)):
            answers = (rng.random((60, 3)) < level + gain).astype(int).tolist()
            files.append(write(tmp_path / f"{name}.json", record({"t": {str(i): m for i, m in enumerate(answers)}})))
        low, high = compare(*files, 300).rows[0].interval
        held += low <= 0.1 <= high
    assert 0.90 <= held / experiments <= 0.99


# Invariances ----------------------------------------------------------------------------------------------------------


def test_order_of_tasks_and_images_does_not_matter(tmp_path):
    sides = [marks(seed, {"x": 30, "y": 25, "z": 21}) for seed in (0, 1)]
    turned = [{task: dict(reversed(images.items())) for task, images in reversed(side.items())} for side in sides]
    straight = [write(tmp_path / "straight" / f"{i}.json", record(side, rule="mean")) for i, side in enumerate(sides)]
    mixed = [write(tmp_path / "mixed" / f"{i}.json", record(side, rule="mean")) for i, side in enumerate(turned)]
    assert table(compare(*straight, SAMPLES)) == table(compare(*mixed, SAMPLES))
    assert table(compare(*straight, SAMPLES)) == table(compare(straight[0], mixed[1], SAMPLES))


def test_a_task_does_not_depend_on_the_others(tmp_path):
    sides = [marks(seed, {"x": 30, "y": 25, "z": 21}) for seed in (0, 1)]
    whole = [write(tmp_path / f"whole{i}.json", record(side)) for i, side in enumerate(sides)]
    parts = [
        write(tmp_path / f"part{i}.json", record({task: side[task] for task in "zy"})) for i, side in enumerate(sides)
    ]
    first, second = table(compare(*whole, SAMPLES))["pope", "z"], table(compare(*parts, SAMPLES))["pope", "z"]
    assert (first.difference, first.interval, first.p) == (second.difference, second.interval, second.p)


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_swapping_the_runs_turns_the_sign(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("runs")
    a, b = (write(folder / f"{i}.json", record(marks(seed + i, {"x": 20, "y": 5}))) for i in (0, 1))
    for there, back in zip(compare(a, b, 100).rows, compare(b, a, 100).rows, strict=True):
        assert there.difference == -back.difference
        assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
        assert (there.p, there.p_holm, there.mcnemar.p) == (back.p, back.p_holm, back.mcnemar.p)
        assert (there.value_a, there.value_b) == (back.value_b, back.value_a)


def test_reproducible_and_complete_as_json(tmp_path):
    a, b = (write(tmp_path / f"{i}.json", record(marks(i, {"x": 30, "y": 25}))) for i in (0, 1))
    first = compare(a, b, SAMPLES)
    assert first == compare(a, b, SAMPLES)
    data = json.loads(to_json(first.model_dump(mode="json")))
    assert Comparison.model_validate_json(json.dumps(data)) == first
    assert data["rows"][1]["mcnemar"].keys() == {"only_a", "only_b", "p", "p_holm"}


# Runs: files, folders, seeds ------------------------------------------------------------------------------------------


def test_files_and_folders_of_one_seed_say_the_same(tmp_path):
    for side in (0, 1):
        write(tmp_path / f"arm{side}" / "seed-0" / "pope.json", record(marks(side, {"x": 30, "y": 25})))
    arms = [tmp_path / f"arm{side}" for side in (0, 1)]
    by_arm = compare(*arms, SAMPLES)
    by_seed = compare(*(arm / "seed-0" for arm in arms), SAMPLES)
    by_file = compare(*(arm / "seed-0" / "pope.json" for arm in arms), SAMPLES)
    assert by_arm.rows == by_seed.rows == by_file.rows == compare(arms[0], arms[1] / "seed-0", SAMPLES).rows
    assert by_arm.run_a == arms[0].as_posix()


def test_benchmarks_in_one_run_alone_are_reported(tmp_path):
    data = record(marks(0, {"x": 30}))
    for path in ("a/pope.json", "a/mme.json", "b/pope.json", "b/seedbench.json", "b/mmvet.json"):
        write(tmp_path / path, data)
    found = compare(tmp_path / "a", tmp_path / "b", SAMPLES)
    assert (found.only_a, found.only_b) == (("mme",), ("mmvet", "seedbench"))
    assert {row.benchmark for row in found.rows} == {"pope"}


def test_seeds_are_averaged_over_the_same_images(tmp_path):
    seeds = {"a": (0, 1, 2), "b": (3, 4)}
    data = {seed: record(marks(seed, {"x": 30, "y": 25})) for run in seeds.values() for seed in run}
    for run, numbers in seeds.items():
        for seed in numbers:
            write(tmp_path / run / f"seed-{seed}" / "pope.json", data[seed])
    found = compare(tmp_path / "a", tmp_path / "b", SAMPLES)
    assert (found.seeds_a, found.seeds_b) == (3, 2)
    row = found.rows[0]
    assert row.value_a == pytest.approx(np.mean([data[seed]["headline"]["value"] for seed in seeds["a"]]))
    assert row.value_b == pytest.approx(np.mean([data[seed]["headline"]["value"] for seed in seeds["b"]]))
    assert row.difference == pytest.approx(row.value_a - row.value_b)
    assert all(row.mcnemar is None for row in found.rows)
    assert "3 of A, 2 of B" in found.notes[0]
    assert "No McNemar tests" in found.notes[0]
    single = compare(tmp_path / "a" / "seed-0", tmp_path / "b" / "seed-3", SAMPLES).rows[0]
    # three seeds and two of coin flips: their spread is in the interval, and tells little of theirs
    assert row.interval[0] < row.difference < row.interval[1]
    assert row.interval[1] - row.interval[0] > single.interval[1] - single.interval[0]


def test_a_seed_twice_is_the_seed(tmp_path):
    for path, seed in (("a/seed-0", 0), ("twice/seed-0", 0), ("twice/seed-1", 0), ("b/seed-0", 1)):
        write(tmp_path / path / "pope.json", record(marks(seed, {"x": 30, "y": 25})))
    once, twice = (compare(tmp_path / run, tmp_path / "b", SAMPLES).rows[0] for run in ("a", "twice"))
    assert (once.value_a, once.interval, once.p) == (twice.value_a, pytest.approx(twice.interval), twice.p)


def test_not_graded(tmp_path):
    graded = record(marks(0, {"x": 30}))
    waiting = graded | {"headline": graded["headline"] | {"value": None, "interval": None}, "values": {}, "correct": {}}
    for run, data in (("a", graded), ("b", waiting)):
        write(tmp_path / run / "mmvet.json", data)
        write(tmp_path / run / "pope.json", graded)
    found = compare(tmp_path / "a", tmp_path / "b", SAMPLES)
    row = table(found)["mmvet", None]
    assert [row.value_a, row.value_b, row.difference, row.interval, row.p, row.p_holm, row.mcnemar] == [None] * 7
    assert (row.num_images, row.num_questions) == (30, 60)
    assert f"Not graded: {tmp_path}/b/mmvet.json" in found.notes
    assert table(found)["pope", None].p_holm == 1.0  # what is not tested is not counted
    assert "not graded" in render(found)


# Notes ----------------------------------------------------------------------------------------------------------------


def test_partial_grades_have_no_mcnemar_test(tmp_path):
    files = []
    for seed in (0, 1):
        correct = {"rec": {str(i): [random.Random(seed * 100 + i).choice([0, 0.4, 1])] for i in range(30)}}
        files.append(write(tmp_path / str(seed) / "mmvet.json", record(correct, benchmark="mmvet")))
    found = compare(*files, SAMPLES)
    assert found.rows[0].mcnemar is None
    assert found.rows[0].p is not None
    assert found.notes[1].split(":")[0] == "No McNemar test of mmvet, accuracy"


def test_answers_without_marks_have_no_mcnemar_test(tmp_path):
    files = [write(tmp_path / f"{i}.json", record(marks(i, {"x": 30})) | {"correct": {}}) for i in (0, 1)]
    row = compare(files[0], files[1], SAMPLES).rows[0]
    assert row.p is not None
    assert row.mcnemar is None


def test_questions_that_several_tasks_share_are_not_counted_several_times(tmp_path):
    """POPE's three splits ask the same yes-questions: together they are no 15 tests of 5 questions."""
    splits = ("random", "popular", "adversarial")
    right, worse = ({split: {str(i): [float(i >= lost)] for i in range(40)} for split in splits} for lost in (0, 5))
    a, b = (
        write(tmp_path / f"{name}.json", record(correct, rule="mean")) for name, correct in (("a", right), ("b", worse))
    )
    headline, *tasks = compare(a, b, SAMPLES).rows
    assert headline.mcnemar is None
    assert [(row.mcnemar.only_a, row.mcnemar.only_b) for row in tasks] == [(5, 0)] * 3


def test_few_images_and_few_draws_are_noted(tmp_path):
    a, b = (write(tmp_path / f"{i}.json", record(marks(i, {"x": 30, "y": 29}))) for i in (0, 1))
    notes = compare(a, b, 50).notes
    assert any(note.startswith("Fewer than 30 images") and note.endswith(": pope: y.") for note in notes)
    assert any(note.startswith("With 50 draws and 3 comparisons no p after Holm is below 0.12") for note in notes)
    assert not any("draws" in note for note in compare(a, b, 200).notes)


# Refusals -------------------------------------------------------------------------------------------------------------

GOOD = {"t": {"i": [1, 0], "j": [1, 1]}, "u": {"i": [0]}}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (record(GOOD, benchmark="mme"), "differ in their benchmark: pope and mme"),
        (record(GOOD, parser="legacy"), "differ in their parser: official and legacy"),
        (record(GOOD, parser_version=2), "differ in their version of the parser 'official': 1 and 2"),
        (record(GOOD, rule="mean"), "differ in their rule of the headline: pooled and mean"),
        (
            record(GOOD, asked={"t": "0", "u": "1"}),
            "have other questions in task 'u', or the questions of an image in another order: answers are compared by "
            "their place",
        ),
        (record(GOOD, judges=["x"]), "were graded by others:  and x"),
        (record({"t": GOOD["t"]}), "have different tasks: u not in both"),
        (
            record(GOOD | {"t": {"i": [1, 0], "k": [1, 1]}}),
            "have different images in task 't': 2 are not in both, e.g. 'j'",
        ),
        (
            record(GOOD | {"t": {"i": [1], "j": [1, 1]}}),
            "have different numbers of questions about image 'i' in task 't': 2 and 1",
        ),
        (
            record(GOOD) | {"headline": record(GOOD)["headline"] | {"num_questions": 6}},
            "have different numbers of questions: 5 and 6",
        ),
    ],
)
@pytest.mark.parametrize("within", [False, True], ids=["between runs", "between seeds"])
def test_what_cannot_be_compared_is_refused_with_both_files(tmp_path, other, message, within):
    first = write(tmp_path / "a" / "seed-0" / "pope.json", record(GOOD))
    second = write(tmp_path / ("a/seed-1" if within else "b/seed-0") / "pope.json", other)
    if within:
        write(tmp_path / "b" / "seed-0" / "pope.json", record(GOOD))
    with pytest.raises(PargoError) as error:
        compare(tmp_path / "a", tmp_path / "b", SAMPLES)
    assert str(error.value) == f"{first} and {second} {message}"


def test_runs_without_a_common_benchmark_are_refused(tmp_path):
    write(tmp_path / "a" / "pope.json", record(GOOD))
    write(tmp_path / "b" / "mme.json", record(GOOD))
    with pytest.raises(PargoError, match=r"nothing to compare: .*a holds pope; .*b holds mme"):
        compare(tmp_path / "a", tmp_path / "b", SAMPLES)
    with pytest.raises(PargoError, match="nothing to compare"):
        compare(tmp_path / "a" / "pope.json", tmp_path / "b", SAMPLES)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "does not exist; expected a score file, or a folder"),
        (["pargo/notes.txt"], r"holds neither score files \(\*\.json\) nor seed-<n> folders"),
        (["pargo/qformer/seed-0/pope.json"], r"holds neither score files \(\*\.json\) nor seed-<n> folders"),
        (["pargo/pope.json", "pargo/seed-0/pope.json"], "holds score files and seed-<n> folders; name one of them"),
        (["pargo/seed-0/notes.txt"], "seed-<n> folders of .*pargo hold no score files"),
        (
            ["pargo/seed-0/pope.json", "pargo/seed-0/mme.json", "pargo/seed-1/pope.json"],
            r"pargo/seed-1 lacks mme\.json, which .*pargo/seed-0 holds",
        ),
    ],
)
def test_folders_that_are_no_run(tmp_path, files, message):
    for file in files:
        write(tmp_path / file, record(GOOD))
    good = write(tmp_path / "good" / "pope.json", record(GOOD))
    with pytest.raises(PargoError, match=message):
        compare(tmp_path / "pargo", good, SAMPLES)
    with pytest.raises(PargoError, match=message):
        compare(good, tmp_path / "pargo", SAMPLES)


def without(key: str) -> bytes:
    return to_json({name: value for name, value in record(GOOD).items() if name != key}).encode()


def with_values(*pair: float) -> bytes:
    return to_json(record(GOOD) | {"values": {"t": {"i": pair}}}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON: "),
        (b"\xff\x00", "not valid JSON: "),
        (b"[1]", "is not a score file"),
        (b"{}", "is not a score file of `pargo score`, benchmark: required but not given"),
        (without("values"), r"values: required but not given \(files of older versions must be scored again\)"),
        (without("headline"), "headline: required but not given"),
        (to_json(record(GOOD) | {"tasks": {}}).encode(), "`tasks` lacks 't' of `values`"),
        (to_json(record(GOOD) | {"values": {}}).encode(), "group 'all' has no images"),
        (with_values(1.0), r"values\.t\.i"),
        (with_values(1, -1), "image 'i': denominator -1"),
        (with_values(0, 0), r"denominators of its 1 image\(s\) sum to 0"),
        (to_json(record(GOOD) | {"values": {"t": {"i": [1e308, 1], "j": [1e308, 1]}}}).encode(), "overflow"),
        (with_values(1, 1).replace(b"   1,\n", b"   NaN,\n", 1), "is not a score file"),
    ],
)
def test_files_that_are_no_scores_are_named(tmp_path, content, message):
    good, bad = write(tmp_path / "good.json", record(GOOD)), tmp_path / "bad.json"
    bad.write_bytes(content)
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(PargoError, match=message) as error:
            compare(*pair, SAMPLES)
        assert str(bad) in str(error.value)


def test_damaged_files_give_an_error_or_a_table(tmp_path):
    rng = random.Random(0)
    whole = to_json(record(GOOD)).encode()
    good, bad = write(tmp_path / "good.json", record(GOOD)), tmp_path / "bad.json"
    outcomes = set()
    for _ in range(250):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(content))
            content[place : place + rng.randint(0, 2)] = rng.choice([b"", b"9", b'"', b"null", b"-", b"e9", b"\x80"])
        bad.write_bytes(content)
        try:
            render(compare(good, bad, 5))
            outcomes.add("table")
        except PargoError:
            outcomes.add("error")
    assert outcomes == {"table", "error"}


def test_draws_must_be_positive(tmp_path):
    good = write(tmp_path / "good.json", record(GOOD))
    with pytest.raises(PargoError, match="0 bootstrap draws"):
        compare(good, good, 0)


# For readers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [30, 80, 96, 120, 200])
def test_text_fits_and_says_everything(tmp_path, width):
    sizes = {"a task with a rather long name": 30, "[red]brackets[/red]": 30, "数える": 30}
    a, b = (write(tmp_path / run / "pope.json", record(marks(i, sizes))) for i, run in enumerate("ab"))
    write(tmp_path / "b" / "mme.json", record(marks(0, sizes)))
    found = compare(a.parent, b.parent, SAMPLES)
    total = {"task": None, "maximum": 2800.0, "value_a": 1905.25, "value_b": 1789.5, "difference": 115.75}
    rows = (
        *found.rows,
        found.rows[0].model_copy(update=total | {"interval": (-100.5, 151.25), "num_questions": 14232}),
    )
    found = found.model_copy(update={"rows": rows})
    text = render(found, width)
    assert all(len(line) + sum(ord(sign) > 0x2FFF for sign in line) <= width for line in text.splitlines())
    flat, words = "".join(text.split()), text.replace(";", "").split()
    for expected in ("400 draws", "Only in B: mme", *found.notes):
        assert "".join(expected.split()) in flat
    for row in rows:  # no number is broken over lines
        digits = 4 if row.maximum == 1 else 2
        signed = (row.difference, *row.interval)
        for number in (f"{row.value_a:.{digits}f}", f"{row.value_b:.{digits}f}", f"{row.p:.4f}", f"{row.p_holm:.4f}"):
            assert number in words
        assert {f"{number:+.{digits}f}" for number in signed} | {f"{row.num_questions:,}"} <= set(words)
    if width not in (96, 120):  # there, heads or names may be broken over lines
        for expected in (*HEADS, *sizes):
            assert "".join(expected.split()) in flat


def test_scores_of_the_benchmarks_themselves(tmp_path):
    """Real records: easy-VQA answers of two models, scored by `pargo.benchmarks.scores.score`."""
    from pargo.benchmarks.records import Answered

    rng = random.Random(0)
    for run, chance in (("a", 0.9), ("b", 0.5)):
        answers = [
            Answered(
                id=str(i),
                task="yes_no",
                image=f"{i // 3}",
                question=f"is it red {i}?",
                label="yes",
                answer="yes" if rng.random() < chance else "no",
            )
            for i in range(120)
        ]
        data = score_answers("easy_vqa", answers, "exact", 20)
        write(tmp_path / run / "easy_vqa.json", data)
    (row,) = compare(tmp_path / "a", tmp_path / "b", SAMPLES).rows
    assert (row.num_images, row.num_questions, row.score) == (40, 120, "accuracy")
    assert row.p == 2 / (SAMPLES + 1)
    assert row.difference == pytest.approx((row.mcnemar.only_a - row.mcnemar.only_b) / 120)
    assert row.mcnemar.p < 1e-5
