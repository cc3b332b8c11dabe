"""Official result files: the same figures as the official tool on all that it accepts, precise errors on the rest."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.benchmarks.mme.answers import PREFIX_LENGTHS
from pargo.benchmarks.mme.results import read, write
from pargo.benchmarks.mme.score import coin_flip
from pargo.benchmarks.mme.tasks import NUM_IMAGES, TASKS
from pargo.benchmarks.records import Prediction, write_predictions
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.errors import PargoError
from tests.helpers.mme_official import NASTY, NUM_QUESTIONS, official_tool, predict, write_results

PAIR = "a.png\tIs it red?\tYes\tyes\na.png\tIs it blue?\tNo\tno\n"


def check_equal(record: ScoreRecord, folder: Path) -> None:
    """All figures of the record are those of the official tool, with its prefix and with the release's."""
    by_parser = {parser: official_tool(folder, prefix) for parser, prefix in PREFIX_LENGTHS.items()}
    official = by_parser[record.parser]
    for name, key in (("tasks", "score"), ("acc", "accuracy"), ("acc_plus", "accuracy_plus"), ("other", "unparseable")):
        assert {task: getattr(row, key) for task, row in record.tasks.items()} == pytest.approx(official[name])
    figures = record.figures
    assert {name: figures[name] for name in ("perception", "cognition") if name in figures} == pytest.approx(
        official["groups"]
    )
    assert figures["total"] == record.headline.value == pytest.approx(sum(official["groups"].values()))
    assert record.counts["other"] == sum(official["other"].values())
    for parser, found in by_parser.items():
        assert figures["parsers"][parser] == pytest.approx(sum(found["groups"].values()))


@pytest.mark.parametrize("parser", list(PREFIX_LENGTHS))
@pytest.mark.parametrize("seed", range(2))
def test_whole_benchmark(tmp_path, parser, seed):
    write_results(tmp_path, random.Random(seed))
    record = score_files("mme", [tmp_path], parser, 20)
    check_equal(record, tmp_path)
    assert (record.benchmark, record.parser, record.parser_version) == ("mme", parser, 1)
    headline = record.headline
    assert (headline.num_questions, headline.num_images, headline.maximum) == (2374, 1187, 2800)
    assert {task: row.num_questions for task, row in record.tasks.items()} == NUM_QUESTIONS
    assert len(record.inputs) == 14
    assert list(record.tasks) == list(NUM_IMAGES)
    to_json(record)


def test_predictions_of_a_part_are_refused_as_files_of_a_part_are(tmp_path):
    answers = [
        Prediction(
            id=f"OCR/{image}-{turn}",
            task="OCR",
            image=f"{image}.png",
            question="?",
            label=label,
            answer=label,
            prompt="?",
            parsed=label,
            image_sha256="0",
        )
        for image in range(3)
        for turn, label in enumerate(("Yes", "No"))
    ]
    write_predictions(tmp_path / "predictions.jsonl", answers)
    with pytest.raises(PargoError, match=r"0 images, but MME's task existence has 30; --partial"):
        score_files("mme", [tmp_path])
    assert score_files("mme", [tmp_path], samples=5, partial=True).headline.value == 200


def test_official_parser_is_the_default(tmp_path):
    write_results(tmp_path, random.Random(0))
    assert score_files("mme", [tmp_path], samples=5) == score_files("mme", [tmp_path], "official", 5)
    with pytest.raises(PargoError, match="mme has no parser 'exact'; choices: official, pargo_release"):
        score_files("mme", [tmp_path], "exact")


