"""Details: facts of annotations and of captions, their score against a plain re-implementation, losses of facts."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks.answering.batches import token_span
from pargo.benchmarks.details.answers import label_spans
from pargo.benchmarks.details.dataset import read_questions
from pargo.benchmarks.details.facts import Names
from pargo.benchmarks.details.results import read
from pargo.benchmarks.details.score import score
from pargo.benchmarks.records import PREDICTIONS, Answered, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_files
from pargo.config.benchmarks.details import Details
from pargo.data.annotations import KINDS, caption_parts, describe, facts_of
from pargo.data.shards import ShardWriter
from pargo.data.template import encode_answer
from pargo.errors import PargoError
from pargo.sources.scene_source import make_record, write_scenes
from pargo.sources.scenes import CELLS, COLORS, SHAPES, WORDS, draw_scene
from tests.helpers.tiny_tokenizers import FAMILIES, family

BENCHMARK = Details(kind="details", source="scenes", split="train")
NAMES = Names(frozenset(SHAPES), frozenset(COLORS), frozenset(CELLS), frozenset(WORDS))

WORD_PARTS = (("text", WORDS), ("cell", CELLS))


def record(objects=(), word=None):
    return {"objects": [dict(zip(("color", "shape", "cell"), row, strict=True)) for row in objects], "word": word}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("", {}),
        ("nothing of this kind", {}),
        ("no shapes: word cat top left.", {"count": ["no"], "text": ["cat"], "place": ["word top left"]}),
        (
            "two shapes: red square top left, blue circle bottom right.",
            {
                "existence": ["square", "circle"],
                "count": ["two"],
                "color": ["red square", "blue circle"],
                "shape": ["square", "circle"],
                "place": ["square top left", "circle bottom right"],
            },
        ),
        ("2 shapes", {"count": ["two"]}),
        ("11 shapes", {"count": ["11"]}),
        # twice the same is said twice, but is there once
        ("red circle, red circle", {"existence": ["circle"], "color": ["red circle"] * 2, "shape": ["circle"] * 2}),
        # free words: who says what of whom follows from the clause
        (
            "There is a red square and a blue circle at the top left; it says CAT.",
            {
                "existence": ["square", "circle"],
                "color": ["red square", "blue circle"],
                "shape": ["square", "circle"],
                "place": ["circle top left"],
                "text": ["cat"],
            },
        ),
        ("red, square", {"existence": ["square"], "shape": ["square"]}),
        (
            "blue red square circle",
            {"existence": ["square", "circle"], "color": ["red square"], "shape": ["square", "circle"]},
        ),
        ("red squares, scatter, topleft", {}),
        ("square top left bottom right", {"existence": ["square"], "shape": ["square"], "place": ["square top left"]}),
    ],
)
def test_the_facts_of_a_caption(caption, expected):
    found = {kind: sorted(" ".join(fact) for fact in facts.elements()) for kind, facts in NAMES.facts(caption).items()}
    assert found == {kind: sorted(expected.get(kind, [])) for kind in KINDS}


@given(st.integers(0, 10_000))
def test_the_right_caption_says_what_the_annotations_say(index):
    made = make_record("a", draw_scene(0, index), [])
    assert NAMES.facts(describe(made)) == facts_of(made, "here")


@given(
    st.lists(st.tuples(*(st.none() | st.sampled_from(names) for names in (COLORS, SHAPES, CELLS))), max_size=12),
    st.none() | st.fixed_dictionaries({key: st.none() | st.sampled_from(names) for key, names in WORD_PARTS}),
)
def test_what_is_not_known_is_left_out(objects, word):
    made = record(objects, word)
    said = describe(made)
    assert "None" not in said
    assert "  " not in said
    assert "".join(part.text for part in caption_parts(made)).strip() == said
    facts = facts_of(made, "here")
    assert facts["count"].total() == 1
    assert facts["color"].total() == sum(bool(color and shape) for color, shape, _ in objects)


@pytest.mark.parametrize(
    "broken", [{}, {"objects": None, "word": None}, {"objects": [{}], "word": None}, {"objects": [], "word": 3}]
)
def test_a_record_without_annotations_is_refused(broken):
    with pytest.raises(PargoError, match="here: no annotations: expected `objects`"):
        facts_of(broken, "here")


@pytest.fixture
def source(tmp_path):
    write_scenes(tmp_path, seed=5, num_images=40, image_size=32)
    return tmp_path


def test_questions_are_the_images_of_a_split(source):
    questions = read_questions(source, BENCHMARK)
    assert [question.id for question in questions] == [f"{index:06d}" for index in range(40)]
    first = questions[0]
    made = make_record(first.id, draw_scene(5, 0), [])
    assert first.label == describe(made)
    shapes = sorted({item["shape"] for item in made["objects"]})
    assert json.loads(first.details["facts"])["existence"] == [[shape] for shape in shapes]
    text = f" {first.label}"
    spans = label_spans(first)
    said = Counter((kind, text[start:end].strip()) for kind, start, end in spans)
    expected = Counter(("color", item["color"]) for item in made["objects"])
    expected += Counter(("shape", item["shape"]) for item in made["objects"])
    assert {pair: number for pair, number in said.items() if pair[0] in ("color", "shape")} == dict(expected)
    assert len(read_questions(source, BENCHMARK.model_copy(update={"max_images": 7}))) == 7


def test_sources_without_annotations_are_refused(tmp_path):
    with ShardWriter(tmp_path / "train") as writer:
        writer.write(b"png", {"id": "a", "conversation": [["what is it?", "a cat"]]})
    with pytest.raises(PargoError, match="image a: no annotations"):
        read_questions(tmp_path, BENCHMARK)
    with ShardWriter(tmp_path / "test") as writer:
        writer.write(b"png", {"id": "a", **record()})
    with pytest.raises(PargoError, match="image a: its annotations say nothing"):
        read_questions(tmp_path, BENCHMARK.model_copy(update={"split": "test"}))


def answered(source, answer, losses=None):
    questions = read_questions(source, BENCHMARK)
    return [
        Prediction(
            **question.model_dump(),
            answer=answer(question),
            prompt="",
            parsed="",
            image_sha256="",
            label_losses=losses or {},
        )
        for question in questions
    ]


def test_the_right_captions_score_one_and_silence_zero(source):
    right = score(answered(source, lambda question: question.label.upper()), "facts", 10)
    assert right.headline.value == 1
    assert {task.score for task in right.tasks.values()} == {1}
    assert list(right.tasks) == list(KINDS)
    silent = score(answered(source, lambda question: ""), "facts", 10)
    assert silent.headline.value == 0
    assert silent.counts == {"captions_without_facts": 40, "facts_said": 0}
    assert silent.figures == {"recall": dict.fromkeys(KINDS, 0)}


def test_score_is_the_plain_one(source):
    """Counted with loops; captions are those of other images, cut off somewhere."""
    chance = Random(0)
    labels = [question.label for question in read_questions(source, BENCHMARK)]
    answers = answered(source, lambda question: chance.choice(labels)[: chance.randrange(10, 80)])
    found = score(answers, "facts", 10)
    means = []
    for kind in KINDS:
        right = said = there = 0
        for answer in answers:
            known = list(facts_of(make_record("a", draw_scene(5, int(answer.id)), []), "here")[kind].elements())
            there += len(known)
            for fact in NAMES.facts(answer.answer)[kind].elements():
                said += 1
                if fact in known:
                    known.remove(fact)
                    right += 1
        assert found.figures["precision"][kind] == pytest.approx(right / said)
        assert found.figures["recall"][kind] == found.tasks[kind].accuracy == pytest.approx(right / there)
        means.append(2 * right / (said + there))
        assert found.tasks[kind].score == pytest.approx(means[-1])
        assert found.tasks[kind].num_questions == there == len(found.marks(kind))
        assert sum(found.marks(kind)) == right
    assert found.headline.value == pytest.approx(sum(means) / len(means))
    shuffled = list(answers)
    chance.shuffle(shuffled)
    assert score(shuffled, "facts", 10).headline == found.headline


def test_one_caption_is_the_best_of_all_and_scores_what_it_scores(source):
    """Every right caption, given for every image, against the score's own rule."""
    labels = {question.label for question in read_questions(source, BENCHMARK)}
    scores = {label: score(answered(source, lambda question, label=label: label), "facts", 2) for label in labels}
    best = max(scores, key=lambda label: scores[label].headline.value)
    found = scores[best].baselines["one_caption"]
    assert f"`{best}`" in found.how
    assert found.value == pytest.approx(scores[best].headline.value)
    assert dict(found.tasks) == pytest.approx({kind: task.score for kind, task in scores[best].tasks.items()})
    assert all(record.baselines["one_caption"] == found for record in scores.values())


