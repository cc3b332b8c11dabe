"""The official rule, against truth tables and an independent re-implementation of the official tools."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.benchmarks.records import Prediction, Question
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.benchmarks.seedbench.answers import is_decided, parse, rank
from pargo.benchmarks.seedbench.score import PARSERS
from pargo.errors import PargoError
from pargo.statistics import total
from tests.helpers.seedbench_files import COUNTS, TYPES, annotations, full_size, question, write

OPTIONS = {"A": "One", "B": "Two", "C": "A red cat", "D": "A"}
QUESTION = Question(id="1", task="t", image="i", question="?", label="A", options=OPTIONS)
NASTY = [
    *"ABCD",
    *("A.", "(B)", "[C]", "D:", "B. Two", "A, B", "C) cat", "D", " A", "B\n", "\tC"),
    *("One", "Two", "A red cat", "A One", "B Two", "C A red cat", "C Two", "One.", "one", "B  Two"),
    *("a", "b.", "E", "", " ", "The answer is A", "A cat", "AB", "A-B", "None", "null", "nan", "(", "()", "**A**"),
    *("\u0391", "\uff21", "A\u2028", "\u2028A", "A\x00", "🙂", "A\ufe0f", "B" * 300, "A\\", '"A"', "A\r\nB"),
]
ANSWERS = st.sampled_from(NASTY) | st.text(max_size=6) | st.text("ABCD(). One", max_size=8)


def official_letter(answer: str, options: dict[str, str]) -> str:
    """The documented rule, in plain steps."""
    text = answer.strip()
    rest = text
    if rest[:1] in ("(", "[", "{"):
        rest = rest[1:]
    for letter in "ABCD":
        if rest == letter:
            return letter
        for sign in ".,:;!?)]}":
            if rest.startswith(letter + sign):
                return letter
    if text == "":
        return ""
    matches = []
    for letter in options:
        if options[letter] == text:
            matches.append(letter)
    if len(matches) == 1:
        return matches[0]
    for letter in options:
        follows = text[1:] if text.startswith(letter) else ""
        if follows and follows[0].isspace() and follows.strip() == options[letter]:
            return letter
    return ""


def official_tool(document: dict, choices: dict[str, str]) -> tuple[dict[int, float], float]:
    """Accuracy by type and in total, of the image questions, the way the official eval.py counts."""
    type_counts, correct_counts = {}, {}
    for item in document["questions"]:
        if item["data_type"] == "video":
            continue
        kind = item["question_type_id"]
        type_counts[kind] = type_counts.get(kind, 0) + 1
        if choices[item["question_id"]] == item["answer"]:
            correct_counts[kind] = correct_counts.get(kind, 0) + 1
    total_count, total_correct, by_type = 0, 0, {}
    for kind in type_counts:
        by_type[kind] = correct_counts.get(kind, 0) / type_counts[kind]
        total_count += type_counts[kind]
        total_correct += correct_counts.get(kind, 0)
    return by_type, total_correct / total_count


def check(record: ScoreRecord, document: dict, choices: dict[str, str]) -> None:
    by_type, overall = official_tool(document, choices)
    names = {kind: name for name, kind in document["question_type"].items()}
    assert record.headline.value == pytest.approx(overall, abs=1e-12)
    assert {name: entry.score for name, entry in record.tasks.items()} == pytest.approx(
        {names[kind]: value for kind, value in by_type.items()}, abs=1e-12
    )
    for name, entry in record.tasks.items():
        figures = record.figures[name]
        assert figures["accuracy"] == entry.accuracy == entry.score
        assert figures["correct"] / figures["questions"] == pytest.approx(entry.score)
    unmatched = sum(not choices[item["question_id"]] for item in document["questions"] if item["data_type"] == "image")
    assert record.counts["unmatched"] == unmatched
    assert record.headline.num_questions == sum(entry.num_questions for entry in record.tasks.values())
    assert total(record.groups(None)) == pytest.approx(record.headline.value)
    assert all(total(record.groups(name)) == entry.score for name, entry in record.tasks.items())
    to_json(record)


def test_a_benchmark_of_full_size_is_scored_like_the_official_tools(tmp_path):
    rng = random.Random(5)
    document = full_size(rng)
    ids = [item["question_id"] for item in document["questions"]]
    results = [{"question_id": name, "prediction": rng.choice(NASTY)} for name in ids]
    rng.shuffle(results)
    choices = {line["question_id"]: official_letter(line["prediction"], OPTIONS) for line in results}
    inputs = [write(tmp_path / "SEED-Bench.json", document), write(tmp_path / "results.jsonl", results)]
    record = score_files("seedbench", inputs, samples=50)
    assert record.headline.num_questions == 14232
    assert [entry.num_questions for entry in record.tasks.values()] == list(COUNTS.values())
    assert list(record.tasks) == list(TYPES)[:9]
    check(record, document, choices)
    assert all(low < entry.score < high for entry in record.tasks.values() for low, high in [entry.interval])
    exact = {line["question_id"]: line["prediction"] for line in results}
    assert record.figures["bare_letter"]["accuracy"] == pytest.approx(official_tool(document, exact)[1])


def test_losses_of_full_size_are_ranked_like_the_official_tool(tmp_path):
    rng = random.Random(6)
    document = full_size(rng)
    results, choices = [], {"ranking_sum": {}, "ranking_mean": {}}
    for item in document["questions"]:
        sums, tokens = [rng.choice([0, -1.5, rng.random() * 9, 1e30]) for _ in range(4)], rng.choices(range(1, 9), k=4)
        results.append({"question_id": item["question_id"], "losses": sums, "num_tokens": tokens})
        means = [loss / count for loss, count in zip(sums, tokens, strict=True)]
        for parser, losses in (("ranking_sum", sums), ("ranking_mean", means)):
            best = 0
            for index in range(4):
                if losses[index] < losses[best]:
                    best = index
            choices[parser][item["question_id"]] = "ABCD"[best]
    inputs = [write(tmp_path / "SEED-Bench.json", document), write(tmp_path / "results.jsonl", results)]
    for parser, expected in choices.items():
        record = score_files("seedbench", inputs, parser, samples=20)
        assert (record.parser, record.parser_version) == (parser, PARSERS[parser])
        check(record, document, expected)


@settings(max_examples=60)
@given(st.lists(st.tuples(ANSWERS, st.sampled_from("ABCD"), st.integers(1, 9)), min_size=1, max_size=12))
def test_small_ones_are_scored_like_the_official_tool(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("seed")
    questions = [question(number, kind, answer=label) for number, (_, label, kind) in enumerate(rows)]
    results = [{"question_id": 1000 + number, "prediction": answer} for number, (answer, _, _) in enumerate(rows)]
    document = annotations(questions)
    inputs = [write(folder / "a.json", document), write(folder / "b.jsonl", results)]
    record = score_files("seedbench", inputs, samples=2)
    choices = {str(1000 + number): official_letter(answer, OPTIONS) for number, (answer, _, _) in enumerate(rows)}
    check(record, document, choices)


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("A", "A"),
        (" B \n", "B"),
        ("C.", "C"),
        ("(D)", "D"),
        ("(D", "D"),
        ("[A] One", "A"),
        ("B: a red cat", "B"),
        ("A, B", "A"),
        ("B. One", "B"),  # the letter goes before the text
        ("One", "A"),
        ("A red cat", "C"),  # the whole text of C, though it begins with A
        ("B Two", "B"),
        ("B  Two ", "B"),
        ("C A red cat", "C"),
        ("B One", ""),  # another option's text
        ("one", ""),
        ("One.", ""),
        ("a", ""),
        ("E", ""),
        ("Because", ""),
        ("B-", ""),
        ("AB", ""),
        ("The answer is B", ""),
        ("Answer: B", ""),
        ("**B**", ""),
        ("", ""),
        (".", ""),
        ("\uff22", ""),  # a full-width letter
    ],
)
def test_letters(answer, letter):
    assert parse(answer, QUESTION) == official_letter(answer, OPTIONS) == letter
    assert parse(answer, QUESTION, "ranking_sum") == letter


def test_texts_that_two_options_have_match_nothing():
    same = QUESTION.model_copy(update={"options": {"A": "cat", "B": "cat", "C": "", "D": "dog"}})
    assert [parse(answer, same) for answer in ("cat", "dog", "", "A cat", "B cat", "C ")] == [
        "",
        "D",
        "",
        "A",
        "B",
        "C",
    ]


@given(
    st.text(" (ABCDE).,:One", max_size=4) | ANSWERS, st.text(" (ABCDE).,:One red cat", max_size=8) | st.text(max_size=5)
)
def test_a_decided_answer_stays_what_it_is(start, rest):
    start = start.strip()
    if is_decided(start, QUESTION):
        for parser in PARSERS:
            assert parse(start + rest, QUESTION, parser) == parse(start, QUESTION, parser) != ""
        assert start not in QUESTION.options  # nor does it become a bare letter, which the record counts


def test_some_answers_are_decided_and_some_are_not():
    assert all(is_decided(text, QUESTION) for text in ("A.", "(B)", "C: ", "D, or"))
    assert not any(is_decided(text, QUESTION) for text in ("", "A", "(", "(B", "One", "The", "E.", "B Two"))


def test_ranking_takes_the_first_of_equal_losses():
    losses = {"B": (2.0, 2), "A": (2.0, 1), "C": (3.0, 9), "D": (3.0, 1)}
    assert (rank(losses, "ranking_sum", ""), rank(losses, "ranking_mean", "")) == ("A", "C")


def predict(count: int = 6, **changes) -> list[Prediction]:
    return [
        Prediction(
            id=str(number),
            task=("b", "a")[number % 2],
            image=f"{number // 3}.png",
            question="?",
            label="ABCD"[number % 4],
            options=OPTIONS,
            details={"question_type_id": str(10 - number % 2)},
            prompt="",
            parsed="",
            image_sha256="",
            **({"answer": "A"} | changes),
        )
        for number in range(count)
    ]


def test_parts_of_a_record():
    record = score_answers("seedbench", predict(), "letter", 10)
    assert list(record.tasks) == ["a", "b"]  # by number, 9 before 10
    assert record.correct == {"a": {"0.png": (0,), "1.png": (0, 0)}, "b": {"0.png": (1, 0), "1.png": (1,)}}
    assert record.headline.value == record.baselines["constant_answer"].value == pytest.approx(2 / 6)
    assert record.baselines["random_choice"].value == 0.25
    assert record.headline.num_images == 2
    assert (
        "bare_letter"
        not in score_answers(
            "seedbench", predict(option_losses={letter: (1.0, 1) for letter in "ABCD"}), "ranking_sum", 2
        ).figures
    )


def test_order_does_not_matter():
    answers = predict(60)
    first = score_answers("seedbench", answers, "letter", 20)
    shuffled = random.Random(1).sample(answers, 60)
    second = score_answers("seedbench", shuffled, "letter", 20)
    for key in ("headline", "tasks", "figures", "counts", "baselines", "values"):
        assert getattr(first, key) == getattr(second, key)


@pytest.mark.parametrize(
    ("answers", "parser", "message"),
    [
        ([], "letter", "no answers to score"),
        (predict(), "ranking_sum", "question 0: no option losses, which parser 'ranking_sum' ranks"),
        (predict(option_losses={"A": (float("nan"), 1)}), "ranking_mean", "question 0: option A has loss nan over 1"),
        (predict(option_losses={"A": (1.0, 0)}), "ranking_mean", r"question 0: option A has loss 1.0 over 0 token"),
        (predict(option_losses={"A": (1.0, 1)}, answer=""), "letter", "question 0: its options were ranked"),
        ([predict()[0].model_copy(update={"label": "a"})], "letter", "question 0: label 'a'; options: A, B, C, D"),
        (predict(), "exact", "seedbench has no parser 'exact'; choices: letter, ranking_sum, ranking_mean"),
    ],
)
def test_what_cannot_be_scored(answers, parser, message):
    with pytest.raises(PargoError, match=message):
        score_answers("seedbench", answers, parser, 2)