FIELDS = st.sampled_from(NASTY) | st.text(st.characters(exclude_characters="\t\n\r", codec="utf-8"), max_size=25)
LABELS = st.sampled_from(["Yes", "No", "yes", "no", "YES", "nO"])
IMAGES = st.lists(
    st.tuples(FIELDS, LABELS, FIELDS, LABELS, FIELDS), min_size=1, max_size=4, unique_by=lambda row: row[0]
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(TASKS), IMAGES, min_size=1, max_size=3), st.sampled_from(list(PREFIX_LENGTHS)))
def test_whatever_the_official_tool_accepts(tasks, parser):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task, rows in tasks.items():
            text = "".join(
                f"image {image}\tIs it?\t{truth}\t{answer}\n"
                for image, *pair in rows
                for truth, answer in (pair[:2], pair[2:])
            )
            (folder / f"{task}.txt").write_bytes(text.encode())
        check_equal(score_files("mme", [folder], parser, 5, partial=True), folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.removesuffix(b"\n"),
        lambda data: data.replace(b"\tYes\t", b"\tyes\t").replace(b"\tNo\t", b"\tNO\t"),
    ],
)
def test_line_ends_marks_and_case_do_not_matter(tmp_path, change):
    write_results(tmp_path / "plain", random.Random(1), {"count": 60, "OCR": 40})
    (tmp_path / "changed").mkdir()
    for path in (tmp_path / "plain").iterdir():
        (tmp_path / "changed" / path.name).write_bytes(change(path.read_bytes()))
    plain, changed = (score_files("mme", [tmp_path / name], samples=50, partial=True) for name in ("plain", "changed"))
    check_equal(changed, tmp_path / "changed")
    for key in ("headline", "tasks", "figures", "counts", "correct", "values"):
        assert getattr(plain, key) == getattr(changed, key)


def test_the_order_of_images_does_not_matter(tmp_path):
    rng = random.Random(2)
    write_results(tmp_path, rng)
    before = score_files("mme", [tmp_path], samples=50)
    for path in tmp_path.iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        pairs = [lines[start : start + 2] for start in range(0, len(lines), 2)]
        rng.shuffle(pairs)
        path.write_bytes(b"".join(line for pair in pairs for line in pair))
    after = score_files("mme", [tmp_path], samples=50)
    for key in ("headline", "tasks", "figures", "counts", "values"):
        assert getattr(before, key) == getattr(after, key)


def line(number: int, columns: int) -> str:
    return rf"count\.txt:{number}: {columns} column\(s\), expected 4: image, question, ground truth, response"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"count\.txt is empty; expected a line a question: image, question, ground truth, response, between tabs"),
        ("\ufeff", r"count\.txt is empty"),
        ("\n", line(1, 1)),
        (PAIR + "\n", line(3, 1)),
        (PAIR.replace("\tyes", ""), line(1, 3)),
        (PAIR.replace("\tno\n", "\tno\tyes\n"), line(2, 5)),
        (PAIR.replace("\tno\n", "\tno\nit is not\n"), line(3, 1)),
        (PAIR.replace("Is it", "Is\rit"), line(1, 2)),
        (PAIR.replace("\tNo\t", "\tMaybe\t"), r"count\.txt:2: ground truth 'Maybe', expected Yes or No"),
        (PAIR.replace("\tYes\t", "\tYes \t"), r"count\.txt:1: ground truth 'Yes ', expected Yes or No"),
        (PAIR.replace("\tYes\t", "\t\t"), r"count\.txt:1: ground truth '', expected Yes or No"),
        (
            PAIR + PAIR.replace("a.png", "b.png").split("\n")[0],
            r"count\.txt:3: one question about image 'b\.png', expected two in .* odd number of lines, 3",
        ),
        (
            PAIR.split("\n")[1] + "\n" + PAIR.replace("a.png", "b.png"),
            r"count\.txt:2: image 'b\.png', expected 'a\.png' as in line 1: MME asks two questions of every image",
        ),
        (
            PAIR + PAIR.replace("a.png", "b.png") + PAIR,
            r"count\.txt:5: image 'a\.png' again, after lines 1 and 2; MME asks two questions",
        ),
        (PAIR + PAIR, r"count\.txt:3: image 'a\.png' again"),
    ],
)
def test_a_bad_file_is_refused_by_line(tmp_path, text, message):
    (tmp_path / "count.txt").write_bytes(text.encode())
    with pytest.raises(PargoError, match=message):
        score_files("mme", [tmp_path], partial=True)


def test_a_file_that_is_not_utf8(tmp_path):
    (tmp_path / "count.txt").write_bytes(PAIR.encode() + b"\xff")
    with pytest.raises(PargoError, match=r"count\.txt: not UTF-8: .* at byte \d+"):
        score_files("mme", [tmp_path], partial=True)


