"""easy-VQA: which questions are asked, exact match, and the baselines that do not look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks.easy_vqa.answers import ANSWERS, answer_type, normalise, parse
from pargo.benchmarks.easy_vqa.dataset import read_questions
from pargo.benchmarks.easy_vqa.score import mark, score
from pargo.benchmarks.records import Prediction
from pargo.benchmarks.scores.score_record import Result
from pargo.config.benchmarks.easy_vqa import EasyVQA
from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.sources.scene_source import write_scenes

BENCHMARK = EasyVQA(kind="easy_vqa", source="easy_vqa")
TURNS = [["what shape is it?", "circle"], ["is it red?", "no"], ["what color is it?", "blue"]]


@pytest.fixture
def source(tmp_path):
    """Three images with 3, 2 and 3 questions, written in another order than that of their ids."""
    with ShardWriter(tmp_path / "test") as writer:
        for name, turns in (("000002", TURNS), ("000000", TURNS), ("000001", TURNS[:2])):
            writer.write(b"png", {"id": name, "objects": [], "word": None, "conversation": turns})
    return tmp_path


def test_questions_come_in_order_of_ids(source):
    questions = read_questions(source, BENCHMARK)
    assert [question.image for question in questions] == ["000000"] * 3 + ["000001"] * 2 + ["000002"] * 3
    assert [question.id for question in questions[:4]] == ["000000-00", "000000-01", "000000-02", "000001-00"]
    assert [question.task for question in questions[:3]] == ["shape", "yes_no", "color"]
    assert [[question.question, question.label] for question in questions[:3]] == TURNS


@pytest.mark.parametrize(("limit", "number"), [(3, 3), (4, 3), (5, 5), (7, 5), (8, 8), (100, 8)])
def test_max_questions_takes_whole_images(source, limit, number):
    benchmark = BENCHMARK.model_copy(update={"max_questions": limit})
    assert len(read_questions(source, benchmark)) == number


def test_skip_images_leaves_the_first_ones_to_another_config(source):
    """What one config asks about and what another one does are apart, and together all."""
    first = read_questions(source, BENCHMARK.model_copy(update={"max_questions": 5}))
    others = read_questions(source, BENCHMARK.model_copy(update={"skip_images": 2}))
    assert [*first, *others] == read_questions(source, BENCHMARK)
    assert {question.image for question in others} == {"000002"}
    with pytest.raises(PargoError, match="skip_images 3 leaves none of its 3 images"):
        read_questions(source, BENCHMARK.model_copy(update={"skip_images": 3}))


def test_bad_sources_are_refused(source, tmp_path):
    with pytest.raises(PargoError, match="no questions within max_questions 2"):
        read_questions(source, BENCHMARK.model_copy(update={"max_questions": 2}))
    with ShardWriter(tmp_path / "train") as writer:
        writer.write(b"png", {"id": "a", "conversation": [["what is it?", " "]]})
    with pytest.raises(PargoError, match=r"question a-00 \('what is it\?'\) has no answer"):
        read_questions(tmp_path, BENCHMARK.model_copy(update={"split": "train"}))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Red.", "red"),
        (" yes ", "yes"),
        ("teal .", "teal"),
        ("BLUE\n", "blue"),
        ("no..", "no."),
        ("a red", "a red"),
        ("", ""),
    ],
)
def test_normalise(answer, expected):
    assert normalise(answer) == expected
    assert parse(answer, predict(ROWS)[0], "exact") == expected


def predict(rows: list[tuple[str, str, str, str]]) -> list[Prediction]:
    """Predictions of (image, question, label, answer)."""
    return [
        Prediction(
            id=str(number),
            task=answer_type(label),
            image=image,
            question=question,
            label=label,
            prompt=question,
            answer=answer,
            parsed=normalise(answer),
            image_sha256="",
        )
        for number, (image, question, label, answer) in enumerate(rows)
    ]


ROWS = [
    ("a", "what?", "circle", "Circle."),
    ("a", "red?", "yes", "no"),
    ("a", "red?", "no", "no"),
    ("b", "red?", "no", "nope"),
    ("b", "color?", "red", "red"),
    ("c", "what?", "triangle", "circle"),
]


def test_record():
    record = score(predict(ROWS), "exact", 100)
    assert record.headline.value == pytest.approx(3 / 6)
    assert 0 <= record.headline.interval[0] <= 0.5 <= record.headline.interval[1] <= 1
    assert (record.headline.num_questions, record.headline.num_images) == (6, 3)
    found = {
        task: (row.score, row.num_questions, row.num_images, row.unparseable) for task, row in record.tasks.items()
    }
    assert found == {"yes_no": (pytest.approx(1 / 3), 3, 2, 1), "shape": (0.5, 2, 2, 0), "color": (1, 1, 1, 0)}
    assert record.correct == {"yes_no": {"a": (0, 1), "b": (0,)}, "shape": {"a": (1,), "c": (0,)}, "color": {"b": (1,)}}
    # `no` twice of six; by question: no (2 of 3), red (1), circle (1 of 2)
    assert record.baselines["majority_answer"].value == pytest.approx(2 / 6)
    assert record.baselines["majority_answer"].how.startswith("`no`")
    assert record.baselines["majority_answer_by_question"].value == pytest.approx(4 / 6)
    by_task = {"yes_no": 2 / 3, "shape": 1 / 2, "color": 1}
    assert record.baselines["majority_answer_by_question"].tasks == pytest.approx(by_task)
    assert record.baselines["majority_answer"].tasks == pytest.approx({"yes_no": 2 / 3, "shape": 0, "color": 0})
    assert Result.model_validate_json(record.model_dump_json()) == record


def test_answers_beyond_the_thirteen():
    rows = [
        ("a", "1?", "Two", "two"),
        ("a", "2?", "red circle", "red"),
        ("b", "3?", "no", "two"),
        ("b", "4?", "no", "six"),
    ]
    record = score(predict(rows), "exact", 10)
    assert list(record.tasks) == ["yes_no", "open"]
    assert record.tasks["open"].score == 0.5
    # `two` and `red` are answers of this benchmark, `six` is none
    assert [record.tasks[task].unparseable for task in ("open", "yes_no")] == [0, 1]


def test_scenes_can_be_asked(tmp_path):
    write_scenes(tmp_path, seed=2, num_images=12, image_size=32)
    benchmark = BENCHMARK.model_copy(update={"split": "train", "max_questions": 20})
    questions = read_questions(tmp_path, benchmark)
    assert 0 < len(questions) <= 20
    assert {"yes_no", "open"} <= {question.task for question in questions}


def test_ties_of_the_majority_go_by_the_alphabet():
    rows = [("a", "1?", "yes", ""), ("a", "2?", "no", ""), ("b", "3?", "red", "")]
    for order in (rows, rows[::-1]):
        assert score(predict(order), "exact", 10).baselines["majority_answer"].how.startswith("`no`")


def test_unknown_type_of_answer():
    with pytest.raises(PargoError, match="task 'size'; choices: yes_no, shape, color, open"):
        mark([predict(ROWS)[0].model_copy(update={"task": "size"})])


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["1?", "2?"]), *[st.sampled_from(list(ANSWERS))] * 2),
        min_size=1,
    )
)
def test_accuracy_and_its_bounds(rows):
    record = score(predict(rows), "exact", 5)
    assert record.headline.value == pytest.approx(sum(label == answer for *_, label, answer in rows) / len(rows))
    majority, by_question = (record.baselines[f"majority_answer{which}"].value for which in ("", "_by_question"))
    assert 1 / len(ANSWERS) <= majority <= by_question <= 1
