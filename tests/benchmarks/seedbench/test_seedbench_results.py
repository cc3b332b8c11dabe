"""Result files: read strictly, written so that they round-trip, and no bytes make them crash."""

import contextlib
import json
import random
from pathlib import Path

import pytest

from pargo.benchmarks.records import PREDICTIONS, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.benchmarks.seedbench.annotations import read_annotations
from pargo.benchmarks.seedbench.results import write as write_results
from pargo.errors import PargoError
from tests.helpers.seedbench_files import annotations, question, video, write

QUESTIONS = [question(number, 1 + number % 9) for number in range(12)]
DOCUMENT = annotations([*QUESTIONS, video(1)])
RESULTS = [{"question_id": item["question_id"], "prediction": "A"} for item in QUESTIONS]
LOSSES = {"losses": [1.0, 0.5, 2, 3], "num_tokens": [1, 1, 2, 3]}


def score(folder: Path, document, results, parser: str = "letter", **options):
    """The score of two files, given as values or bytes."""
    paths = []
    for name, value in (("SEED-Bench.json", document), ("results.jsonl", results)):
        path = folder / name
        path.write_bytes(value) if isinstance(value, bytes) else write(path, value)
        paths.append(path)
    return score_files("seedbench", paths, parser, 2, **options)


def lines(value) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in value).encode()


def change(number: int, **changes) -> list[dict]:
    """The results with one line changed; None takes a key away."""
    found = [dict(line) for line in RESULTS]
    line = found[number] | changes
    found[number] = {key: value for key, value in line.items() if value is not ...}
    return found


def alter(number: int, **changes) -> dict:
    """The annotations with one question changed; ... takes a key away."""
    questions = [dict(item) for item in QUESTIONS]
    item = questions[number] | changes
    questions[number] = {key: value for key, value in item.items() if value is not ...}
    return annotations(questions)


def ranked(number: int, **changes) -> list[dict]:
    found = [line | LOSSES for line in RESULTS]
    line = found[number] | changes
    found[number] = {key: value for key, value in line.items() if value is not ...}
    return found


def test_equal_in_every_spelling(tmp_path):
    expected = score(tmp_path, DOCUMENT, RESULTS)
    assert expected.notes == ()
    expected = expected.model_dump(exclude={"inputs", "notes"})
    spellings = [
        (DOCUMENT, [line | {"question_id": int(line["question_id"])} for line in RESULTS]),
        (DOCUMENT, [{"question_id": int(line["question_id"]), "text": line["prediction"]} for line in RESULTS]),
        (DOCUMENT, [line | {"text": "B"} for line in RESULTS]),
        (DOCUMENT, lines(RESULTS).replace(b"}\n", b"},\n")),
        (DOCUMENT, lines(RESULTS).replace(b"}\n", b"}, \r\n", 5)),
        (DOCUMENT, [*RESULTS, RESULTS[3], RESULTS[0]]),
        (DOCUMENT, [*RESULTS, RESULTS[3] | {"question_id": int(RESULTS[3]["question_id"])}]),
        (DOCUMENT, [line | {"question_id": float(line["question_id"])} for line in RESULTS]),
        (DOCUMENT, [{"q_id": line["question_id"], "prediction": "A", "gt": "?"} for line in RESULTS]),
        (DOCUMENT, lines(RESULTS).replace(b"\n", b"\r\n")),
        (DOCUMENT, lines(RESULTS).replace(b"\n", b"\r")),
        (DOCUMENT, b"\xef\xbb\xbf" + lines(RESULTS)),
        (DOCUMENT, lines(RESULTS).removesuffix(b"\n")),
        (DOCUMENT, list(reversed(RESULTS))),
        (DOCUMENT, [*RESULTS, {"question_id": "v1", "prediction": "A"}]),  # the video's, which has no part in it
        (b"\xef\xbb\xbf" + json.dumps(DOCUMENT, indent=1).replace("\n", "\r\n").encode(), RESULTS),
        (annotations([item | {"question_id": int(item["question_id"])} for item in QUESTIONS]), RESULTS),
        (annotations([item | {"question_type_id": str(item["question_type_id"])} for item in QUESTIONS]), RESULTS),
    ]
    for document, results in spellings:
        found = score(tmp_path, document, results)
        assert found.model_dump(exclude={"inputs", "notes"}) == expected


@pytest.mark.parametrize(
    ("results", "note"),
    [
        (
            [{"question_id": line["question_id"], "text": "A"} for line in RESULTS],
            "of 12 line(s) without `prediction`, `te",
        ),
        (lines(RESULTS).replace(b"}\n", b"},\n", 11), "the comma at the end of 11 line(s) was left out"),
        (
            [*RESULTS, RESULTS[0], RESULTS[0]],
            "2 line(s) answer a question again in the same way; each question counts on",
        ),
        (
            [*RESULTS, RESULTS[0] | {"answer_id": "another"}],
            "1 line(s) answer a question again in the same way; each question counts on",
        ),
    ],
)
def test_a_note_says_what_was_taken(tmp_path, results, note):
    (found,) = score(tmp_path, DOCUMENT, results).notes
    assert found.startswith(f"{tmp_path / 'results.jsonl'}: {note}")


