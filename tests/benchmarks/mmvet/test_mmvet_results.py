"""Official files, good and bad: every fault is named with file and line, and no bytes crash the score."""

import json
import random
import subprocess
import sys

import pytest

from pargo.benchmarks.mmvet.results import add_grades, read, write
from pargo.benchmarks.records import PREDICTIONS, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.errors import PargoError
from tests.helpers.mmvet_files import NASTY, make_grades, make_meta, write_json

META = make_meta(4)
FUZZ_CASES = 2600


@pytest.fixture
def meta(tmp_path):
    return write_json(tmp_path / "mm-vet.json", META, indent=1)


def grades_text(first: str) -> str:
    """A grades file whose first entry, on line 2, is this."""
    return "{\n" + f'"v1_0": {first},\n' + '"v1_1": 1,\n"v1_2": {"score": [0.5]},\n"v1_3": 0}\n'


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("1.5", r"g\.json:2: v1_0: score 1\.5, expected a number from 0 to 1"),
        ("-0.1", r"g\.json:2: v1_0: score -0\.1, expected"),
        ("NaN", r"g\.json:2: v1_0: score nan, expected"),
        ("Infinity", r"g\.json:2: v1_0: score inf, expected"),
        ("1e999", r"g\.json:2: v1_0: score inf, expected"),
        ("true", r"g\.json:2: v1_0: score True, expected"),
        ("null", r"g\.json:2: v1_0: score None, expected"),
        ("[0.5]", r"g\.json:2: v1_0: score \[0\.5\], expected"),
        ("{}", r"g\.json:2: v1_0: no `score`"),
        ('{"score": []}', r"g\.json:2: v1_0: `score` is \[\], expected a list with a number for each run"),
        ('{"score": 0.5}', r"g\.json:2: v1_0: `score` is 0\.5, expected a list"),
        ('{"score": ["0.5"]}', r"g\.json:2: v1_0: score '0\.5', expected a number"),
        ('{"score": [0.5, null]}', r"g\.json:2: v1_0: score None, expected"),
        ('{"score": [0.5, 0.5]}', r"g\.json:3: v1_1: 1 run\(s\), but v1_0 has 2"),
        ('{"score": [1], "score": [0]}', r"g\.json:2: key 'score' twice in one object"),
        ('"0.5"', r"g\.json:3: v1_1: 1, expected text: a file holds answers or grades, not both"),
        ('0.5, "v1_0": 1', r"g\.json:2: id 'v1_0' twice; the first is at line 2"),
        ('0.5, "v1_9": 1', r"g\.json:2: question 'v1_9' is not in .*mm-vet\.json"),
        ("0.5 0.5", r"g\.json:2: expected `,` or `}`"),
        ("'a'", r"g\.json:2: not valid JSON: Expecting value"),
        ('"\\ud800"', r"g\.json:2: a text holds half of a surrogate pair"),
        ("0.5, 0: 1", r"g\.json:2: expected an id in double quotes"),
        ('0.5, "a" 1', r"g\.json:2: expected `:` after 'a'"),
        ("9" * 5000, r"g\.json:2: Exceeds the limit"),
        ("[" * 100_000, r"g\.json:2: .*recursion"),
    ],
)
def test_a_bad_grade_is_refused_by_file_and_line(tmp_path, meta, first, message):
    path = tmp_path / "g.json"
    path.write_text(grades_text(first))
    with pytest.raises(PargoError, match=message):
        score_files("mmvet", [meta, path], samples=5)


def test_a_text_among_grades(tmp_path, meta):
    path = tmp_path / "g.json"
    path.write_text(grades_text("1").replace('"v1_3": 0', '"v1_3": "0.5"'))
    with pytest.raises(PargoError, match=r"g\.json:5: v1_3: score '0\.5', expected a number"):
        score_files("mmvet", [meta, path], samples=5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"g\.json:1: expected a JSON object"),
        (b"[]", r"g\.json:1: expected a JSON object"),
        (b"\n\n  1", r"g\.json:3: expected a JSON object"),
        (b"{}", r"g\.json holds no grades"),
        (b"{} x", r"g\.json:1: more text after the JSON object"),
        (b"{", r"g\.json:1: expected an id in double quotes"),
        (b'{\n"v1_0": 1,\n}', r"g\.json:3: expected an id in double quotes"),
        (b'{"v1_0": 1', r"g\.json:1: expected `,` or `}`"),
        (b"\xff\xfe{", r"g\.json: not UTF-8: invalid start byte at byte 0"),
    ],
)
def test_a_file_that_is_no_object(tmp_path, meta, data, message):
    path = tmp_path / "g.json"
    path.write_bytes(data)
    with pytest.raises(PargoError, match=message):
        score_files("mmvet", [meta, path], samples=5)


