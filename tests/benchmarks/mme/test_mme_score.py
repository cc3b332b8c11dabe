"""The official rule against truth tables; what the parsers read, and when an answer is decided."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks.mme.answers import PREFIX_LENGTHS, is_decided, parse, parse_prefix
from pargo.benchmarks.mme.score import PARSERS, coin_flip, image_values, mark, score
from pargo.benchmarks.mme.tasks import TASKS
from pargo.errors import PargoError
from pargo.statistics import total
from tests.helpers.mme_official import predict

QUESTION = predict({"count": [("", "")]})[0]
ANSWERS = st.sampled_from(["yes", "no", "Yes.", "NO", "", "maybe", "I say yes", "nothing", "yes or no"]) | st.text(
    max_size=25
)
PAIRS = st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=6)


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
    assert parse(response, QUESTION, "official") == official
    assert parse(response, QUESTION, "pargo_release") == release


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
    task = score(predict({"count": pairs}), "official", 10).tasks["count"]
    assert task.accuracy == pytest.approx(accuracy)
    assert task.accuracy_plus == pytest.approx(plus)
    assert task.score == pytest.approx(100 * (accuracy + plus))


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
    first = score(predictions, "official", 200)
    second = score([prediction for pair in pairs for prediction in pair], "official", 200)
    assert first.headline == second.headline
    assert first.tasks == second.tasks
    assert first.baselines == second.baselines


def test_record():
    record = score(predict({"count": [("yes", "no"), ("I say yes", "no")], "OCR": [("", "no")]}), "official", 50)
    assert record.figures["parsers"] == {"official": 125 + 50, "pargo_release": 200 + 50}
    assert record.counts == {"other": 2}
    assert record.headline.value == 175
    assert record.headline.maximum == 400
    assert (record.headline.num_questions, record.headline.num_images) == (6, 3)
    assert record.correct == {"count": {"count/0.png": (1, 1), "count/1.png": (0, 1)}, "OCR": {"OCR/0.png": (0, 1)}}
    assert [record.tasks[task].unparseable for task in ("count", "OCR")] == [1, 1]
    assert record.tasks["count"].interval[0] >= 50
    assert record.baselines["constant_answer"].value == 100
    assert record.baselines["coin_flip"].value == 150


def test_what_the_texts_of_questions_alone_give():
    def asked(texts: list[tuple[str, str]]):
        rows = predict({"count": [("yes", "no")] * len(texts)})
        flat = [text for pair in texts for text in pair]
        return [row.model_copy(update={"question": text}) for row, text in zip(rows, flat, strict=True)]

    # labels are Yes, No, Yes, No, ...: two is Yes twice and No once, three is No twice
    found = score(asked([("two?", "three?"), ("two?", "three?"), ("one?", "two?")]), "official", 10).baselines
    assert found["majority_answer_by_question"].value == pytest.approx(100 * (5 / 6 + 2 / 3))
    assert found["majority_answer_by_question"].tasks == {"count": found["majority_answer_by_question"].value}
    once = score(asked([("two?", "three?"), ("four?", "five?")]), "official", 10)
    assert once.baselines.keys() == {"constant_answer", "coin_flip"}


def test_nothing_but_other_scores_zero():
    record = score(predict({"count": [("?", "?")] * 3}), "official", 50)
    assert record.headline.value == 0
    assert record.headline.interval == (0, 0)
    assert record.tasks["count"].unparseable == record.counts["other"] == 6
    assert record.figures == {"perception": 0, "total": 0, "parsers": {"official": 0, "pargo_release": 0}}


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


def test_tasks_that_mme_does_not_have_are_refused():
    with pytest.raises(PargoError, match=r"image ocr/0\.png: 'ocr' is not a task of MME; choices: existence, .*OCR"):
        score(predict({"ocr": [("yes", "no")]}), "official", 10)
    with pytest.raises(PargoError, match="no groups of images to score"):
        score([], "official", 10)


def test_perception_is_the_first_ten_tasks_and_cognition_the_last_four():
    for number, task in enumerate(TASKS):
        figures = score(predict({task: [("yes", "no")]}), "official", 2).figures
        assert figures == {
            "perception" if number < 10 else "cognition": 200,
            "total": 200,
            "parsers": dict.fromkeys(PARSERS, 200),
        }
    figures = score(predict({task: [("yes", "no")] for task in TASKS}), "official", 2).figures
    assert (figures["perception"], figures["cognition"], figures["total"]) == (2000, 800, 2800)


LETTERS = st.text(st.sampled_from("yesnoYN .x\u0130\ufffd\u03a3"), max_size=24)


@given(LETTERS | st.text(max_size=25), LETTERS | st.text(max_size=25))
def test_a_decided_answer_stays_what_it_is(text, continuation):
    # stripped, as evaluation decodes answers; the characters of an unfinished one may still change
    start = text.lstrip()
    if is_decided(text, QUESTION):
        for end in (continuation, "", "yes", "no", "s", "es", "o", " yes", " no"):
            for whole in (start + end, start.rstrip("\ufffd") + end):
                for parser in PARSERS:
                    assert parse(whole.strip(), QUESTION, parser) == parse(text.strip(), QUESTION, parser)


@given(LETTERS)
def test_an_undecided_answer_can_still_change(text):
    text = text.strip().rstrip("\ufffd")
    if not is_decided(text, QUESTION):
        ends = ["", "yes", "es", "s", "no", "o", "x" * 20]
        parsed = {tuple(parse(text + end, QUESTION, parser) for parser in PARSERS) for end in ends}
        assert len(parsed) > 1


@pytest.mark.parametrize(
    ("text", "decided"),
    [
        ("", False),
        ("ye", False),
        ("Yes", True),
        ("\n yes", True),
        ("No", False),  # ParGo's release would still find a yes
        ("No, it is not one", False),
        ("No, it is not one.", True),
        ("No, it is not o y", False),
        ("no\ufffd" + "\ufffd" * 20, False),
        ("x" * 17, False),
        ("x" * 18, False),  # a no may come
        ("x" * 19, True),
        ("x" * 17 + "no ", True),
    ],
)
def test_when_an_answer_is_decided(text, decided):
    assert is_decided(text, QUESTION) == decided


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
