"""Details: facts of annotations and of captions, their score against a plain re-implementation, losses of facts."""

from __future__ import annotations

import json
import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pargo.benchmarks.answering import batches
from pargo.benchmarks.answering.batches import token_begins
from pargo.benchmarks.details.answers import label_spans, parse
from pargo.benchmarks.details.dataset import read_questions
from pargo.benchmarks.details.facts import Names
from pargo.benchmarks.details.results import read
from pargo.benchmarks.details.score import score
from pargo.benchmarks.records import PREDICTIONS, Answered, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.benchmarks.scores.score_file import read_score
from pargo.benchmarks.scores.score_record import groups_of
from pargo.benchmarks.scores.show import show
from pargo.config.benchmarks.details import Details
from pargo.data.annotations import KINDS, caption_parts, describe, facts_of
from pargo.data.shards import ShardWriter
from pargo.data.template import encode_answer
from pargo.errors import PargoError
from pargo.estimates import estimate_defined
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
        # each count is one, whatever it contradicts; other numbers count nothing
        ("two shapes, or three  objects", {"count": ["two", "three"]}),
        ("two: 4 of them, one here", {}),
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
        (
            "top left: red square; bottom right: cat",
            {
                "existence": ["square"],
                "color": ["red square"],
                "shape": ["square"],
                "place": ["square top left", "word bottom right"],
                "text": ["cat"],
            },
        ),
        (
            "a square at the top left with a circle at the bottom right",
            {
                "existence": ["square", "circle"],
                "shape": ["square", "circle"],
                "place": ["square top left", "circle bottom right"],
            },
        ),
        # what docs/benchmarks.md says of free words
        ("no square, a square that is red", {"existence": ["square"], "shape": ["square", "square"]}),
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
    assert facts["count"].total() == bool(said)
    assert facts["color"].total() == sum(bool(color and shape) for color, shape, _ in objects)
    # spans and facts agree: losses are of the facts that F1 counts, one by one
    spans = Counter(part.kind for part in caption_parts(made) if part.kind)
    assert "existence" not in spans  # which has no words of its own
    for kind in KINDS[1:]:
        assert facts[kind].total() == spans[kind]
    assert NAMES.facts(said) == facts


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"objects": None, "word": None},
        {"objects": [{}], "word": None},
        {"objects": [], "word": 3},
        {"objects": [], "word": {"text": 7}},
    ],
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
    with pytest.raises(PargoError, match="test: no image of which its annotations say anything"):
        read_questions(tmp_path, BENCHMARK.model_copy(update={"split": "test"}))


def write_records(folder, *records):
    with ShardWriter(folder / "train") as writer:
        for number, made in enumerate(records):
            writer.write(b"png", {"id": str(number), **made})


def test_images_of_which_nothing_is_known_are_left_out(tmp_path):
    """As are 50 of easy-VQA's 1,000 test images."""
    unknown, known = record([(None, None, None)]), record([("red", "square", None)])
    write_records(tmp_path, unknown, known, record(), known, known)
    assert [question.id for question in read_questions(tmp_path, BENCHMARK)] == ["1", "3", "4"]
    first = BENCHMARK.model_copy(update={"max_images": 2})
    assert [question.id for question in read_questions(tmp_path, first)] == ["1", "3"]


@pytest.mark.parametrize(
    ("word", "kinds"),
    [
        ("red", "place, text"),  # a color's name
        ("top left", "place, text"),
        ("a.b", "place, text"),
        ("salt and tea", "place, text"),
        ("three shapes", "count"),
        ("square", "shape, place, text"),
        ("word", "place, text"),  # is said twice
    ],
)
def test_annotations_whose_right_caption_would_be_read_otherwise_are_refused(tmp_path, word, kinds):
    named = record([("red", "square", "top left")], {"text": word, "cell": "top right"})
    write_records(tmp_path, record([("red", "square", "top left")]), named)
    with pytest.raises(PargoError) as error:
        read_questions(tmp_path, BENCHMARK)
    shown = f"one shape: red square top left, word {word} top right."
    assert f"train: image 1: its right caption, {shown!r}, would not be read as its annotations: {kinds}; " in str(
        error.value
    )


@pytest.mark.parametrize("word", ["two", "no", "Cat", "left"])
def test_other_words_may_be_written_there(tmp_path, word):
    write_records(tmp_path, record([("red", "square", "top left")], {"text": word, "cell": "top right"}))
    answers = [
        Answered(**question.model_dump(), answer=question.label) for question in read_questions(tmp_path, BENCHMARK)
    ]
    found = score(answers, "facts", 5)
    assert {kind: task.score for kind, task in found.tasks.items()} == dict.fromkeys(KINDS, 1)


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


