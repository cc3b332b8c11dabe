"""Labels and answers belong together by order, which is checked; no bytes make the reader crash."""

import contextlib
import json
import random

import pytest

from pargo.benchmarks.pope.results import write as write_results
from pargo.benchmarks.records import PREDICTIONS, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_files, to_json
from pargo.errors import PargoError
from tests.helpers.pope_files import SPLITS, label, lines, write

LABELS = [label(number) for number in range(12)]
ANSWERS = [
    {"question_id": row["question_id"], "prompt": row["text"], "text": ("Yes", "No, it")[row["question_id"] % 3 == 0]}
    for row in LABELS
]
BARE = [{"question": row["prompt"], "answer": row["text"]} for row in ANSWERS]  # as evaluate.py's own examples


def score(folder, labels, answers, **options):
    """The score of two files, given as rows or bytes."""
    paths = []
    for name, value in (("labels.json", labels), ("answers.jsonl", answers)):
        path = folder / name
        path.write_bytes(value if isinstance(value, bytes) else lines(value))
        paths.append(path)
    return score_files("pope", paths, samples=2, **options).model_copy(update={"inputs": {}})


def change(rows: list[dict], number: int, **changes) -> list[dict]:
    """The rows with one changed; ... takes a key away."""
    found = [dict(row) for row in rows]
    line = found[number] | changes
    found[number] = {key: value for key, value in line.items() if value is not ...}
    return found


def swap(rows: list[dict], first: int, second: int) -> list[dict]:
    found = list(rows)
    found[first], found[second] = found[second], found[first]
    return found


def test_equal_in_every_spelling(tmp_path):
    expected = score(tmp_path, LABELS, ANSWERS)
    assert list(expected.tasks) == ["all"]
    assert expected.headline.num_images == 2
    spellings = [
        (LABELS, [{"question_id": row["question_id"], "answer": row["text"]} for row in ANSWERS]),
        (LABELS, [row | {"question_id": str(row["question_id"])} for row in ANSWERS]),
        (LABELS, [row | {"question_id": float(row["question_id"])} for row in ANSWERS]),
        (LABELS, BARE),
        (LABELS, [row | {"image": own["image"]} for row, own in zip(ANSWERS, LABELS, strict=True)]),
        (LABELS, [row | {"answer": row["text"], "text": row["prompt"]} for row in ANSWERS]),
        (LABELS, lines(ANSWERS).replace(b"\n", b"\r\n")),
        (LABELS, b"\xef\xbb\xbf" + lines(ANSWERS)),
        (lines(LABELS).replace(b"\n", b"\r\n").removesuffix(b"\r\n"), ANSWERS),
        (b"\xef\xbb\xbf" + lines(LABELS), ANSWERS),
    ]
    for labels, answers in spellings:
        assert score(tmp_path, labels, answers) == expected
    order = random.Random(1).sample(range(12), 12)
    same = score(tmp_path, [LABELS[index] for index in order], [ANSWERS[index] for index in order])
    assert {key: getattr(same, key) for key in ("headline", "tasks", "figures")} == {
        key: getattr(expected, key) for key in ("headline", "tasks", "figures")
    }


def test_labels_alone_are_enough(tmp_path):
    labels = [{"label": row["label"]} for row in LABELS]
    record = score(tmp_path, labels, BARE)
    assert record.figures == score(tmp_path, LABELS, ANSWERS).figures
    assert record.headline.num_images == 12  # unknown, so every question counts as an image


