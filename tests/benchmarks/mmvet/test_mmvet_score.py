"""The mean grade, against an independent re-implementation of the official tool's tables."""

import json
import math
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pargo.benchmarks.mmvet.answers import parse, proxy_grade
from pargo.benchmarks.records import Question
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.errors import PargoError
from pargo.statistics import total
from tests.helpers.mmvet_files import CAPABILITIES, NASTY, make_grades, make_meta, official_tool, write_json

NOT_GRADED = {"score": None, "accuracy": None, "accuracy_plus": None, "interval": None}


def scored(folder: Path, meta, grades, **options):
    return score_files(
        "mmvet",
        [write_json(folder / "mm-vet.json", meta), write_json(folder / "g.json", grades)],
        samples=20,
        **options,
    )


def assert_official(record, meta, grades, runs):
    first, second = official_tool(meta, grades, runs)
    figures = record.figures
    each = list(figures["official_runs"].values())
    assert figures["official_capability"] | {"runs": each} == first
    assert figures["official_integration"] | {"runs": each} == second


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_equals_the_official_tool(tmp_path, runs):
    for seed in range(6):
        meta = make_meta(seed=seed)
        grades = make_grades(meta, runs, seed)
        record = scored(tmp_path, meta, grades)
        assert_official(record, meta, grades, runs)
        assert record.counts == {"graded": 218, "ungraded": 0, "runs": runs}


@given(st.data(), st.integers(1, 3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_the_official_tool_on_anything_small(tmp_path, data, runs):
    needed = st.lists(st.sampled_from(CAPABILITIES), min_size=1, max_size=4)
    scores = st.lists(st.floats(0, 1) | st.sampled_from([0, 1, 0.05, 0.15, 0.25]), min_size=runs, max_size=runs)
    sets = data.draw(st.lists(needed, min_size=1, max_size=9))
    meta = {
        f"v1_{number}": {"imagename": f"{number % 3}.png", "question": "?", "answer": "a", "capability": names}
        for number, names in enumerate(sets)
    }
    keys = data.draw(st.permutations(list(meta)))
    grades = {key: {"score": data.draw(scores)} for key in keys}
    record = scored(tmp_path, meta, grades)
    assert_official(record, meta, grades, runs)
    every = [sum(grade["score"]) / runs for grade in grades.values()]
    assert record.headline.value == pytest.approx(sum(every) / len(every), abs=1e-12)


def test_rounds_as_the_official_tool(tmp_path):
    # numpy scales, rounds and scales back; Python rounds the very number
    different = [score / 1000 for score in range(1000) if np.round(score / 10 + 0.05, 1) != round(score / 10 + 0.05, 1)]
    meta = make_meta(1)
    assert different
    for score in different[:20]:
        grades = {"v1_0": {"score": [score + 0.0005]}}
        assert_official(scored(tmp_path, meta, grades), meta, grades, 1)


def test_truth_table(tmp_path):
    meta = {
        "v1_0": {"imagename": "a.png", "question": "?", "answer": "a", "capability": ["ocr", "spat"]},
        "v1_1": {"imagename": "a.png", "question": "?", "answer": "a", "capability": ["spat", "ocr"]},
        "v1_2": {"imagename": "b.png", "question": "?", "answer": "a", "capability": ["ocr"]},
        "v1_3": {"imagename": "c.png", "question": "?", "answer": "a", "capability": ["rec"]},
    }
    record = scored(tmp_path, meta, {"v1_0": 1, "v1_1": 0.5, "v1_2": 0.0, "v1_3": 0.3})
    assert record.headline.value == pytest.approx(0.45)
    assert record.headline.rule == "pooled"
    assert record.headline.maximum == 1
    assert (record.headline.num_questions, record.headline.num_images) == (4, 3)
    # a question with one capability counts once in each table
    assert record.figures["capability"] == {"ocr": 0.5, "spat": 0.75, "rec": 0.3}
    assert record.figures["integration"] == {"ocr+spat": 0.75, "ocr": 0.0, "rec": 0.3}
    assert record.figures["total"] == pytest.approx(0.45)
    assert record.correct == {"ocr+spat": {"a.png": (1.0, 0.5)}, "ocr": {"b.png": (0.0,)}, "rec": {"c.png": (0.3,)}}
    assert record.tasks["ocr+spat"].score == 0.75
    assert record.figures["official_capability"] == {"ocr": 50, "spat": 75, "rec": 30, "total": 45, "std": 0}
    assert record.figures["official_runs"] == {"1": 45}


def test_runs_of_the_judge_count_with_their_mean(tmp_path):
    meta = make_meta(3)
    record = scored(tmp_path, meta, {key: {"score": [0.2, 0.4]} for key in meta})
    assert record.headline.value == pytest.approx(0.3)
    assert record.figures["official_runs"] == {"1": 20, "2": 40}
    assert record.figures["official_capability"]["std"] == 10


def test_all_grades_alike(tmp_path):
    meta = make_meta()
    for value in (0, 1):
        record = scored(tmp_path, meta, dict.fromkeys(meta, value))
        assert record.headline.value == value
        assert record.headline.interval == (value, value)


def test_the_record_can_be_compared_and_partitions_the_questions(tmp_path):
    record = scored(tmp_path, meta := make_meta(), make_grades(meta, 2))
    assert total(record.groups(None)) == record.headline.value
    for task, entry in record.tasks.items():
        assert total(record.groups(task)) == entry.score == record.figures["integration"][task]
    assert sum(entry.num_questions for entry in record.tasks.values()) == 218
    assert record.is_graded
    low, high = record.headline.interval
    assert 0 <= low <= record.headline.value <= high <= 1
    sizes = [entry.num_questions for entry in record.tasks.values()]
    assert all(first >= second for first, second in pairwise(sizes))
    json.loads(to_json(record))


def test_row_order_does_not_matter(tmp_path):
    meta, rng = make_meta(), random.Random(3)
    grades = make_grades(meta, 2)
    first = scored(tmp_path, meta, grades)
    keys = list(grades)
    rng.shuffle(keys)
    second = scored(tmp_path, dict(reversed(meta.items())), {key: grades[key] for key in keys})
    for part in ("headline", "tasks", "counts", "correct", "values"):
        assert repr(getattr(first, part)) == repr(getattr(second, part))  # also the order
    for name in ("capability", "integration", "total"):
        assert json.dumps(first.figures[name]) == json.dumps(second.figures[name])
    # the official sums follow the file's order, so that a tie may be rounded either way, as in the official tool
    for name in ("official_capability", "official_integration", "official_runs"):
        assert first.figures[name] == pytest.approx(second.figures[name], abs=0.1001)


def test_results_are_not_graded_never_0(tmp_path):
    meta, rng = make_meta(), random.Random(0)
    record = scored(tmp_path, meta, {key: rng.choice(NASTY) for key in meta})
    assert record.headline.model_dump() == {
        "name": "score",
        "rule": "pooled",
        "maximum": 1,
        "value": None,
        "interval": None,
        "num_questions": 218,
        "num_images": len({entry["imagename"] for entry in meta.values()}),
    }
    assert record.counts == {"graded": 0, "ungraded": 218, "runs": 0}
    assert all(NOT_GRADED.items() <= entry.model_dump().items() for entry in record.tasks.values())
    assert sum(entry.num_questions for entry in record.tasks.values()) == 218
    assert (record.values, record.correct, record.figures) == ({}, {}, {})
    assert not record.is_graded
    assert json.loads(to_json(record))["headline"]["value"] is None


def answered(number: int, details: dict[str, str], **changes: str):
    from pargo.benchmarks.records import Answered

    fields = {"id": f"v1_{number}", "task": "ocr", "image": "a.png", "question": "?", "label": "a", "answer": "a"}
    return Answered(**fields | changes, details={"capability": "ocr"} | details)


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ([{"grade": "1.0"}, {}], r"question v1_1 has no grade \(1 of 2\), others have one"),
        ([{"grade": "1.5"}], r"question v1_0: grade '1\.5', expected a number from 0 to 1"),
        ([{"grade": "nan"}], r"question v1_0: grade 'nan', expected a number"),
        ([{"grade": "good"}], r"question v1_0: grade 'good', expected a number"),
        ([{"grade": "0.5", "grades": "0.5,0.5"}, {"grade": "0.5"}], r"different numbers of runs"),
        ([{"grade": "0.5", "capability": ""}], r"question v1_0 has no `capability`"),
    ],
)
def test_answers_that_cannot_be_scored(details, message):
    with pytest.raises(PargoError, match=message):
        score_answers("mmvet", [answered(number, entry) for number, entry in enumerate(details)], "judge", 5)