def test_a_file_of_questions_is_no_result(tmp_path):
    """LLaVA's llava-seed-bench.jsonl, whose `text` would be read as the answer."""
    asked = [{"question_id": item["question_id"], "text": f"{item['question']}\nA. x"} for item in QUESTIONS]
    with pytest.raises(PargoError, match=r"results\.jsonl: every `text` in it is the question"):
        score(tmp_path, DOCUMENT, asked)


def test_names_of_dimensions_are_those_of_the_file(tmp_path):
    types = {"Scene": 1, "Identity": 2, "Location": 3, "Attributes": 4, "E": 5, "F": 6, "G": 7, "H": 8, "I": 9}
    record = score(tmp_path, annotations(QUESTIONS, types), RESULTS)
    assert list(record.tasks) == list(types)


def test_repeated_questions_count_once(tmp_path):
    expected = score(tmp_path, DOCUMENT, RESULTS)
    record = score(tmp_path, annotations([*QUESTIONS, QUESTIONS[0], QUESTIONS[3], QUESTIONS[0]]), RESULTS)
    assert record.counts == {"unmatched": 0, "repeated_questions": 3}
    assert {key: getattr(record, key) for key in ("headline", "tasks", "correct")} == {
        key: getattr(expected, key) for key in ("headline", "tasks", "correct")
    }


def test_merely_bad_answers_count_as_wrong(tmp_path):
    answers = ["", None, 3, ["A"], "\ud800", "Z", True, float("nan"), "a" * 10000, {"A": 1}, "\x00", "A\ud83d\ude00"]
    results = [line | {"prediction": answer} for line, answer in zip(RESULTS, answers, strict=True)]
    record = score(tmp_path, DOCUMENT, results)
    assert record.headline.value == 0
    assert record.counts["unmatched"] == 12


def test_partial_scores_what_is_there(tmp_path):
    record = score(tmp_path, DOCUMENT, RESULTS[:4], partial=True)
    assert record.headline.num_questions == 4
    with pytest.raises(PargoError, match=r"results.jsonl: 8 of 12 image questions have no answer, e.g. '1004'"):
        score(tmp_path, DOCUMENT, RESULTS[:4])
    with pytest.raises(PargoError, match=r"12 of 12 image questions have no answer"):
        score(tmp_path, DOCUMENT, [{"question_id": "v1", "prediction": "A"}], partial=True)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (b"", r"results.jsonl is empty"),
        (b"\n", r"results.jsonl is empty"),
        (b"\xff\n", r"results.jsonl: not UTF-8: invalid start byte at byte 0"),
        (lines(RESULTS[:2]) + b"\n" + lines(RESULTS[2:]), r"results.jsonl:3: empty line"),
        (lines(RESULTS[:2]) + b"{\n", r"results.jsonl:3: not valid JSON: "),
        (b"[" * 100000, r"results.jsonl:1: not valid JSON: "),
        (b"9" * 5000, r"results.jsonl:1: not valid JSON: "),
        (b'"A"\n', r"results.jsonl:1: 'A', expected a JSON object"),
        (change(4, question_id=...), r"results.jsonl:5: no `question_id`; there are 'prediction'"),
        (change(4, question_id=None), r"results.jsonl:5: `question_id` is None, expected a whole number or a text"),
        (change(4, question_id=True), r"results.jsonl:5: `question_id` is True"),
        (change(4, question_id=1.5), r"results.jsonl:5: `question_id` is 1.5"),
        (change(4, question_id=" "), r"results.jsonl:5: `question_id` is ' '"),
        (
            change(4, question_id="1003", prediction="B"),
            r"results.jsonl:5: question '1003' again, it is answered in .*results.jsonl:4, and in another way: keep",
        ),
        (change(4, question_id=1003, prediction="B"), r"results.jsonl:5: question '1003' again"),
        (change(4, question_id=1003), r"results.jsonl: 1 of 12 image questions have no answer, e.g. '1004'"),
        (lines(RESULTS[:2]) + b'{"question_id": "1002"},,\n', r"results.jsonl:3: not valid JSON"),
        (
            [*RESULTS, {"question_id": 7, "prediction": "A"}],
            r"results.jsonl:13: question '7' is not in .*SEED-Bench.json",
        ),
        (change(4, prediction=...), r"results.jsonl:5: no `prediction`; there are 'question_id'"),
    ],
)
def test_bad_results(tmp_path, results, message):
    with pytest.raises(PargoError, match=message):
        score(tmp_path, DOCUMENT, results)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (RESULTS, r"results.jsonl:1: no `losses`"),
        (
            ranked(3, losses=[1, float("nan"), 3, 4]),
            r"results.jsonl:4: loss of option B is nan, expected a finite number",
        ),
        (ranked(3, losses={"A": 1, "B": 2, "C": float("inf"), "D": 0}), r"results.jsonl:4: loss of option C is inf"),
        (ranked(3, losses=[1, 2, None, 4]), r"results.jsonl:4: loss of option C is None"),
        (ranked(3, losses=[1, 2, "3", 4]), r"results.jsonl:4: loss of option C is '3'"),
        (ranked(3, losses=[1, 2, True, 4]), r"results.jsonl:4: loss of option C is True"),
        (ranked(3, losses=[10**400, 2, 3, 4]), r"results.jsonl:4: loss of option A is 1000"),
        (
            ranked(3, losses=[1, 2, 3]),
            r"results.jsonl:4: `losses` is \[1, 2, 3\], expected one number for each of A, B, C, D",
        ),
        (ranked(3, losses={"A": 1, "B": 2, "C": 3}), r"results.jsonl:4: `losses` is {'A': 1"),
        (ranked(3, losses=2), r"results.jsonl:4: `losses` is 2"),
        (ranked(3, num_tokens=[1, 2, 0, 4]), r"results.jsonl:4: option C has 0 tokens"),
        (ranked(3, num_tokens=[1, 2, 1.5, 4]), r"results.jsonl:4: option C has 1.5 tokens"),
        (ranked(3, num_tokens=[1, 2]), r"results.jsonl:4: `num_tokens` is \[1, 2\]"),
        (ranked(3, num_tokens=...), r"results.jsonl: some lines have `num_tokens` and some do not"),
    ],
)
@pytest.mark.parametrize("parser", ["ranking_sum", "ranking_mean"])
def test_bad_losses(tmp_path, results, message, parser):
    with pytest.raises(PargoError, match=message):
        score(tmp_path, DOCUMENT, results, parser)