def test_losses_are_means_over_tokens(source):
    answers = answered(source, lambda question: "", {"color": (3.0, 2)})
    answers[0] = answers[0].model_copy(update={"label_losses": {"color": (1.0, 4), "text": (5.0, 1)}})
    found = score(answers, "facts", 10)
    assert found.figures["loss"] == {"color": pytest.approx((39 * 3 + 1) / (39 * 2 + 4)), "text": 5}
    assert found.measures["loss"]["text"] == {answer.image: (0, 0) for answer in answers} | {"000000": (5, 1)}


def test_what_is_never_said_has_no_precision_and_recall_zero(source):
    found = score(answered(source, lambda question: "a red circle, and nothing else"), "facts", 10)
    assert list(found.measures["precision"]) == ["existence", "color", "shape"]
    assert found.figures["recall"]["text"] == found.tasks["text"].score == 0
    assert "text" not in found.figures["precision"]


def test_a_predictions_file_is_all_that_there_is(source, tmp_path):
    answers = answered(source, lambda question: question.label, {"color": (3.0, 2)})
    write_predictions(tmp_path / PREDICTIONS, answers)
    assert read([tmp_path / PREDICTIONS], parser="facts", partial=False) == answers
    record = score_files("details", [tmp_path], samples=5)
    assert (record.headline.value, record.figures["loss"]["color"]) == (1, 1.5)
    for inputs in ([], [tmp_path / PREDICTIONS] * 2):
        with pytest.raises(PargoError, match=f"details takes one predictions file, got {len(inputs)} inputs"):
            read(inputs, parser="facts", partial=False)