def test_splits_by_name_and_by_category(tmp_path):
    labels, answers = write(tmp_path / "coco_pope_popular.json", LABELS), write(tmp_path / "x.jsonl", ANSWERS)
    assert list(score_files("pope", [labels, answers], samples=2).tasks) == ["popular"]
    labels, answers = write(tmp_path / "l.json", LABELS), write(tmp_path / "adversarial.jsonl", ANSWERS)
    assert list(score_files("pope", [labels, answers], samples=2).tasks) == ["adversarial"]
    named = [row | {"category": SPLITS[index % 3]} for index, row in enumerate(LABELS)]
    assert list(score(tmp_path, named, ANSWERS).tasks) == list(SPLITS)
    # all splits one after the other: ids begin anew, order pairs them all the same
    record = score(tmp_path, LABELS * 3, ANSWERS * 3)
    assert record.figures["all"]["tp"] == 3 * score(tmp_path, LABELS, ANSWERS).figures["all"]["tp"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (b"", r"answers.jsonl is empty"),
        (b"\xff", r"answers.jsonl: not UTF-8: invalid start byte at byte 0"),
        (lines(ANSWERS) + b"\n", r"answers.jsonl:13: empty line, expected a JSON object"),
        (lines(ANSWERS[:2]) + b"{\n", r"answers.jsonl:3: not valid JSON: "),
        (b"[" * 100000, r"answers.jsonl:1: not valid JSON: "),
        (lines(ANSWERS[:2]) + b"[]\n", r"answers.jsonl:3: \[\], expected a JSON object"),
        (change(ANSWERS, 4, text=...), r"answers.jsonl:5: no `text`; there are 'question_id', 'prompt'"),
        (change(ANSWERS, 4, text=None), r"answers.jsonl:5: `text` is None, expected a text"),
        (change(ANSWERS, 4, answer=1), r"answers.jsonl:5: `answer` is 1, expected a text"),
        (change(ANSWERS, 4, text=float("nan")), r"answers.jsonl:5: `text` is nan, expected a text"),
        (change(ANSWERS, 4, question_id=None), r"answers.jsonl:5: `question_id` is None"),
        (
            change([row | {"prompt": "?"} for row in ANSWERS], 4, question_id=99),
            r"answers.jsonl:5: question '99' is not in .*labels.json; without `question_id` answers are paired by th",
        ),
        (change(ANSWERS, 4, question_id=99)[:-1], r"answers.jsonl:5: question '99' is not in .*labels.json"),
        (
            [row | {"question_id": row["question_id"] + 100} for row in swap(ANSWERS, 2, 3)],
            r"answers.jsonl:1: question '101' is not in .*labels.json",
        ),
        (change(ANSWERS, 4, question_id=4), r"answers.jsonl:5: `question_id` is '4', but .*labels.json:5 has '5'"),
        (
            ANSWERS[:-1],
            r"answers.jsonl: 11 answers to the 12 questions of .*labels.json; the first without one is '12'",
        ),
        ([*ANSWERS, ANSWERS[3]], r"answers.jsonl: 13 answers to the 12 questions of .*labels.json"),
        (BARE[:-1], r"answers.jsonl: 11 answers to the 12 questions of .*labels.json"),
        (swap(ANSWERS, 2, 3), r"answers.jsonl:3: `question_id` is '4', but .*labels.json:3 has '3': answers belong to"),
        (list(reversed(ANSWERS)), r"answers.jsonl:1: `question_id` is '12'"),
        (swap(BARE, 2, 3), r"answers.jsonl:3: `question` is 'Is there a random thing 3 .*labels.json:3 has 'Is there"),
        (
            [row | {"image": LABELS[11 - index]["image"]} for index, row in enumerate(BARE)],
            r"answers.jsonl:1: `image` is 'COCO_val2014_000000000001.jpg', but .*labels.json:1 has",
        ),
    ],
)
def test_bad_answers(tmp_path, answers, message):
    with pytest.raises(PargoError, match=message):
        score(tmp_path, LABELS, answers)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (b"", r"labels.json is empty"),
        (b"\xfe", r"labels.json: not UTF-8"),
        (change(LABELS, 4, label="Yes"), r"labels.json:5: `label` is 'Yes', expected yes or no"),
        (change(LABELS, 4, label="maybe"), r"labels.json:5: `label` is 'maybe', expected yes or no"),
        (change(LABELS, 4, label=1), r"labels.json:5: `label` is 1, expected a text"),
        (change(LABELS, 4, label=...), r"labels.json:5: no `label`; there are 'question_id', 'image', 'text'"),
        (change(LABELS, 4, image=None), r"labels.json:5: `image` is None"),
        (
            change(LABELS, 4, category="hard"),
            r"labels.json:5: `category` is 'hard', expected random, popular, adversarial",
        ),
        (
            change(LABELS, 4, question_id=4, text="?"),
            r"answers.jsonl:5: question '5' is not in .*labels.json",
        ),
        (swap(LABELS, 4, 5), r"answers.jsonl:5: `question_id` is '5', but .*labels.json:5 has '6'"),
    ],
)
def test_bad_labels(tmp_path, labels, message):
    with pytest.raises(PargoError, match=message):
        score(tmp_path, labels, ANSWERS)