def test_what_is_scored_is_what_parse_makes_of_it(source):
    answers = answered(source, lambda question: question.label.replace(" ", "   "))
    assert {task.score for task in score(answers, "facts", 5).tasks.values()} == {1}
    assert parse(" Red\tSquare \n\n top  left", answers[0], "facts") == "red square\n\ntop left"


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
        assert found.figures["recall"][kind] == pytest.approx(right / there)
        means.append(2 * right / (said + there))
        assert found.tasks[kind].score == pytest.approx(means[-1])
        assert found.tasks[kind].num_questions == there
        # facts are no questions, each right or wrong for itself
        assert found.tasks[kind].accuracy is None
        assert found.marks(kind) == []
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
    assert list(found.figures["precision"]) == ["existence", "color", "shape"]
    assert list(found.measures["precision"]) == list(KINDS)
    assert found.figures["recall"]["text"] == found.tasks["text"].score == 0
    assert "text" not in found.figures["precision"]


def test_a_predictions_file_is_all_that_there_is(source, tmp_path):
    answers = answered(source, lambda question: question.label, {"color": (3.0, 2)})
    write_predictions(tmp_path / PREDICTIONS, answers)
    assert read([tmp_path / PREDICTIONS], parser="facts", partial=False) == answers
    record = score_files("details", [tmp_path], samples=5)
    assert (record.headline.value, record.figures["loss"]["color"]) == (1, 1.5)
    for inputs in ([], [tmp_path / PREDICTIONS] * 2):
        with pytest.raises(PargoError, match=f"expected one predictions file, got {len(inputs)} inputs"):
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


def test_rare_kinds_have_intervals_of_the_draws_that_hold_them(source):
    """A draw without any word says nothing of words: it is no loss of 0 and no recall of 0."""
    answers = answered(source, lambda question: question.label, {"color": (3.0, 2), "text": (0.0, 0)})
    for place in range(5):
        answers[place] = answers[place].model_copy(update={"label_losses": {"color": (3.0, 2), "text": (9.0, 3)}})
    found = score(answers, "facts", 400)
    value, interval = estimate_defined([groups_of({"text": found.measures["loss"]["text"]}, "mean")], 400)
    assert interval == pytest.approx((value, value))
    # of so few that one draw in three has none
    rare = found.measures["loss"]["text"] | {answer.image: (0.0, 0.0) for answer in answers[1:]}
    assert estimate_defined([groups_of({"text": rare}, "mean")], 400) == (3, None)


def test_a_kind_in_too_few_images_has_a_score_without_interval(tmp_path):
    plain = [record([("red", "square", "top left")])] * 30
    write_records(tmp_path, *plain, record([], {"text": "cat", "cell": None}))
    answers = [Answered(**question.model_dump(), answer="") for question in read_questions(tmp_path, BENCHMARK)]
    answers = [answer.model_copy(update={"answer": "word cat"}) if answer.id == "30" else answer for answer in answers]
    found = score(answers, "facts", 200)
    assert (found.tasks["text"].score, found.tasks["text"].interval) == (1, None)
    assert (found.tasks["shape"].score, found.tasks["shape"].interval) == (0, (0, 0))
    path = tmp_path / "details.json"
    path.write_text(to_json(score_answers("details", answers, "facts", 200)))
    assert read_score(path).record.tasks["text"].interval is None


def test_the_terminal_counts_facts(source, capsys):
    answers = answered(source, lambda question: question.label)
    show(score_answers("details", answers, "facts", 5), Console(width=120))
    shown = capsys.readouterr().out
    assert " facts, 40 images" in shown
    assert "questions" not in shown
    assert " acc" not in shown


@pytest.mark.parametrize("name", FAMILIES)
def test_spans_are_the_tokens_of_their_words(source, name):
    """No token of a word is lost, and none of another is taken, whatever the tokenizer."""
    tokenizer = family(name)
    for question in read_questions(source, BENCHMARK)[:10]:
        ids = encode_answer(tokenizer, question.label)
        begins = token_begins(tokenizer, question.label, ids)
        assert begins == sorted(begins)
        for _, start, end in label_spans(question):
            chosen = [token for token, begin in zip(ids, begins, strict=True) if start <= begin < end]
            assert tokenizer.decode(chosen).strip() == f" {question.label}"[start:end].strip()


def test_a_token_that_goes_on_behind_a_word_is_that_words(source, monkeypatch):
    """Of a tokenizer that joins punctuation to the word before it."""
    monkeypatch.setattr(batches, "encode_answer", lambda _, answer: re.findall(" [^ ]*", f" {answer}"))
    for question in read_questions(source, BENCHMARK)[:10]:
        text = f" {question.label}"
        tokens = re.findall(" [^ ]*", text)
        begins = token_begins(None, question.label, tokens)
        assert all(text[begin:].startswith(token) for begin, token in zip(begins, tokens, strict=True))
        for _, start, end in label_spans(question):
            chosen = [token for token, begin in zip(tokens, begins, strict=True) if start <= begin < end]
            assert "".join(chosen).rstrip(".,:") == text[start:end]