def test_rows_in_another_order_are_refused(tmp_path):
    write_results(tmp_path, random.Random(3))
    path = tmp_path / "landmark.txt"
    lines = path.read_bytes().splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    path.write_bytes(b"".join(lines))
    with pytest.raises(PargoError, match=r"landmark\.txt:2: image .*, expected .* as in line 1"):
        score_files("mme", [tmp_path])


def test_missing_tasks_and_images_are_refused_unless_partial(tmp_path):
    write_results(tmp_path, random.Random(4))
    for task in ("count", "OCR"):
        (tmp_path / f"{task}.txt").unlink()
    with pytest.raises(
        PargoError, match=r"lacks 2 of MME's 14 result files: count\.txt, OCR\.txt; --partial scores the others"
    ):
        score_files("mme", [tmp_path])
    record = score_files("mme", [tmp_path], samples=5, partial=True)
    check_equal(record, tmp_path)
    assert record.headline.maximum == 2400

    write_results(tmp_path, random.Random(4), NUM_QUESTIONS | {"posters": 292})
    with pytest.raises(PargoError, match=r"posters\.txt: 146 images, but MME's task posters has 147; --partial"):
        score_files("mme", [tmp_path])
    check_equal(score_files("mme", [tmp_path], samples=5, partial=True), tmp_path)


def test_unknown_files(tmp_path):
    write_results(tmp_path, random.Random(5), {"count": 4})
    (tmp_path / "scores.json").write_text("{}")  # not read by the official tool either
    assert score_files("mme", [tmp_path], samples=5, partial=True).headline.num_questions == 4
    assert score_files("mme", [tmp_path], samples=5, partial=True).notes == ()
    (tmp_path / "score.txt").write_text(PAIR)
    (tmp_path / "log.txt").write_bytes(b"\xff")
    record = score_files("mme", [tmp_path], samples=5, partial=True)
    check_equal(record, tmp_path)
    assert record.headline.num_questions == 4
    assert record.notes == (f"{tmp_path}: left alone, as no task of MME has the name: log.txt, score.txt",)
    with pytest.raises(PargoError, match=r"lacks 13 of .*; --partial .*; log\.txt, score\.txt are no tasks of MME"):
        score_files("mme", [tmp_path])
    (tmp_path / "count.txt").rename(tmp_path / "Count.txt")
    with pytest.raises(PargoError, match=r"lacks 14 of .*; Count\.txt, log\.txt, score\.txt are no tasks of MME"):
        score_files("mme", [tmp_path], partial=True)
    for name in ("Count", "log", "score"):
        (tmp_path / f"{name}.txt").unlink()
    (tmp_path / "color.txt").mkdir()
    with pytest.raises(PargoError, match=r"cannot read .*color\.txt: Is a directory"):
        score_files("mme", [tmp_path], partial=True)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        *(("OCR.txt", "ocr.txt"), ("existence.txt", "mme_existence.txt"), ("count.txt", "count (1).txt")),
        *(("artwork.txt", "artwrok.txt"), ("color.txt", "colour.txt"), ("scene.txt", "scene.json")),
        ("existence.txt", "existence.TXT"),
    ],
)
def test_a_part_without_the_task_of_a_misspelt_file_is_refused(tmp_path, name, other):
    write_results(tmp_path, random.Random(5), dict.fromkeys(TASKS, 2))
    (tmp_path / name).rename(tmp_path / other)
    with pytest.raises(PargoError) as caught:
        score_files("mme", [tmp_path], samples=5, partial=True)
    assert str(caught.value) == f"{tmp_path / other}: is it task {name[:-4]}? {tmp_path} lacks its file, {name}"


def test_files_almost_named_like_tasks_that_are_there_are_left_alone(tmp_path):
    write_results(tmp_path, random.Random(5), dict.fromkeys(TASKS, 2))
    for name in ("counts.txt", "ocr_errors.txt", "scene.json"):
        (tmp_path / name).write_text("x")
    record = score_files("mme", [tmp_path], samples=5, partial=True)
    assert record.notes == (f"{tmp_path}: left alone, as no task of MME has the name: counts.txt, ocr_errors.txt",)