def test_losses_by_letter_and_without_token_counts(tmp_path):
    by_letter = [
        line | {key: dict(zip("DCBA", reversed(value), strict=True)) for key, value in LOSSES.items()}
        for line in RESULTS
    ]
    for parser in ("ranking_sum", "ranking_mean"):
        first, second = (score(tmp_path, DOCUMENT, results, parser) for results in (ranked(0), by_letter))
        assert first.correct == second.correct
    # without counts the losses are what the parser says: the least of them wins in both
    bare = [{"question_id": line["question_id"], "losses": [4, 3, 1, 2]} for line in RESULTS]
    for parser in ("ranking_sum", "ranking_mean"):
        assert score(tmp_path, DOCUMENT, bare, parser).headline.value == 0.25
    with pytest.raises(PargoError, match=r"results.jsonl:1: no `prediction`"):
        score(tmp_path, DOCUMENT, bare)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", r"SEED-Bench.json: not valid JSON"),
        (b"\xff", r"SEED-Bench.json: not UTF-8"),
        ([1, 2], r"SEED-Bench.json: not valid JSON"),
        (b"[]", r"SEED-Bench.json: \[\], expected an object with `questions` and `question_type`"),
        ({"questions": QUESTIONS}, r"SEED-Bench.json: no `question_type`; there are 'questions'"),
        ({"question_type": {}}, r"SEED-Bench.json: no `questions`"),
        ({"questions": {}, "question_type": {}}, r"expected a list of `questions`"),
        (annotations([]), r"SEED-Bench.json: no question with `data_type` image"),
        (annotations([video(1)]), r"SEED-Bench.json: no question with `data_type` image"),
        (annotations([*QUESTIONS, 5]), r"questions\[12\]: 5, expected an object"),
        (annotations(QUESTIONS, {"a": 1, "b": "1"}), r"question_type 1 is both 'a' and 'b'"),
        (annotations(QUESTIONS, {"a": None}), r"question_type: `a` is None"),
        (annotations(QUESTIONS, {"a": 1}), r"questions\[1\]: question_type_id 2 is not in question_type: 1"),
        (alter(5, data_type="Single Image"), r"questions\[5\]: `data_type` is 'Single Image', expected image or video"),
        (alter(5, data_type=...), r"questions\[5\]: no `data_type`"),
        (alter(5, answer="b"), r"questions\[5\]: `answer` is 'b', expected one of A, B, C, D"),
        (alter(5, answer=""), r"questions\[5\]: `answer` is '', expected one of A, B, C, D"),
        (alter(5, answer=1), r"questions\[5\]: `answer` is 1, expected a text"),
        (alter(5, choice_c=...), r"questions\[5\]: no `choice_c`"),
        (alter(5, choice_c=None), r"questions\[5\]: `choice_c` is None, expected a text"),
        (alter(5, question=None), r"questions\[5\]: `question` is None"),
        (alter(5, data_id=["a", "b"]), r"questions\[5\]: `data_id` is \['a', 'b'\]"),
        (alter(5, data_id="../a"), r"questions\[5\]: `data_id` is '../a', expected the name of an image"),
        (alter(5, question_id="1004"), r"questions\[5\]: question '1004' again, and other than in .*questions\[4\]"),
        (alter(5, question_id=...), r"questions\[5\]: no `question_id`"),
    ],
)
def test_bad_annotations(tmp_path, document, message):
    with pytest.raises(PargoError, match=message):
        score(tmp_path, document, RESULTS)