def test_unreadable_answers_count_as_yes(tmp_path):
    answers = [
        row | {"text": text} for row, text in zip(ANSWERS, ["", "?", "\ud800", "\x00", *"abcdefgh"], strict=True)
    ]
    record = score(tmp_path, LABELS, answers)
    assert record.figures["all"]["yes_ratio"] == 1
    assert record.counts == {"neither_yes_nor_no": 12}


def test_partial_needs_ids_that_stand_once(tmp_path):
    """Three splits in one file count from 1 each: an answer to the second would be taken for one to the first."""
    labels = [row | {"question_id": 1 + index % 4} for index, row in enumerate(LABELS)]
    answers = [row | {"question_id": 1 + index % 4} for index, row in enumerate(ANSWERS)][4:8]
    with pytest.raises(PargoError, match=r"question '1' stands 3 times in the labels"):
        score(tmp_path, labels, answers, partial=True)


def test_partial_needs_ids_and_order(tmp_path):
    chosen = [ANSWERS[index] for index in (1, 4, 5, 9)]
    record = score(tmp_path, LABELS, chosen, partial=True)
    expected = score(tmp_path, [LABELS[index] for index in (1, 4, 5, 9)], chosen)
    assert record == expected
    with pytest.raises(PargoError, match=r"answers.jsonl:3: question '5' is not in the order of the labels"):
        score(tmp_path, LABELS, swap(chosen, 1, 2), partial=True)
    with pytest.raises(PargoError, match=r"4 answers to the 12 questions"):
        score(tmp_path, LABELS, BARE[:4], partial=True)
    with pytest.raises(PargoError, match=r"4 answers to the 12 questions of .*; the first without one is '1'"):
        score(tmp_path, LABELS, chosen)


def test_folders(tmp_path):
    for split in SPLITS:
        write(tmp_path / "labels" / f"coco_pope_{split}.json", LABELS)
    write(tmp_path / "answers" / "random.jsonl", ANSWERS)
    write(tmp_path / "answers" / "popular.jsonl", ANSWERS)
    folders = [tmp_path / "labels", tmp_path / "answers"]
    with pytest.raises(PargoError, match=r"answers: no answers to split adversarial, of which .*labels has labels"):
        score_files("pope", folders)
    assert list(score_files("pope", folders, samples=2, partial=True).tasks) == ["random", "popular"]
    (tmp_path / "labels" / "coco_pope_popular.json").unlink()
    with pytest.raises(PargoError, match=r"popular.jsonl: .*labels has no labels of split popular"):
        score_files("pope", folders)
    write(tmp_path / "answers" / "random2.jsonl", ANSWERS)
    with pytest.raises(PargoError, match=r"random2.jsonl: .*random.jsonl is of split random as well"):
        score_files("pope", folders)
    (tmp_path / "answers" / "random2.jsonl").rename(tmp_path / "answers" / "other.jsonl")
    with pytest.raises(PargoError, match=r"other.jsonl: its name must hold one of random, popular, adversarial"):
        score_files("pope", folders)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PargoError, match=r"empty holds no .json or .jsonl file"):
        score_files("pope", [tmp_path / "labels", tmp_path / "empty"])
    with pytest.raises(PargoError, match=r"one is a folder and the other is not"):
        score_files("pope", [tmp_path / "labels" / "coco_pope_random.json", tmp_path / "answers"])
    with pytest.raises(PargoError, match=r"random.jsonl is named after split random, but .*adversarial.json after"):
        score_files("pope", [tmp_path / "labels" / "coco_pope_adversarial.json", tmp_path / "answers" / "random.jsonl"])
    with pytest.raises(PargoError, match=r"pope takes labels and answers, .*, got 1 input"):
        score_files("pope", folders[:1])


OWN = [row | {"question_id": row["question_id"] - 1} for row in ANSWERS]  # counted from 0