def test_another_source_with_annotations(tmp_path):
    """easy-VQA's: one shape, of which not all is known, and neither place nor text."""
    with ShardWriter(tmp_path / "test") as writer:
        for number, (shape, color) in enumerate([("circle", "teal"), ("rectangle", None), (None, "red")]):
            item = {"shape": shape, "color": color}
            writer.write(b"png", {"id": str(number), "objects": [item], "word": None})
    questions = read_questions(tmp_path, BENCHMARK.model_copy(update={"split": "test"}))
    assert [question.label for question in questions] == [
        "one shape: teal circle.",
        "one shape: rectangle.",
        "one shape: red.",
    ]
    answers = [Answered(**question.model_dump(), answer=question.label) for question in questions]
    found = score(answers, "facts", 10)
    assert {kind: task.num_questions for kind, task in found.tasks.items()} == {
        "existence": 2,
        "count": 3,
        "color": 1,
        "shape": 2,
    }
    assert found.headline.value == 1
    assert list(found.measures) == ["precision", "recall"]


def test_answers_without_facts_are_refused(source):
    answer = answered(source, lambda question: "")[0].model_copy(update={"details": {}})
    with pytest.raises(PargoError, match="question 000000: its details hold no facts"):
        score([answer], "facts", 10)


@pytest.mark.parametrize("name", FAMILIES)
def test_spans_are_the_tokens_of_their_words(source, name):
    """Together they are apart, in order, and say what stands there, whatever the tokenizer."""
    tokenizer = family(name)
    for question in read_questions(source, BENCHMARK)[:10]:
        ids, last = encode_answer(tokenizer, question.label), 0
        for _, start, end in label_spans(question):
            first, behind = token_span(tokenizer, question.label, ids, start, end)
            assert last <= first <= behind <= len(ids)
            last = behind
            if behind > first:
                said = tokenizer.decode(ids[first:behind]).strip()
                assert said in f" {question.label}"[start:end]
