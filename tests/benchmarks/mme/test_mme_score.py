"""The official rule, against truth tables and an independent re-implementation of the official tool."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks.mini_mme.answers import PREFIX_LENGTHS, parse, parse_prefix
from pargo.benchmarks.mini_mme.dataset import export
from pargo.benchmarks.mini_mme.score import coin_flip, image_values, mark, score
from pargo.benchmarks.records import Prediction
from pargo.config.data import MiniMME
from pargo.errors import PargoError
from pargo.report.statistics import total

BENCHMARK = MiniMME(kind="mini_mme", source="mini_mme")
ANSWERS = st.sampled_from(["yes", "no", "Yes.", "NO", "", "maybe", "I say yes", "nothing", "yes or no"]) | st.text(
    max_size=25
)
PAIRS = st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=6)


def predict(tasks: dict[str, list[tuple[str, str]]]) -> list[Prediction]:
    """Answers (to the Yes question, to the No question) of each image, as predictions."""
    return [
        Prediction(
            id=f"{task}/{number}-{turn}",
            task=task,
            image=f"{task}/{number}.png",
            question=f"Is it {turn}?",
            label=("Yes", "No")[turn],
            prompt="",
            answer=answer,
            parsed="",
            image_sha256="",
        )
        for task, pairs in tasks.items()
        for number, pair in enumerate(pairs)
        for turn, answer in enumerate(pair)
    ]


def official_tool(path: Path, prefix: int) -> tuple[float, float]:
    """Accuracy and accuracy plus of a result file, the way calculation.py goes about it: lines in pairs."""
    lines = path.read_bytes().decode().split("\n")[:-1]
    right, plus = 0, 0
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        marks = []
        for line in (first, second):
            _, _, truth, response = line.split("\t")
            truth, response = truth.lower(), response.lower()
            assert truth in ("yes", "no")
            if response in ("yes", "no"):
                guess = response
            elif response[:prefix].find("yes") >= 0:
                guess = "yes"
            elif response[:prefix].find("no") >= 0:
                guess = "no"
            else:
                guess = "other"
            marks.append(guess == truth)
        right += sum(marks)
        plus += sum(marks) == 2
    return right / len(lines), plus / (len(lines) / 2)


@pytest.mark.parametrize(
    ("response", "official", "release"),
    [
        ("yes", "yes", "yes"),
        ("no", "no", "no"),
        ("Yes, it is.", "yes", "yes"),
        ("NO!", "no", "no"),
        (" yes", "yes", "yes"),
        ("  yes", "other", "yes"),
        ("nope", "no", "no"),
        ("know", "no", "no"),
        ("noyes", "no", "yes"),
        ("yesno", "yes", "yes"),
        ("no yes", "no", "yes"),
        ("a yes", "other", "yes"),
        ("The answer is no", "other", "no"),
        ("The answer is: not yes", "other", "no"),
        ("x" * 17 + "yes", "other", "yes"),
        ("x" * 18 + "yes", "other", "other"),
        ("x" * 18 + "no", "other", "no"),
        ("x" * 19 + "no", "other", "other"),
        ("", "other", "other"),
        ("ye", "other", "other"),
        ("n o", "other", "other"),
        ("\u0130yes", "other", "yes"),  # one letter whose lower case is two characters
        ("\uff59\uff45\uff53", "other", "other"),  # full-width letters
        ("🙂no", "no", "no"),
    ],
)
def test_parsers(response, official, release):
    assert parse_prefix(response, PREFIX_LENGTHS["official"]) == official
    assert parse_prefix(response, PREFIX_LENGTHS["pargo_release"]) == release
    assert parse(response, BENCHMARK) == official
    assert parse(response, BENCHMARK.model_copy(update={"parser": "pargo_release"})) == release


@given(st.text(), st.integers(3, 25))
def test_only_the_prefix_counts_and_yes_wins(text, prefix):
    start = text.lower()[:prefix]
    parsed = parse_prefix(text, prefix)
    assert (parsed == "yes") == ("yes" in start)
    assert (parsed == "no") == ("no" in start and "yes" not in start)
    # as the official exact match would have it
    assert parse_prefix("yes", prefix) == "yes"
    assert parse_prefix("no", prefix) == "no"


@pytest.mark.parametrize(
    ("pairs", "accuracy", "plus"),
    [
        ([("yes", "no")], 1.0, 1.0),
        ([("yes", "yes")], 0.5, 0.0),
        ([("no", "no")], 0.5, 0.0),
        ([("no", "yes")], 0.0, 0.0),
        ([("other", "other")], 0.0, 0.0),
        ([("yes", "no"), ("yes", "yes")], 0.75, 0.5),
        ([("yes", "no"), ("no", "yes")], 0.5, 0.5),
        ([("yes", "yes"), ("no", "no")], 0.5, 0.0),
        ([("yes", "no"), ("yes", ""), ("", "")], 0.5, 1 / 3),
    ],
)
def test_truth_table(pairs, accuracy, plus):
    task = score(predict({"count": pairs}), BENCHMARK, 10)["tasks"]["count"]
    assert task["accuracy"] == pytest.approx(accuracy)
    assert task["accuracy_plus"] == pytest.approx(plus)
    assert task["score"] == pytest.approx(100 * (accuracy + plus))


def test_all_marks_of_two_images():
    for marks in itertools.product((0, 1), repeat=4):
        pairs = [marks[:2], marks[2:]]
        answers = [("yes" if first else "no", "no" if second else "yes") for first, second in pairs]
        expected = 100 * (sum(marks) / 4 + sum(pair == (1, 1) for pair in pairs) / 2)
        assert total(image_values(mark(predict({"OCR": answers}), "official"))) == pytest.approx(expected)


@given(st.dictionaries(st.sampled_from(["existence", "count", "OCR"]), PAIRS, min_size=1))
def test_range_and_order_of_tasks(tasks):
    predictions = predict(tasks)
    for parser in PREFIX_LENGTHS:
        groups = image_values(mark(predictions, parser))
        assert all(0 <= total({task: images}) <= 200 for task, images in groups.items())
        backwards = predict(dict(reversed(tasks.items())))
        assert total(groups) == total(image_values(mark(backwards, parser)))


def test_intervals_do_not_depend_on_the_order_of_tasks_or_images():
    rng = random.Random(0)
    tasks = {task: [(rng.choice(["yes", "no"]), "no") for _ in range(9)] for task in ("existence", "count", "OCR")}
    predictions = predict(tasks)
    pairs = [predictions[start : start + 2] for start in range(0, len(predictions), 2)]
    rng.shuffle(pairs)
    first = score(predictions, BENCHMARK, 200)
    second = score([prediction for pair in pairs for prediction in pair], BENCHMARK, 200)
    assert first["headline"] == second["headline"]
    assert first["tasks"] == second["tasks"]
    assert first["baselines"] == second["baselines"]


@pytest.mark.parametrize("parser", list(PREFIX_LENGTHS))
def test_result_files_score_the_same_in_the_official_tool(tmp_path, parser):
    rng = random.Random(1)
    nasty = [
        "yes",
        "No",
        "no\tyes",
        "ab\nyes",
        "a\r\nyes",
        "",
        "  no",
        "Well, yes",
        "it is not",
        "\u0130 no",
        "\u2028yes",
        "\x85no",
    ]
    tasks = {task: [(rng.choice(nasty), rng.choice(nasty)) for _ in range(20)] for task in ("count", "OCR")}
    predictions = predict(tasks)
    export(predictions, tmp_path)
    record = score(predictions, BENCHMARK.model_copy(update={"parser": parser}), 10)
    for task in tasks:
        accuracy, plus = official_tool(tmp_path / "official" / f"{task}.txt", PREFIX_LENGTHS[parser])
        assert record["tasks"][task]["accuracy"] == pytest.approx(accuracy)
        assert record["tasks"][task]["accuracy_plus"] == pytest.approx(plus)
        assert record["tasks"][task]["score"] == pytest.approx(100 * (accuracy + plus))
    assert record["headline"]["value"] == pytest.approx(record["parsers"][parser])


def test_record():
    record = score(predict({"count": [("yes", "no"), ("I say yes", "no")], "OCR": [("", "no")]}), BENCHMARK, 50)
    assert record["parser"] == "official"
    assert record["parsers"] == {"official": 125 + 50, "pargo_release": 200 + 50}
    assert record["headline"]["value"] == 175
    assert record["headline"]["maximum"] == 400
    assert (record["headline"]["num_questions"], record["headline"]["num_images"]) == (6, 3)
    assert record["correct"] == {"count": {"count/0.png": [1, 1], "count/1.png": [0, 1]}, "OCR": {"OCR/0.png": [0, 1]}}
    assert [record["tasks"][task]["unparseable"] for task in ("count", "OCR")] == [1, 1]
    assert record["tasks"]["count"]["interval"][0] >= 50
    assert record["baselines"]["constant_answer"]["value"] == 100
    assert record["baselines"]["coin_flip"]["value"] == 150


def test_nothing_but_other_scores_zero():
    record = score(predict({"count": [("?", "?")] * 3}), BENCHMARK, 50)
    assert record["headline"]["value"] == 0
    assert record["headline"]["interval"] == [0, 0]
    assert record["tasks"]["count"]["unparseable"] == 6


def test_lines_that_do_not_pair_up_are_refused():
    predictions = predict({"count": [("yes", "no"), ("yes", "no")]})
    first, second, third, fourth = predictions
    with pytest.raises(PargoError, match=r"image count/0\.png: 1 question\(s\) side by side"):
        mark([first, third, second, fourth], "official")
    with pytest.raises(PargoError, match=r"image count/1\.png: 1 question\(s\)"):
        mark([first, second, third], "official")
    again = [item.model_copy(update={"id": item.id + "again"}) for item in (first, second)]
    with pytest.raises(PargoError, match=r"count/0\.png: 2 question\(s\) side by side, others elsewhere"):
        mark([*predictions, *again], "official")
    with pytest.raises(PargoError, match="label 'Maybe' is neither"):
        mark([first, second.model_copy(update={"label": "Maybe"})], "official")


def test_coin_flip():
    coin = coin_flip({"count": 30, "OCR": 30})
    assert coin.value == 150
    low, high = coin.interval
    # per image the points are 0, 50 or 200 with probability 1/4, 1/2, 1/4: standard deviation 75
    half = 1.96 * 75 * (2 / 30) ** 0.5
    assert low == pytest.approx(150 - half, abs=5)
    assert high == pytest.approx(150 + half, abs=5)
    assert coin == coin_flip({"OCR": 30, "count": 30})
    wide = coin_flip({"count": 5}).interval
    assert wide[1] - wide[0] > high - low
