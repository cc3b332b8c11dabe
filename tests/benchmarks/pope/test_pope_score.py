"""The official rule, against truth tables and an independent re-implementation of the official tool."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.benchmarks.pope.answers import is_decided, is_explicit, parse
from pargo.benchmarks.pope.score import PARSERS
from pargo.benchmarks.records import Answered, Question
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.errors import PargoError
from pargo.statistics import total
from tests.helpers.pope_files import SPLITS, label, write

QUESTION = Question(id="random/1", task="random", image="i", question="?", label="yes")
NASTY = [
    *("yes", "no", "Yes", "No", "YES", "NO", "Yes.", "No.", "yes, there is", "No, there is not", "There is no dog."),
    *("", " ", ".", ".no", "Yes. no", "no.yes", "not", "Not", "cannot", "none", "know", "noo", "n,o", "no,", "no,ne"),
    *("no\n", "\nno", "no\tway", "a\nno b", "no\u00a0way", "no\u2028", "no!", "'no'", "maybe", "null", "nan", "nein"),
    *("It is not.", "I do not know", "yes no", "\x00", "🙂 no", "\uff4eo", "no" * 500, "no ", "No\r\n", "yes, no", "0"),
]
ANSWERS = st.sampled_from(NASTY) | st.text(max_size=8) | st.text("no tNye.,\n", max_size=10)


def official_tool(label_lines: list[str], answer_lines: list[str]) -> dict[str, float]:
    """What evaluate.py prints, and 0 where it divides by 0."""
    answers = [json.loads(line) for line in answer_lines]
    label_list = [json.loads(line)["label"] for line in label_lines]
    pred_list = []
    for answer in answers:
        text = answer["answer"]
        if text.find(".") != -1:
            text = text.split(".")[0]
        text = text.replace(",", "")
        words = text.split(" ")
        pred_list.append(0 if "No" in words or "not" in words or "no" in words else 1)
    tp = tn = fp = fn = 0
    for pred, truth in zip(pred_list, [0 if name == "no" else 1 for name in label_list], strict=True):
        if pred == 1 and truth == 1:
            tp += 1
        elif pred == 1 and truth == 0:
            fp += 1
        elif pred == 0 and truth == 0:
            tn += 1
        else:
            fn += 1
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "yes_ratio": pred_list.count(1) / len(pred_list),
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
    }


def check(record: dict, files: dict[str, tuple[Path, Path]]) -> None:
    expected = {
        split: official_tool(*(path.read_text().removesuffix("\n").split("\n") for path in pair))
        for split, pair in files.items()
    }
    assert list(record.tasks) == list(files)
    for split, numbers in expected.items():
        assert record.figures[split] == pytest.approx(numbers, abs=1e-12)
        assert record.tasks[split].score == pytest.approx(numbers["f1"], abs=1e-12)
        assert record.tasks[split].accuracy == numbers["accuracy"]
        assert total(record.groups(split)) == record.tasks[split].score
    mean = sum(numbers["f1"] for numbers in expected.values()) / len(expected)
    assert record.headline.value == pytest.approx(mean, abs=1e-12)
    assert total(record.groups(None)) == pytest.approx(mean, abs=1e-12)
    to_json(record)


@pytest.mark.parametrize("random_size", [3000, 2910])
def test_a_benchmark_of_full_size_is_scored_like_the_official_tool(tmp_path, random_size):
    rng = random.Random(4)
    files = {}
    for split in SPLITS:
        count = random_size if split == "random" else 3000
        rows = [label(number, split, label=rng.choice(["yes", "no"])) for number in range(count)]
        answers = [{"question_id": row["question_id"], "answer": rng.choice(NASTY)} for row in rows]
        files[split] = (
            write(tmp_path / "labels" / f"coco_pope_{split}.json", rows),
            write(tmp_path / "answers" / f"coco_pope_{split}_answers.json", answers),
        )
    record = score_files("pope", [tmp_path / "labels", tmp_path / "answers"], samples=50)
    check(record, files)
    assert record.headline.model_dump() | {"value": 0, "interval": []} == {
        "name": "mean F1",
        "rule": "mean",
        "maximum": 1,
        "value": 0,
        "interval": [],
        "num_questions": 6000 + random_size,
        "num_images": 500,
    }
    low, high = record.headline.interval
    assert low < record.headline.value < high
    assert record.figures["random_version"] == random_size
    assert record.baselines["constant_answer"].value == pytest.approx(2 / 3, abs=0.02)
    for split in SPLITS:  # one split alone, as the official tool takes it
        alone = score_files("pope", files[split], samples=2)
        check(alone, {split: files[split]})
    assert "random_version" not in alone.figures


@settings(max_examples=100)
@given(st.lists(st.tuples(ANSWERS, st.sampled_from(["yes", "no"])), min_size=1, max_size=14))
def test_small_ones_are_scored_like_the_official_tool(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("pope")
    labels = [label(number, label=truth) for number, (_, truth) in enumerate(rows)]
    answers = [{"question_id": row["question_id"], "answer": text} for row, (text, _) in zip(labels, rows, strict=True)]
    pair = write(folder / "labels.json", labels), write(folder / "answers.json", answers)
    check(score_files("pope", pair, samples=2), {"all": pair})


@pytest.mark.parametrize(
    ("answer", "parsed", "explicit"),
    [
        ("yes", "yes", True),
        ("Yes, there is.", "yes", True),
        ("no", "no", True),
        ("No.", "no", True),
        ("No, there is no dog", "no", True),
        ("There is not", "no", True),
        ("no,", "no", True),
        ("n,o", "no", True),  # the comma goes first
        ("yes no", "no", True),
        ("yes. no", "yes", True),  # the first sentence alone
        (".no", "yes", False),
        ("NO", "yes", False),
        ("Not", "yes", False),
        ("no!", "yes", False),
        ("no\n", "yes", False),  # split at spaces alone
        ("none", "yes", False),
        ("eyes", "yes", False),
        ("YES!", "yes", True),
        ("", "yes", False),
    ],
)
def test_parser(answer, parsed, explicit):
    assert parse(answer, QUESTION, "official") == parsed
    assert is_explicit(answer) == explicit


@given(st.text("no tNye.,\n", max_size=8) | ANSWERS, st.text("no tNye.,\n", max_size=8) | st.text(max_size=5))
def test_a_decided_answer_stays_what_it_is(start, rest):
    start = start.strip()
    if is_decided(start, QUESTION):
        for parser in PARSERS:
            assert parse((start + rest).strip(), QUESTION, parser) == parse(start, QUESTION, parser)
        assert is_explicit((start + rest).strip()) == is_explicit(start)  # counted in the record


def test_some_answers_are_decided_and_some_are_not():
    assert all(is_decided(text, QUESTION) for text in ("Yes.", ".", "no way", "No, it", "It is not a"))
    assert not any(is_decided(text, QUESTION) for text in ("", "no", "no,", "yes", "yes, there", "no,t", "It is not"))


def answered(rows: list[tuple[str, str, str, str]]) -> list[Answered]:
    return [
        Answered(id=str(number), task=task, image=image, question="?", label=truth, answer=answer)
        for number, (task, image, truth, answer) in enumerate(rows)
    ]


def test_parts_of_a_record():
    rows = [
        ("popular", "a", "yes", "no"),
        ("random", "a", "yes", "yes"),
        ("random", "a", "no", "sure"),
        ("random", "b", "no", "no"),
    ]
    record = score_answers("pope", answered(rows), "official", 5)
    assert list(record.tasks) == ["random", "popular"]
    assert record.values == {"random": {"a": (2.0, 3.0), "b": (0.0, 0.0)}, "popular": {"a": (0.0, 1.0)}}
    assert record.correct == {"random": {"a": (1, 0), "b": (1,)}, "popular": {"a": (0,)}}
    assert record.headline.value == pytest.approx((2 / 3 + 0) / 2)
    assert record.counts == {"neither_yes_nor_no": 1}
    assert record.baselines["constant_answer"].value == pytest.approx((0.5 + 1) / 2)


@pytest.mark.parametrize("truth", ["yes", "no"])
def test_no_yes_at_all_is_zero(truth):
    rows = [("random", image, truth, "no") for image in "abc"] + [("popular", "a", "yes", "yes")]
    record = score_answers("pope", answered(rows), "official", 5)
    figures = record.figures["random"]
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0, 0, 0)
    assert figures["accuracy"] == (truth == "no")
    assert record.tasks["random"].score == 0
    assert record.headline.value == 0.5


def test_order_does_not_matter_where_answers_have_their_labels():
    rng = random.Random(2)
    rows = [(rng.choice(SPLITS), rng.choice("abcdef"), rng.choice(["yes", "no"]), rng.choice(NASTY)) for _ in range(90)]
    first = score_answers("pope", answered(rows), "official", 20)
    second = score_answers("pope", answered(rng.sample(rows, 90)), "official", 20)
    for key in ("headline", "tasks", "figures", "counts", "baselines", "values"):
        assert getattr(first, key) == getattr(second, key)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "no answers to score"),
        (answered([("random", "a", "Yes", "yes")]), "question 0: label 'Yes', expected yes or no"),
    ],
)
def test_what_cannot_be_scored(answers, message):
    with pytest.raises(PargoError, match=message):
        score_answers("pope", answers, "official", 2)