@pytest.mark.parametrize(
    "answers",
    [
        OWN,
        [{"question_id": row["question_id"], "answer": row["text"]} for row in OWN],
        [row | {"question_id": f"{row['question_id'] + 500_000}"} for row in OWN],
        [row | {"question_id": f"coco-{row['question_id']}"} for row in OWN],  # each question is that of its label
        [
            row | {"question_id": row["question_id"] ** 2, "prompt": f"{row['prompt']}\nAnswer with a word."}
            for row in OWN
        ],
    ],
)
def test_answers_with_a_numbering_of_their_own_are_paired_by_order(tmp_path, answers):
    expected, found = score(tmp_path, LABELS, ANSWERS), score(tmp_path, LABELS, answers)
    assert expected.notes == ()
    (note,) = found.notes
    assert "its `question_id` are not those of" in note
    assert "paired by their order, as the official evaluate.py does" in note
    assert found.model_copy(update={"notes": ()}) == expected


@pytest.mark.parametrize("keep", [{"question_id", "prompt", "text"}, {"prompt", "text"}])
@pytest.mark.parametrize("numbered", ["before", "after"])
def test_answers_in_another_order_than_the_labels_are_refused(tmp_path, keep, numbered):
    """Shuffled before they were numbered or after, with the question in `prompt` alone, as LLaVA writes it."""
    rows = [row | {"prompt": f"{row['prompt']}\nAnswer with a word."} for row in OWN]
    order = random.Random(3).sample(range(12), 12)
    rows = [
        rows[place] | ({"question_id": number} if numbered == "after" else {}) for number, place in enumerate(order)
    ]
    with pytest.raises(PargoError, match=r"belong to labels by their order|is not in .*labels.json"):
        score(tmp_path, LABELS, [{key: row[key] for key in keep} for row in rows])


def test_own_ids_out_of_order_are_refused_though_the_questions_are_the_same(tmp_path):
    """Both images are asked the same, so that questions alone do not tell one's lines from the other's."""
    labels = [row | {"text": f"Is there a thing {number % 6}?"} for number, row in enumerate(LABELS)]
    own = [{"question_id": number, "question": row["text"], "answer": "yes"} for number, row in enumerate(labels)]
    assert score(tmp_path, labels, own).notes != ()
    with pytest.raises(PargoError, match=r"answers.jsonl:7: question '0' is not in"):
        score(tmp_path, labels, own[6:] + own[:6])


@pytest.mark.parametrize("end", ["", "\nAnswer the question using a single word or phrase."])
def test_files_of_questions_are_no_answers(tmp_path, end):
    """Labels, or LLaVA's questions: their `text` would be read as the answer."""
    with pytest.raises(PargoError, match=r"answers\.jsonl: every `text` in it is the question"):
        score(tmp_path, LABELS, [row | {"text": row["text"] + end} for row in LABELS])


def merged(tmp_path, order=("adversarial", "random", "popular"), numbers=(12, 12, 12)):
    """A folder of labels, LLaVA's file of all questions, and its file of all answers."""
    sizes, questions, answers = dict(zip(SPLITS, numbers, strict=True)), [], []
    for split in SPLITS:
        write(tmp_path / "coco" / f"coco_pope_{split}.json", [label(number, split) for number in range(sizes[split])])
    for split in order:
        for number in range(sizes[split]):
            row = label(number, split)
            text = f"{row['text']}\nAnswer the question using a single word or phrase."
            question = {"question_id": len(questions), "image": row["image"], "text": text, "category": split}
            questions.append(question)
            answer = "Yes" if (number + len(split)) % 3 else "No, it is not."
            answers.append({"question_id": len(answers), "prompt": text, "text": answer})
    return tmp_path / "coco", write(tmp_path / "llava_pope_test.jsonl", questions), write(tmp_path / "a.jsonl", answers)


def divided(tmp_path, answers, order, numbers=(12, 12, 12)):
    """The same answers in a file a split, as `pargo score` always took them."""
    rows, sizes = (
        [json.loads(line) for line in answers.read_text().splitlines()],
        dict(zip(SPLITS, numbers, strict=True)),
    )
    for split in order:
        part, rows = rows[: sizes[split]], rows[sizes[split] :]
        bare = [{"question": row["prompt"].split("\n")[0], "answer": row["text"]} for row in part]
        write(tmp_path / "divided" / f"{split}.jsonl", bare)
    return tmp_path / "divided"