def test_parsers():
    assert score_answers("mmvet", [answered(0, {"grade": "0.5"})], "judge", 5).parser_version == 1
    with pytest.raises(PargoError, match=r"mmvet has no parser 'gpt'; choices: judge, proxy"):
        score_answers("mmvet", [answered(0, {})], "gpt", 5)


@pytest.mark.parametrize(
    ("label", "answer", "grade"),
    [
        ("two", "There are Two.", 1),
        ("2", "12 apples", 0),
        ("two.", "two", 1),
        ("red <AND> blue", "blue, and the sea", 0.5),
        ("car<OR>auto<AND>tree", "an AUTO by a tree", 1),
        ("car<OR>auto<AND>tree", "tree", 0.5),
        ("a  b", "a\nb", 1),
        ("-1<AND>-5", "x = -1 or x = -5", 1),
        ("C++ (lang)", "it is c++ (LANG)!", 1),
        ("two<AND>", "two", 1),
        ("two", "", 0),
        ("two", "twofold", 0),
        ("STRASSE", "straße", 1),
    ],
)
def test_the_proxy_grades_by_words(label, answer, grade):
    question = Question(id="v1_0", task="ocr", image="a.png", question="?", label=label)
    assert proxy_grade(answer, question) == grade
    assert parse(answer, question, "proxy") == repr(float(grade))
    assert parse(answer, question, "judge") == answer


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_proxy_takes_any_text(label, answer):
    question = Question(id="v1_0", task="ocr", image="a.png", question="?", label="x" + label)
    assert 0 <= proxy_grade(answer, question) <= 1
    assert proxy_grade(answer + " x" + label, question) >= 0


def test_the_proxy_scores_results_and_is_named(tmp_path):
    meta = {key: entry | {"answer": "red<AND>blue"} for key, entry in make_meta(4).items()}
    record = scored(tmp_path, meta, {key: "red" for key in meta}, parser="proxy")
    assert record.headline.value == 0.5
    assert record.parser == "proxy"
    assert record.headline.name == "proxy score"
    meta["v1_2"]["answer"] = " <AND> "
    with pytest.raises(PargoError, match=r"question v1_2: no right answer, which the proxy compares with"):
        scored(tmp_path, meta, {key: "red" for key in meta}, parser="proxy")
    with pytest.raises(PargoError, match=r"g\.json holds grades, but the proxy reads answers"):
        scored(tmp_path, meta, dict.fromkeys(meta, 1), parser="proxy")


def test_intervals_are_by_image(tmp_path):
    # all questions are about one image: nothing to draw
    meta = {key: entry | {"imagename": "a.png"} for key, entry in make_meta(20).items()}
    record = scored(tmp_path, meta, make_grades(meta))
    low, high = record.headline.interval
    assert math.isclose(low, high)
    assert record.headline.num_images == 1