def test_inputs_that_are_no_folder(tmp_path):
    with pytest.raises(PargoError, match="lacks 14 of MME's 14 result files"):
        score_files("mme", [tmp_path], partial=True)
    (tmp_path / "count.txt").write_text(PAIR)
    for inputs in ([], [tmp_path / "count.txt"], [tmp_path, tmp_path]):
        with pytest.raises(PargoError, match=r"mme takes one folder of result files <task>\.txt, got "):
            score_files("mme", inputs)
    with pytest.raises(PargoError, match="nowhere does not exist"):
        score_files("mme", [tmp_path / "nowhere"])


@pytest.mark.parametrize("parser", list(PREFIX_LENGTHS))
def test_predictions_written_and_read_score_the_same(tmp_path, parser):
    rng = random.Random(6)
    answers = [*(answer for answer in NASTY if answer), "no\tyes", "ab\nyes", "a\r\nyes", "\n\nno", "\tyes", ""]
    tasks = {
        task: [(rng.choice(answers), rng.choice(answers)) for _ in range(number)] for task, number in NUM_IMAGES.items()
    }
    predictions = predict(tasks)
    write(predictions, tmp_path)
    found = read([tmp_path / "official"], parser=parser, partial=False)
    for item, prediction in zip(found, predictions, strict=True):
        for field in ("task", "image", "question", "label"):
            assert getattr(item, field) == getattr(prediction, field)
    assert len({item.id for item in found}) == len(found)
    assert score_answers("mme", found, parser, 20) == score_answers("mme", predictions, parser, 20)
    check_equal(score_files("mme", [tmp_path / "official"], parser, 5), tmp_path / "official")


def test_result_files_keep_every_line_whole(tmp_path):
    predictions = predict({"OCR": [("a\r\nb", "ja \u2028 nein")], "count": [("yes", ""), ("no\tyes", "No.\nBecause")]})
    write(predictions, tmp_path)
    assert sorted(path.name for path in (tmp_path / "official").iterdir()) == ["OCR.txt", "count.txt"]
    assert (tmp_path / "official" / "count.txt").read_bytes().decode() == (
        "0.png\tIs it 0?\tYes\tyes\n0.png\tIs it 1?\tNo\t\n"
        "1.png\tIs it 0?\tYes\tno yes\n1.png\tIs it 1?\tNo\tNo. Because\n"
    )
    # as many characters as before, as the parsers count them
    lines = (tmp_path / "official" / "OCR.txt").read_bytes().decode().split("\n")
    assert [line.split("\t")[3] for line in lines[:-1]] == ["a  b", "ja \u2028 nein"]


def test_any_bytes_give_a_score_or_a_precise_error(tmp_path, monkeypatch):
    """Mutations of valid files and random bytes; what the official tool accepts and we score, scores the same."""
    rng = random.Random(7)
    bits = [
        b"\t",
        b"\n",
        b"\r",
        b"",
        b"\xff",
        b"\x00",
        b"\xef\xbb\xbf",
        b"Yes",
        b"no",
        b"a.png",
        b"\xe2\x80\xa8",
        b"\t\t",
    ]
    coin = coin_flip({"count": 3}, 10)
    monkeypatch.setattr("pargo.benchmarks.mme.score.coin_flip", lambda num_images: coin)  # slow, and no part of it
    scored, refused = 0, []
    for _ in range(2600):
        data = bytearray(
            "".join(
                f"{image}.png\tIs it?\t{truth}\t{rng.choice(NASTY[:-5])}\n"
                for image in range(rng.randint(1, 3))
                for truth in ("Yes", "No")
            ).encode()
        )
        for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
            start = rng.randrange(len(data) + 1)
            data[start : start + rng.choice([0, 0, 1, 1, 5])] = rng.choice([*bits, rng.randbytes(2)])
        if rng.random() < 0.05:
            data = bytearray(rng.randbytes(rng.randrange(60)))
        (tmp_path / "count.txt").write_bytes(data)
        try:
            record = score_files("mme", [tmp_path], samples=2, partial=True)
        except PargoError as error:
            refused.append(str(error))
        else:
            scored += 1
            check_equal(record, tmp_path)
    assert all("count.txt" in message for message in refused)
    assert 500 < scored < 2000