@pytest.mark.parametrize("with_questions", [True, False])
@pytest.mark.parametrize("order", [("adversarial", "random", "popular"), SPLITS])
def test_llavas_merged_file(tmp_path, with_questions, order):
    numbers = (6, 12, 18)
    coco, questions, answers = merged(tmp_path, order, numbers)
    inputs = [coco, questions, answers] if with_questions else [coco, answers]
    record = score_files("pope", inputs, samples=20)
    (note,) = record.notes
    assert f"was divided into {', '.join(order)} by {questions if with_questions else 'the questions in it'}" in note
    expected = score_files("pope", [coco, divided(tmp_path, answers, order, numbers)], samples=20)
    assert record.model_dump(exclude={"inputs", "notes"}) == expected.model_dump(exclude={"inputs", "notes"})
    assert len({tuple(record.figures[split].items()) for split in SPLITS}) == 3


def test_llavas_merged_file_in_disorder(tmp_path):
    coco, questions, answers = merged(tmp_path)
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    hint = r"; name LLaVA's llava_pope_test\.jsonl between labels and answers"
    for changed, message in [
        (rows[:-1], rf"a\.jsonl: 35 answers to the 36 questions of .*{hint}"),
        (swap(rows, 0, 1), rf"a\.jsonl: its questions are those of the labels in no order of .*{hint}"),
        (
            [{"text": row["text"]} for row in rows],
            rf"a\.jsonl: its questions are those of the labels in no order.*{hint}",
        ),
    ]:
        write(answers, changed)
        with pytest.raises(PargoError, match=message):
            score_files("pope", [coco, answers])
    write(answers, rows[:-1])
    with pytest.raises(PargoError, match=r"a\.jsonl: 11 answers to the 12 questions of .*popular"):
        score_files("pope", [coco, questions, answers])
    write(answers, rows[:12])
    with pytest.raises(PargoError, match=r"a\.jsonl: no answers to split popular, random, of which .*coco has labels"):
        score_files("pope", [coco, questions, answers])
    assert list(score_files("pope", [coco, questions, answers], samples=2, partial=True).tasks) == ["adversarial"]
    write(answers, [*rows[:-1], rows[-1] | {"question_id": 99}])
    with pytest.raises(PargoError, match=r"a\.jsonl:36: question '99' is not among the questions"):
        score_files("pope", [coco, questions, answers])
    write(questions, [{"question_id": 0, "category": "hard"}])
    with pytest.raises(PargoError, match=r"llava_pope_test\.jsonl:1: `category` is 'hard', expected random"):
        score_files("pope", [coco, questions, answers])
    with pytest.raises(PargoError, match="expected a folder of labels and a file of answers"):
        score_files("pope", [answers, questions, answers])


def test_llavas_merged_file_in_another_order_is_refused_by_image_and_question(tmp_path):
    """LLaVA's own tool reads each split by order, so lines that were shuffled get a wrong score from it."""
    coco, questions, answers = merged(tmp_path)
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    bare = [{key: row[key] for key in ("question_id", "text")} for row in rows]
    expected = score_files("pope", [coco, questions, answers], samples=2).figures
    assert score_files("pope", [coco, questions, write(answers, bare)], samples=2).figures == expected
    for changed in (swap(bare, 0, 1), bare[6:12] + bare[:6] + bare[12:], [*bare[:-1], bare[-2]], swap(rows, 1, 7)):
        write(answers, changed)
        with pytest.raises(
            PargoError, match=r"a\.jsonl:\d+: `(image|question)` is .*answers belong to labels by their"
        ):
            score_files("pope", [coco, questions, answers])


def test_a_merged_file_whose_ids_do_not_grow_is_refused(tmp_path):
    """Lines of one image in the place of another's: the questions are the same, the ids tell."""
    coco, _, answers = merged(tmp_path)
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    write(answers, rows[6:12] + rows[:6] + rows[12:])
    with pytest.raises(PargoError, match=r"a\.jsonl: its `question_id` do not grow.*; name LLaVA's llava_pope_test"):
        score_files("pope", [coco, answers])