def test_missing_questions_need_partial(tmp_path, meta):
    path = write_json(tmp_path / "g.json", {"v1_2": 0.5})
    with pytest.raises(PargoError, match=r"g\.json: nothing for question 'v1_0' of .*mm-vet\.json \(3 of 4 missing\)"):
        score_files("mmvet", [meta, path])
    record = score_files("mmvet", [meta, path], samples=5, partial=True)
    assert record.headline.value == 0.5
    assert record.headline.num_questions == 1
    results = write_json(tmp_path / "r.json", {"v1_2": "text"})
    with pytest.raises(PargoError, match=r"nothing for question 'v1_0'"):
        score_files("mmvet", [meta, results])
    assert score_files("mmvet", [meta, results], partial=True).headline.value is None
    path = write_json(tmp_path / "g.json", {"v1_99": 0.5})
    with pytest.raises(PargoError, match=r"'v1_99' is not in"):
        score_files("mmvet", [meta, path], partial=True)


@pytest.mark.parametrize("count", [1, 3])
def test_two_files(tmp_path, meta, count):
    with pytest.raises(PargoError, match=rf"mmvet takes two files, mm-vet\.json and grades .*, got {count}"):
        score_files("mmvet", [meta] * count)


def test_files_that_cannot_be_read(tmp_path, meta):
    with pytest.raises(PargoError, match=r"nothing\.json does not exist"):
        score_files("mmvet", [meta, tmp_path / "nothing.json"])
    with pytest.raises(PargoError, match=r"cannot read .*: Is a directory"):
        score_files("mmvet", [meta, tmp_path])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capability": "ocr"}, r"mm-vet\.json:2: v1_0: `capability` is 'ocr', expected a list of names"),
        ({"capability": []}, r"mm-vet\.json:2: v1_0: no capability"),
        ({"capability": ["ocr", ""]}, r"mm-vet\.json:2: v1_0: capability '', expected a name like"),
        ({"capability": ["o+c"]}, r"mm-vet\.json:2: v1_0: capability 'o\+c', expected"),
        ({"capability": ["total"]}, r"mm-vet\.json:2: v1_0: capability 'total', expected"),
        ({"capability": [1]}, r"mm-vet\.json:2: v1_0: capability 1, expected"),
        ({"question": ""}, r"mm-vet\.json:2: v1_0: `question` is '', expected text"),
        ({"question": None}, r"mm-vet\.json:2: v1_0: `question` is None, expected text"),
        ({"answer": 3}, r"mm-vet\.json:2: v1_0: `answer` is 3, expected text"),
        ({"imagename": " "}, r"mm-vet\.json:2: v1_0: `imagename` is ' ', expected text"),
    ],
)
def test_bad_questions(tmp_path, change, message):
    path = write_json(tmp_path / "mm-vet.json", META | {"v1_0": META["v1_0"] | change}, indent=1)
    with pytest.raises(PargoError, match=message):
        score_files("mmvet", [path, write_json(tmp_path / "g.json", dict.fromkeys(META, 1))])


@pytest.mark.parametrize(("data", "message"), [(b"{}", "holds no questions"), (b'{"v1_0": 1}', r"json:1: v1_0: exp")])
def test_no_questions(tmp_path, data, message):
    path = tmp_path / "mm-vet.json"
    path.write_bytes(data)
    with pytest.raises(PargoError, match=message):
        score_files("mmvet", [path, path])


def test_byte_order_mark_line_ends_and_further_fields_do_not_matter(tmp_path, meta):
    plain = score_files("mmvet", [meta, write_json(tmp_path / "g.json", make_grades(META))], samples=9)
    other = tmp_path / "other.json"
    text = json.dumps({key: {"score": entry["score"]} for key, entry in make_grades(META).items()}, indent=2)
    other.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert score_files("mmvet", [meta, other], samples=9).headline == plain.headline


def test_details_hold_grade_and_capabilities(tmp_path, meta):
    path = write_json(tmp_path / "g.json", {key: {"score": [0.25, 0.5]} for key in META})
    answer = read([meta, path], parser="judge", partial=False)[0]
    names = ",".join(sorted(set(META["v1_0"]["capability"])))
    assert answer.details == {"capability": names, "grade": "0.375", "grades": "0.25,0.5"}
    assert answer.task == names.replace(",", "+")
    assert answer.image == META["v1_0"]["imagename"]
    results = write_json(tmp_path / "r.json", dict.fromkeys(META, " text\n"))
    answer = read([meta, results], parser="judge", partial=False)[0]
    assert answer.details == {"capability": names}
    assert answer.answer == "text"