def test_options_may_be_numbers_and_words_for_nothing(tmp_path):
    document = alter(0, choice_a=3, choice_b=2.5, choice_c="None", choice_d="NA")
    assert score(tmp_path, document, change(0, prediction="None")).counts["unmatched"] == 0
    options = read_annotations(tmp_path / "SEED-Bench.json").questions[0].options
    assert options == {"A": "3", "B": "2.5", "C": "None", "D": "NA"}


def test_wrong_inputs(tmp_path):
    path = write(tmp_path / "SEED-Bench.json", DOCUMENT)
    with pytest.raises(PargoError, match=r"seedbench takes two inputs, .* got 1"):
        score_files("seedbench", [path])
    with pytest.raises(PargoError, match=r"cannot read .*: Is a directory"):
        score_files("seedbench", [path, tmp_path])


@pytest.mark.parametrize("parser", ["letter", "ranking_sum", "ranking_mean"])
def test_predictions_survive_their_official_files(tmp_path, parser):
    rng = random.Random(3)
    path = write(tmp_path / "SEED-Bench.json", DOCUMENT)
    answers = ["A", "B. Two", "One", "(C)", "nothing", "", "a\nb", "\u2028", "A\r\n", "D", "Two", "🙂"]
    predictions = [
        Prediction(
            **item.model_dump(),
            prompt="?",
            answer=answer if parser == "letter" else "",
            parsed="",
            image_sha256="",
            option_losses={}
            if parser == "letter"
            else {letter: (rng.random(), rng.randint(1, 5)) for letter in item.options},
        )
        for item, answer in zip(read_annotations(path).questions, answers, strict=True)
    ]
    write_results(predictions, tmp_path)
    record = score_files("seedbench", [path, tmp_path / "official" / f"results_{parser}.jsonl"], parser, 20)
    write_predictions(tmp_path / PREDICTIONS, predictions)
    own = score_files("seedbench", [tmp_path], parser, 20)
    for key in ("headline", "tasks", "counts", "correct", "values"):
        assert getattr(record, key) == getattr(own, key)
    if parser != "letter":  # the files' own predictions are those of their rule
        plain = score_files("seedbench", [path, tmp_path / "official" / f"results_{parser}.jsonl"], "letter", 2)
        assert plain.correct == record.correct
        assert score_answers("seedbench", predictions, parser, 2).correct == record.correct


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut, doubled or put in."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 3])):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            content[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            del content[at : at + rng.randrange(20)]
        elif kind == 2:
            content[at:at] = content[at : at + rng.randrange(60)]
        elif kind == 3:
            word = [
                b"NaN",
                b"1e999",
                b'"\\ud800"',
                b"null",
                b"{}",
                b"[]",
                b"\n",
                b"\r",
                b"\x00",
                b"\xef\xbb\xbf",
                b"-",
                b"1",
            ]
            content[at:at] = rng.choice(word)
        else:
            number = rng.choice([b'"A"', b"1", b"image", b"question", b":", b",", b"."])
            content = bytearray(
                bytes(content).replace(number, rng.choice([b"null", b"[1]", b"0", b'"\\u0000"', b""]), 1)
            )
    return bytes(content)


def test_no_bytes_make_it_crash(tmp_path):
    rng = random.Random(7)
    document = json.dumps(annotations([*QUESTIONS[:3], video(1)])).encode()
    results = {"letter": lines(RESULTS[:3]), "ranking_mean": lines(ranked(0)[:3])}
    paths = [tmp_path / "a.json", tmp_path / "b.jsonl"]
    scored = 0
    for case in range(2600):
        parser = rng.choice(list(results))
        contents = [document, results[parser]]
        which = rng.randrange(2)
        contents[which] = rng.randbytes(rng.randrange(60)) if case % 10 == 0 else mutate(rng, contents[which])
        for path, data in zip(paths, contents, strict=True):
            path.write_bytes(data)
        with contextlib.suppress(PargoError):
            record = score_files("seedbench", paths, parser, 2, partial=rng.random() < 0.5)
            to_json(record).encode()
            scored += 1
    assert 100 < scored < 2500  # both ends are met often