def test_no_bytes_of_a_merged_file_make_it_crash(tmp_path):
    rng = random.Random(9)
    coco, questions, answers = merged(tmp_path, numbers=(2, 3, 4))
    contents = {path: path.read_bytes() for path in (questions, answers)}
    scored = 0
    for _ in range(400):
        path = rng.choice(list(contents))
        path.write_bytes(mutate(rng, contents[path]))
        inputs = [coco, questions, answers] if rng.random() < 0.7 else [coco, answers]
        with contextlib.suppress(PargoError):
            to_json(score_files("pope", inputs, samples=2, partial=rng.random() < 0.5)).encode()
            scored += 1
        path.write_bytes(contents[path])
    assert 20 < scored < 380


def test_an_order_of_splits_that_may_be_another_is_refused(tmp_path):
    """The questions fit two orders, and the labels differ: only the file of questions can tell."""
    coco, questions, answers = merged(tmp_path)
    for split in SPLITS:
        rows = [label(number, "random", label=("yes", "no")[(number + len(split)) % 2]) for number in range(12)]
        write(coco / f"coco_pope_{split}.json", rows)
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    write(answers, [row | {"prompt": label(index % 12)["text"]} for index, row in enumerate(rows)])
    with pytest.raises(PargoError, match=r"a\.jsonl: its questions fit several orders of .*; name LLaVA's llava_pope"):
        score_files("pope", [coco, answers])
    assert score_files("pope", [coco, questions, answers], samples=2).headline.num_questions == 36


def test_predictions_survive_their_official_files(tmp_path):
    nasty = ["yes", "No.", "", "a\nb no c", "\u2028", "no\r\n", '"\\', "🙂", "n,o", "Yes. no", "not a", "NO"]
    predictions = []
    for split in reversed(SPLITS):
        rows = [label(number, split) for number in range(12)]
        write(tmp_path / "labels" / f"coco_pope_{split}.json", rows)
        predictions += [
            Prediction(
                id=f"{split}/{row['question_id']}",
                task=split,
                image=row["image"],
                question=row["text"],
                label=row["label"],
                details={"question_id": str(row["question_id"])},
                answer=answer,
                prompt="",
                parsed="",
                image_sha256="",
            )
            for row, answer in zip(rows, nasty, strict=True)
        ]
    write_results(predictions, tmp_path)
    first = json.loads((tmp_path / "official" / "coco_pope_random_answers.json").read_text().split("\n")[0])
    assert first == {"question_id": 1, "question": "Is there a random thing 0 in the image?", "answer": "yes"}
    record = score_files("pope", [tmp_path / "labels", tmp_path / "official"], samples=20)
    write_predictions(tmp_path / PREDICTIONS, predictions)
    own = score_files("pope", [tmp_path], samples=20)
    assert record.model_copy(update={"inputs": {}}) == own.model_copy(update={"inputs": {}})


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut, doubled or put in."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 3])):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            content[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            del content[at : at + rng.randrange(20)]
        elif kind == 2:
            content[at:at] = content[at : at + rng.randrange(60)]
        else:
            words = [
                b"NaN",
                b'"\\ud800"',
                b"\\ud800",
                b"null",
                b"{}",
                b"[",
                b"\n",
                b"\r",
                b"\x00",
                b"\xef\xbb\xbf",
                b"1",
            ]
            content[at:at] = rng.choice(words)
    return bytes(content)


def test_no_bytes_make_it_crash(tmp_path):
    rng = random.Random(8)
    kinds = [(lines(LABELS[:3]), lines(ANSWERS[:3])), (lines(LABELS[:3]), lines(BARE[:3]))]
    names = [("a.json", "b.json"), ("random.json", "x"), ("popular.json", "c.jsonl")]
    scored = 0
    for case in range(2600):
        contents, which = list(rng.choice(kinds)), rng.randrange(2)
        contents[which] = rng.randbytes(rng.randrange(60)) if case % 10 == 0 else mutate(rng, contents[which])
        paths = [tmp_path / name for name in rng.choice(names)]
        for path, data in zip(paths, contents, strict=True):
            path.write_bytes(data)
        with contextlib.suppress(PargoError):
            record = score_files("pope", paths, samples=2, partial=rng.random() < 0.5)
            to_json(record).encode()
            scored += 1
    assert 100 < scored < 2500  # both ends are met often