def test_grades_are_of_the_answers_to_score(tmp_path, meta):
    """A judge's file of another run, or of one that does not say what was graded, gives no score to these answers."""
    answers = read([meta, write_json(tmp_path / "r.json", {key: f"a {key}" for key in META})], parser="", partial=False)
    graded = {key: {"answer": f"a {key}", "score": [0.25]} for key in META}
    found = add_grades(answers, write_json(tmp_path / "g.json", graded))
    assert [(answer.answer, answer.details["grade"]) for answer in found] == [(f"a {key}", "0.25") for key in META]
    graded["v1_2"] = {"answer": "another", "score": [0.25]}
    with pytest.raises(PargoError, match=r"v1_2: graded was 'another', but the answer to score is 'a v1_2'"):
        add_grades(answers, write_json(tmp_path / "g.json", graded))
    graded["v1_2"] = {"score": [0.25]}
    with pytest.raises(PargoError, match="v1_2: no `answer`, so which answer was graded is not known"):
        add_grades(answers, write_json(tmp_path / "g.json", graded))


def make_predictions() -> list[Prediction]:
    return [
        Prediction(
            id=key,
            task="+".join(sorted(set(entry["capability"]))),
            image=entry["imagename"],
            question=entry["question"],
            label="red<AND>blue",
            details={"capability": ",".join(sorted(set(entry["capability"])))},
            prompt="",
            answer=NASTY[number % len(NASTY)].strip() if number % 3 else "red",
            parsed="",
            image_sha256="",
        )
        for number, (key, entry) in enumerate(make_meta().items())
    ]


def test_predictions_survive_the_official_files(tmp_path):
    predictions = make_predictions()
    write(predictions, tmp_path)
    official = tmp_path / "official"
    results = json.loads((official / "results.json").read_text())
    assert list(results) == [f"v1_{number}" for number in range(218)]
    assert results["v1_1"] == NASTY[1].strip()
    inputs = [official / "mm-vet.json", official / "results.json"]
    answers = read(inputs, parser="proxy", partial=False)
    assert [answer.model_dump() for answer in answers] == [
        prediction.model_dump(exclude={"prompt", "parsed", "image_sha256", "option_losses", "label_losses"})
        for prediction in predictions
    ]
    (tmp_path / "run").mkdir()
    write_predictions(tmp_path / "run" / PREDICTIONS, predictions)
    for parser in ("judge", "proxy"):
        again = score_files("mmvet", inputs, parser, 20)
        own = score_files("mmvet", [tmp_path / "run"], parser, 20)
        assert again.model_copy(update={"inputs": {}}) == own.model_copy(update={"inputs": {}})
    assert score_answers("mmvet", predictions, "proxy", 5).headline.value > 0.1


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A valid file with a few bytes changed, cut, doubled or swapped for other valid pieces."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            content[place : place + rng.randint(0, 6)] = rng.randbytes(rng.randint(0, 4))
        elif kind == 1:
            content[place : place + 1] = rng.choice([b'"', b"{", b"}", b"[", b",", b"NaN", b"1e9", b"\\u", b"-", b"\n"])
        elif kind == 2:
            del content[place : place + rng.randint(1, 40)]
        elif kind == 3:
            content[place:place] = content[place : place + rng.randint(1, 60)]
        else:
            old, new = rng.sample([b"0.5", b"1", b'"0.5"', b"v1_1", b"v1_2", b"score", b"null", b"[]", b"true"], 2)
            content = bytearray(bytes(content).replace(old, new, 1))
    return bytes(content)


def test_any_bytes_give_a_score_or_a_named_error(tmp_path):
    rng = random.Random(20)
    questions = {key: entry | {"answer": "red<AND>blue"} for key, entry in META.items()}
    valid = [
        json.dumps(questions, indent=1).encode(),
        json.dumps(make_grades(META, 2)).encode(),
        json.dumps({"v1_0": 0.5, "v1_1": 1, "v1_2": 0, "v1_3": 0.1}).encode(),
        json.dumps(dict.fromkeys(META, "0.5"), indent=0).encode(),
    ]
    good = [tmp_path / f"{number}.json" for number in range(len(valid))]
    for path, data in zip(good, valid, strict=True):
        path.write_bytes(data)
    bad = tmp_path / "bad.json"
    scores, errors = 0, []
    for case in range(FUZZ_CASES):
        kind = case % len(valid)
        bad.write_bytes(rng.randbytes(rng.randint(0, 60)) if case % 50 == 0 else mutated(rng, valid[kind]))
        inputs = [bad, good[rng.randint(1, 3)]] if kind == 0 else [good[0], bad]
        try:
            to_json(score_files("mmvet", inputs, "proxy" if case % 8 == 3 else "judge", 2, partial=case % 3 > 0))
            scores += 1
        except PargoError as error:
            errors.append(str(error))
    assert all(errors)
    assert scores > 200
    assert len(errors) > 1000


def test_scoring_is_light():
    heavy = ("torch", "pandas", "pyarrow", "transformers", "PIL", "openai", "openpyxl")
    code = (
        "import sys, pargo.benchmarks.mmvet.results, pargo.benchmarks.mmvet.score, pargo.benchmarks.mmvet.answers; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
