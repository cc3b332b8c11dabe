# ruff: noqa: RUF001 (Chinese punctuation)
"""MMBench's score equals the official rule, in every form of table, and a broken table is refused by file and line."""

import random
import re
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from pargo.benchmarks.mmbench.answers import RULES, parse
from pargo.benchmarks.mmbench.missing import MISSING, read_options
from pargo.benchmarks.mmbench.results import read
from pargo.benchmarks.mmbench.score import PARSERS
from pargo.benchmarks.mmbench.tables import read_table
from pargo.benchmarks.records import Answered, Question
from pargo.benchmarks.scores.compare import compare
from pargo.benchmarks.scores.score import score_answers, score_files, to_json
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.config.benchmarks.mmbench import MMBench
from pargo.errors import PargoError
from tests.helpers.mmbench_official import (
    LEAVES,
    TEXTS,
    VERSIONS,
    as_read,
    dev_rows,
    make_rows,
    official_letter,
    official_tool,
    write_table,
)

SMALL = {"ocr": ("FP-S", 4), "image_scene": ("CP", 3)}
PLAIN = [text for text in TEXTS if text not in MISSING]
OPTIONS = {"A": "a cat", "B": "None", "C": "猫", "D": "the dog"}
SEEN = {letter: text for letter, text in OPTIONS.items() if text != "None"}  # by a reader with pandas


def small_rows(seed: int = 0) -> list[dict]:
    rng = random.Random(seed)
    return make_rows(rng, SMALL, [rng.choice([2, 3, 4]) for _ in range(7)])


def for_sheet(text: str) -> str:
    """Without control characters, which a sheet does not hold; and no formula, which pandas would write."""
    return "".join(c for c in text if c >= " " or c in "\t\n").lstrip("=")


def right(rng: random.Random, options: dict[str, str], label: str) -> str:
    return label


def check(record: ScoreRecord, expected: dict) -> None:
    figures = record.figures
    assert record.headline.value == pytest.approx(expected["circular"][None])
    for name in ("circular", "plain"):
        assert figures[name] == pytest.approx(expected[name][None])
        found = figures[f"{name}_by_l2_category"] | figures[f"{name}_by_category"] | {None: figures[name]}
        assert found == pytest.approx(expected[name])
        assert figures[f"{name}_by_split"] == pytest.approx({"dev": expected[name][None]})
    assert {leaf: task.score for leaf, task in record.tasks.items()} == pytest.approx(figures["circular_by_category"])
    assert record.counts["unmatched"] == expected["unmatched"]
    assert record.counts["groups"] == record.headline.num_images == expected["groups"]


# Equality with the official rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".tsv", ".xlsx"])
def test_dev_split_of_v1_0_scores_as_in_the_official_tool(tmp_path, suffix):
    rows = dev_rows(seed=len(suffix) + ord(suffix[1]))
    leaves = {leaf: number for leaf, (_, number) in LEAVES.items()}
    if suffix == ".xlsx":  # which takes long to write: some questions of each category
        rows = [row for row in rows if int(row["index"]) % 1_000_000 % 4 == 0]
        rows = [{key: for_sheet(text) for key, text in row.items()} for row in rows]
        leaves = Counter(row["category"] for row in rows if int(row["index"]) < 1_000_000)
    path = write_table(rows, tmp_path / f"table{suffix}")
    started = time.perf_counter()
    record = score_files("mmbench", [path], samples=200)
    print(f"\n{suffix}: {time.perf_counter() - started:.2f} s")
    by_tool = {version: official_tool(rows, version) for version in VERSIONS}
    check(record, by_tool[VERSIONS[0]])
    by_version = {version: found["circular"][None] for version, found in by_tool.items()}
    assert record.figures["parsers"] == pytest.approx(by_version)
    assert len(set(by_version.values())) == 3
    assert {leaf: task.num_images for leaf, task in record.tasks.items()} == leaves
    num_questions = sum(task.num_questions for task in record.tasks.values())
    assert num_questions == record.headline.num_questions == len(rows)
    assert (record.counts["rows"], record.counts["groups_without_main_row"]) == (len(rows), 0)
    assert record.counts["groups_with_missing_rotations"] == 0
    assert 0.005 < record.headline.value < record.figures["plain"] < 1
    to_json(record)


@settings(max_examples=25, phases=(Phase.reuse, Phase.generate))  # shrinking takes minutes
@given(st.data())
@pytest.mark.parametrize("version", VERSIONS)
def test_any_small_table_scores_as_in_the_official_tool(version, data):
    letters = st.sampled_from(
        [*"ABCDEZ", "a", "A.", "(B)", "None", "a cat", "", "B or C", "Z", "Cannot determine the answer"]
    )
    answers = letters | st.text(alphabet="ABCDZabcnoe .,()猫", max_size=8)
    rows = make_rows(random.Random(data.draw(st.integers(0, 9))), SMALL, [2, 3, 4, 2, 3, 4, 4], right)
    for row in rows:
        row["prediction"] = data.draw(st.just(row["answer"]) | answers)
    kept = data.draw(st.lists(st.sampled_from(rows), min_size=1, unique_by=id))
    if not any(int(row["index"]) < 1_000_000 for row in kept):
        kept.append(rows[0])
    check(score_answers("mmbench", records(kept), version, 5), official_tool(kept, version))


def records(rows: list[dict]) -> list[Answered]:
    """What `results.read` makes of rows, in their order."""
    return [
        Answered(
            id=row["index"],
            task=row["category"],
            image="",
            question=row["question"],
            label=row["answer"],
            options=read_options(row),
            details={"l2-category": row["l2-category"], "split": row["split"]},
            answer=row["prediction"],
        )
        for row in rows
    ]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", ""),
        ("D", "D"),
        (" D\n", "D"),
        ("(D).", "D"),
        ("**D**", "D"),
        ("B: None", ""),  # the official tool reads tables with pandas, to which this option is a missing cell
        ("D D", "D"),
        ("A person is here", "A"),  # the tool's check for an article is off by default
        ("A or D", ""),
        ("A or B", "A"),
        ("A, a cat", "A"),
        ("A D a cat", "A"),  # two letters, but one option's text
        ("b", ""),
        ("E", ""),
        ("E, the dog", "D"),
        ("A/D", ""),
        ("D-", ""),
        ("A/D 猫", "C"),
        ("D。", ""),
        ("答案：C", ""),
        ("答案: C", "C"),
        ("\uff24", ""),
        ("none of them", ""),
        ("A CAT!", "A"),
        ("a cat and the dog", ""),
        ("Z", "Z"),
        ("(Z)", "Z"),
        ("Z A", "A"),
        ("Z a cat", "Z"),
        ("A D Z", ""),
        ("A D Z a cat", "A"),
        ("Cannot determine the answer: A", "Z"),
        ("cannot determine the answer: A", "A"),
        ("I can't process this file. the dog", "Z"),
        ("Sorry, I can't help with images of people yet. A", "Z"),
        ("I'm sorry, but without the image provided A", "Z"),
        ("Failed to obtain answer via API A", ""),
        ("Failed to obtain answer via API. The dog", "D"),
        ("Failed to obtain answer via API. Cannot determine the answer", ""),
        ("", ""),
    ],
)
def test_parser(answer, letter):
    question = Question(id="1", task="ocr", image="", question="?", label="A", options=OPTIONS)
    assert parse(answer, question, "vlmevalkit_2024_08") == letter
    assert (official_letter(answer, SEEN) or "") == letter


PHRASES = ["Z", "A", "B ", "(C)", "None", "猫", "Failed to obtain answer via API", "Cannot determine the answer", " "]
PHRASES += [
    "answer is",
    "The Correct Answer  is ",
    "**D**",
    " d",
    "b",
    " and so it is",
    "a cat",
    "nan",
    "\n",
    "anſwer is c",
]


@pytest.mark.parametrize("version", VERSIONS)
@given(
    st.lists(st.sampled_from(PHRASES) | st.text(max_size=5), max_size=9).map("".join),
    st.dictionaries(
        st.sampled_from("ABCDE"), st.sampled_from(["a cat", "None", "猫", "the dog", "an", "İ"]), min_size=1
    ),
)
@example("The answer is a picture", {"A": "a cat", "B": "the dog"})
@example("answer is d, answer is a", {"A": "a cat", "B": "the dog"})  # the first counts, and it is no option
@example("", {"A": "an", "B": "the dog"})
def test_parser_equals_the_official_one(version, answer, options):
    question = Question(id="1", task="ocr", image="", question="?", label="A", options=options)
    row = as_read([{"prediction": answer, **options}]).iloc[0].to_dict() if answer.isprintable() else None
    item = row or {letter: text for letter, text in options.items() if text != "None"}
    assert parse(answer, question, version) == (official_letter(item.get("prediction", answer), item, version) or "")


@pytest.mark.parametrize(
    ("answer", "letters"),
    [
        ("D", ("D", "D", "D")),
        ("D is what I see here now", ("D", "", "")),  # no longer among the last four words
        ("D is what I", ("D", "D", "D")),
        ("A long look: the answer is A", ("A", "", "A")),  # A stands at the beginning first
        ("the answer is d", ("", "", "D")),
        ("The answer is **D**, and nothing else in it is", ("D", "", "D")),
        ("the answer is a dog", ("", "", "A")),  # whatever follows the letter
        ("I see a cat on the left of a large red sofa", ("A", "", "")),  # longer than twice all options
        ("answer is E or D, as far as I can see it", ("D", "", "")),
        ("Cannot determine the answer, answer is D", ("Z", "Z", "Z")),
        ("Z, the answer is d", ("Z", "Z", "Z")),
        ("答案是D", ("", "", "")),
    ],
)
def test_what_the_versions_make_of_an_answer(answer, letters):
    question = Question(id="1", task="ocr", image="", question="?", label="A", options=OPTIONS)
    assert tuple(parse(answer, question, version) for version in VERSIONS) == letters
    assert tuple(official_letter(answer, SEEN, version) or "" for version in VERSIONS) == letters


def test_versions_are_not_compared(tmp_path):
    rows = write_table(small_rows(), tmp_path / "t.tsv")
    files = []
    for version in VERSIONS[:2]:
        files.append(tmp_path / f"{version}.json")
        files[-1].write_text(to_json(score_files("mmbench", [rows], version, 20)))
    with pytest.raises(PargoError, match="differ in their parser: vlmevalkit_2024_08 and vlmevalkit_2025_08"):
        compare(*files, 20)


def test_parsers_are_those_of_the_config():
    assert list(RULES) == list(PARSERS) == VERSIONS
    choices = MMBench.model_json_schema()["properties"]["parser"]
    assert choices["enum"] == VERSIONS
    assert choices["default"] == VERSIONS[0]


# What counts ----------------------------------------------------------------------------------------------------------


def test_one_wrong_rotation_makes_the_group_wrong():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [4, 2], right, PLAIN)
    rows[1]["prediction"] = "Z"
    record = score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 10)
    assert record.headline.value == record.figures["circular"] == 0.5
    assert record.figures["plain"] == pytest.approx(5 / 6)
    assert (record.counts["unmatched"], record.counts["refused"]) == (1, 1)
    assert record.tasks["ocr"].unparseable == 1
    key = rows[0]["index"]
    assert record.values["ocr"] == {key: (0, 1), rows[4]["index"]: (1, 1)}
    assert record.correct["ocr"][key] == (1, 0, 1, 1)
    assert record.baselines["chance"].value == pytest.approx((4**-4 + 2**-2) / 2)


def test_missing_rotations_do_not_matter_but_are_counted():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [4, 4], right, PLAIN)
    rows[2]["prediction"] = ""
    kept = [row for row in rows if row is not rows[2]]
    assert score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 10).headline.value == 0.5
    record = score_answers("mmbench", records(kept), "vlmevalkit_2024_08", 10)
    assert record.headline.value == 1
    assert record.counts["groups_with_missing_rotations"] == 1


def test_group_without_main_row_does_not_count():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2), "image_scene": ("CP", 1)}, [4, 4, 2], right)
    rows[5]["prediction"] = "Z"
    record = score_answers("mmbench", records([*rows[:4], *rows[5:8], *rows[9:]]), "vlmevalkit_2024_08", 10)
    assert record.headline.value == 1
    assert record.counts["groups_without_main_row"] == 2
    assert list(record.tasks) == ["ocr"]
    assert record.headline.num_questions == 4
    assert record.figures["plain"] == pytest.approx(7 / 8)
    with pytest.raises(PargoError, match="none of 3 rows is a main row"):
        score_answers("mmbench", records(rows[5:8]), "vlmevalkit_2024_08", 10)


def test_all_answers_unmatched_score_zero():
    rows = small_rows()
    for row in rows:
        row["prediction"] = "?"
    record = score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 10)
    assert record.headline.value == record.figures["plain"] == 0
    assert record.headline.interval == (0, 0)
    assert record.counts["unmatched"] == len(rows)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_does_not_matter(tmp_path, seed):
    rows = small_rows(seed)
    first = score_files("mmbench", [write_table(rows, tmp_path / "a.tsv")], samples=50)
    random.Random(seed).shuffle(rows)
    second = score_files("mmbench", [write_table(rows, tmp_path / "b.tsv")], samples=50)
    assert first.model_copy(update={"inputs": {}}) == second.model_copy(update={"inputs": {}})


def test_forms_of_an_index_and_of_a_table_do_not_matter(tmp_path):
    rows = [{key: for_sheet(text) for key, text in row.items()} for row in small_rows(3)]
    tables = {
        "text.tsv": rows,
        "float.csv": [{**row, "index": f"{row['index']}.0"} for row in rows],
        "text.xlsx": rows,
        "int.xlsx": [{**row, "index": int(row["index"])} for row in rows],
        "float.xlsx": [{**row, "index": float(row["index"])} for row in rows],
    }
    found = [
        score_files("mmbench", [write_table(table, tmp_path / name)], samples=50) for name, table in tables.items()
    ]
    check(found[0], official_tool(rows))
    first, *others = (record.model_copy(update={"inputs": {}}) for record in found)
    assert all(record == first for record in others)


def test_byte_order_mark_crlf_and_names_of_columns(tmp_path):
    path = write_table(small_rows(4), tmp_path / "a.tsv")
    expected = score_files("mmbench", [path], samples=20)
    text = path.read_bytes().decode().replace("l2-category", "L2-Category").replace("index", "Index", 1)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n\n")
    assert score_files("mmbench", [path], samples=20).figures == expected.figures
    plain = make_rows(random.Random(4), SMALL, [2] * 7, right, PLAIN)
    plain = [{key: text.replace("\n", " ") for key, text in row.items()} for row in plain]
    path = write_table(plain, tmp_path / "b.tsv")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert score_files("mmbench", [path], samples=20).headline.value == 1


def test_missing_is_what_pandas_takes_for_it():
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(MISSING) == STR_NA_VALUES


ROW = {"index": "1", "question": "?", "answer": "A", "category": "ocr", "l2-category": "CP"}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("an apple", "a banana", "nan", "nan"), "AB"),
        (("an apple", "a banana", "N/A", "NULL"), "AB"),
        (("an apple", "a banana", "None", "None"), "AB"),  # no question has an option twice
        (("an apple", "a banana", "None", ""), "ABC"),
        (("an apple", "", "a banana", "<NA>"), "AC"),
        (("nan", "an apple", "#N/A", "a banana"), "BD"),
        (("None", "none", "nan ", "NONE"), "ABCD"),  # to the letter, as pandas reads them
        (("x", "y", "z", "w", "v"), "ABCDE"),
        (("x", "y", "nan", "nan", "nan"), "AB"),  # lmms-eval's table has a column E
    ],
)
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".xlsx"])
def test_options_that_read_as_missing_are_none(tmp_path, suffix, options, shown):
    row = ROW | {"answer": shown[0]} | dict(zip("ABCDE", options, strict=False)) | {"hint": "nan", "split": "N/A"}
    path = write_table([row | {"prediction": "It is a banana"}], tmp_path / f"t{suffix}")
    (answer,) = read([path], parser=VERSIONS[0], partial=False)
    assert answer.options == {letter: row[letter] for letter in shown}
    assert (answer.hint, answer.details) == ("", {"l2-category": "CP"})
    record, expected = (
        score_files("mmbench", [path], samples=5),
        official_tool([row | {"prediction": "It is a banana"}]),
    )
    assert record.headline.value == expected["circular"][None]
    assert record.counts["unmatched"] == expected["unmatched"]
    seen = [text for text in options if text not in MISSING]
    assert record.baselines["chance"].value == (1 / len(seen) if row[shown[0]] in seen else 0)


def test_right_option_that_reads_none_is_shown_and_never_right(tmp_path):
    """With pandas the official tool reads no such option, so it can match no answer; the table has four rotations."""
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 1)}, [4], right, ["None", "x", "y", "z"])
    for row in rows:
        row["answer"] = row["prediction"] = next(letter for letter in "ABCD" if row[letter] == "None")
    for lost in (False, True):  # in a table that pandas wrote again the cell is empty
        table = [{key: "" if lost and text == "None" else text for key, text in row.items()} for row in rows]
        record = score_files("mmbench", [write_table(table, tmp_path / f"{lost}.tsv")], samples=5)
        assert record.headline.value == official_tool(table)["circular"][None] == 0
        assert record.counts["right_option_reads_missing"] == record.counts["unmatched"] == 4
        assert record.counts["groups_with_missing_rotations"] == 0
        assert record.baselines["chance"].value == 0
        (note,) = record.notes
        assert "the right option of 4 row(s) is empty or reads as missing, e.g. index " in note
        assert note.endswith("such rows are wrong whatever the answer, as in the official tool")


def test_an_empty_answer_is_the_word_nan_to_the_official_tool(tmp_path):
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 1)}, [2], right, ["an", "x"])
    for number, text in enumerate(["", "nan", "NA", "None"]):
        for row in rows:
            row |= {"prediction": text, "answer": next(letter for letter in "AB" if row[letter] == "an")}
        record = score_files("mmbench", [write_table(rows, tmp_path / f"{number}.tsv")], samples=5)
        assert record.headline.value == official_tool(rows)["circular"][None] == 1


@pytest.mark.parametrize(
    "names", [("category",), ("l2-category",), ("category", "l2-category", "hint", "source", "comment")]
)
@pytest.mark.parametrize("suffix", [".tsv", ".xlsx"])
def test_tables_without_categories(tmp_path, names, suffix):
    """LLaVA's upload has neither; the official tool then prints no table by category."""
    rows = [{key: for_sheet(text) for key, text in row.items() if key not in names} for row in small_rows()]
    record, expected = (
        score_files("mmbench", [write_table(rows, tmp_path / f"t{suffix}")], samples=5),
        official_tool(rows),
    )
    found = record.figures
    assert {None: found["circular"]} | found["circular_by_category"] | found[
        "circular_by_l2_category"
    ] == pytest.approx(expected["circular"])
    assert ("category" in names) == (list(record.tasks) == ["all"])
    lacking = " and no ".join(name for name in ("category", "l2-category") if name in names)
    assert record.notes[0] == f"{tmp_path / 't'}{suffix} has no {lacking}, so there are no figures by it"


def test_two_splits_are_divided_as_the_official_tool_does():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [2, 2], right)
    for row in rows[2:]:
        row |= {"split": "test", "prediction": "Z"}
    assert score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 5).figures["circular_by_split"] == {
        "dev": 1,
        "test": 0,
    }


# Bad tables -----------------------------------------------------------------------------------------------------------

HEADER = "index\tquestion\tA\tB\tC\tD\tanswer\tcategory\tl2-category\tprediction"
GOOD = "1\tWhat?\tcat\tdog\t\t\tA\tocr\tCP\tA"


def refuse(tmp_path: Path, text: str | bytes, message: str, name: str = "t.tsv") -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PargoError, match=message):
        score_files("mmbench", [path], samples=5)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"t\.tsv is empty; expected a header with index, question, A, B"),
        (["", "", ""], r"t\.tsv is empty"),
        ([HEADER], r"t\.tsv has a header, but no rows"),
        ([HEADER, GOOD, GOOD], r"t\.tsv:3: index 1 twice, first at .*t\.tsv:2"),
        ([HEADER, GOOD, GOOD.replace("1", "1.0", 1)], r"t\.tsv:3: index 1 twice"),
        ([HEADER, GOOD, GOOD.replace("1", " 01", 1)], r"t\.tsv:3: index 1 twice"),
        ([HEADER, GOOD.replace("1", "one", 1)], r"t\.tsv:2: index 'one', expected a whole number"),
        ([HEADER, GOOD.replace("1", "1.5", 1)], r"t\.tsv:2: index '1\.5'"),
        ([HEADER, GOOD.replace("1", "-1", 1)], r"t\.tsv:2: index '-1'"),
        ([HEADER, GOOD.replace("1", "9" * 5000, 1)], r"t\.tsv:2: index '999"),
        ([HEADER, GOOD.removeprefix("1")], r"t\.tsv:2: index ''"),
        ([HEADER, GOOD, "", GOOD.replace("ocr", " ")], r"t\.tsv:4: index 1 twice"),
        ([HEADER, "", GOOD, GOOD.replace("1", "2", 1).replace("ocr", " ")], r"t\.tsv:4: empty category, .*t\.tsv:3"),
        ([HEADER, GOOD, GOOD.replace("1", "2", 1).replace("ocr", "nan")], r"t\.tsv:3: empty category"),
        ([HEADER, GOOD, GOOD.replace("1", "2", 1).replace("CP", "")], r"t\.tsv:3: empty l2-category, .*t\.tsv:2"),
        ([HEADER, GOOD.replace("cat", "", 1).replace("dog", "nan")], r"t\.tsv:2: no option, each is empty or"),
        ([HEADER, GOOD.replace("\tA\tocr", "\tE\tocr")], r"t\.tsv:2: answer 'E' is none of the row's options A, B"),
        ([HEADER, GOOD.replace("\tA\tocr", "\tAB\tocr")], r"t\.tsv:2: answer 'AB' is none of the row's options A, B"),
        ([HEADER, GOOD.replace("\tA\tocr", "\ta\tocr")], r"t\.tsv:2: answer 'a' is none of the row's options A, B"),
        (
            [HEADER, GOOD.replace("\tA\tocr", "\t\tocr")],
            r"t\.tsv:2: no answer to score by \(1 of 1 .* its server scores",
        ),
        ([HEADER, GOOD + " or\tB"], r"t\.tsv:2: 11 cells, but the header has 10; is there an unquoted tab"),
        ([HEADER, GOOD + " or", "B"], r"t\.tsv:3: 1 cells, but the header has 10"),
        ([HEADER, GOOD.replace("1", '"1', 1), GOOD], r"t\.tsv:2: a quote that opens in this row is never closed"),
        ([HEADER + "\tindex", GOOD + "\t1"], r"t\.tsv:1: column 'index' twice"),
        ([HEADER + "\tIndex", GOOD + "\t1"], r"t\.tsv:1: column 'index' twice"),
    ],
)
def test_bad_table(tmp_path, lines, message):
    refuse(tmp_path, "\n".join(lines), message)


@pytest.mark.parametrize("name", [name for name in HEADER.split("\t") if "category" not in name])
def test_missing_column(tmp_path, name):
    cells = dict(zip(HEADER.split("\t"), GOOD.split("\t"), strict=True))
    del cells[name]
    message = r"t\.tsv:2: no answer" if name == "answer" else rf"t\.tsv:1: no column '{name}'; expected index, question"
    refuse(tmp_path, "\t".join(cells) + "\n" + "\t".join(cells.values()) + "\n", message)


def test_line_of_a_row_after_a_cell_with_line_breaks(tmp_path):
    first = GOOD.replace("What?", '"a\nb\n""c"""')
    refuse(tmp_path, "\n".join([HEADER, first, GOOD.replace("ocr", "")]), r"t\.tsv:5: index 1 twice")


def test_tab_and_line_break_in_quoted_answers_are_fine(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n".join([HEADER, GOOD + "\tB", GOOD.replace("1", "2", 1)]).replace("CP\tA\tB", 'CP\t"A\tor\nB"'))
    record = score_files("mmbench", [path], samples=5)
    assert (record.headline.value, record.counts["unmatched"]) == (0.5, 1)


def test_unknown_categories_are_the_tables_own(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n".join([HEADER, GOOD.replace("ocr", "日历").replace("CP", "新")]))
    record = score_files("mmbench", [path], samples=5)
    assert record.figures["circular_by_category"] == {"日历": 1}
    assert record.figures["circular_by_l2_category"] == {"新": 1}


def test_table_without_l2_categories(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n".join([HEADER, GOOD.replace("CP", "")]))
    assert score_files("mmbench", [path], samples=5).figures["circular_by_l2_category"] == {}


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"\xff\xfe", "t.tsv", r"t\.tsv: not UTF-8: invalid start byte at byte 0"),
        (HEADER.encode() + b"\n\xe4", "t.csv", r"t\.csv: not UTF-8"),
        (b"", "t.xlsx", r"t\.xlsx: not a readable xlsx file"),
        (b"PK\x03\x04", "t.xlsx", r"t\.xlsx: not a readable xlsx file"),
        (b"", "t.json", r"t\.json: not a table that can be read; expected \.tsv, \.csv, \.xlsx"),
    ],
)
def test_bad_file(tmp_path, data, name, message):
    refuse(tmp_path, data, message, name)


def test_bad_sheet_is_refused_by_row(tmp_path):
    rows = small_rows()
    rows[2]["category"] = ""
    rows = [{key: for_sheet(text) for key, text in row.items()} for row in rows]
    with pytest.raises(PargoError, match=r"t\.xlsx:4: empty category"):
        score_files("mmbench", [write_table(rows, tmp_path / "t.xlsx")], samples=5)


def test_size_that_a_sheet_states_is_not_believed(tmp_path):
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [4, 2], right)
    path = write_table([{key: for_sheet(text) for key, text in row.items()} for row in rows], tmp_path / "t.xlsx")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sheet = files["xl/worksheets/sheet1.xml"]
    files["xl/worksheets/sheet1.xml"] = re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1"', sheet)
    assert files["xl/worksheets/sheet1.xml"] != sheet
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert score_files("mmbench", [path], samples=5).headline.value == 1


def test_inputs_must_be_one_table(tmp_path):
    path = write_table(small_rows(), tmp_path / "t.tsv")
    for inputs in ([path, path], [tmp_path], []):
        with pytest.raises(PargoError, match=r"takes one table \(tsv, csv or xlsx\) with index, question"):
            score_files("mmbench", inputs, samples=5)


def test_predictions_without_answers_or_with_other_ids_are_refused():
    rows = records(make_rows(random.Random(0), {"ocr": ("FP-S", 1)}, [2], right))
    with pytest.raises(PargoError, match=r"has no answer to score by; MMBench's test split has none published"):
        score_answers("mmbench", [row.model_copy(update={"label": ""}) for row in rows], "vlmevalkit_2024_08", 5)
    for identifier, message in [("x", "index 'x'"), ("12.0", "plain whole number"), ("012", "plain whole number")]:
        with pytest.raises(PargoError, match=message):
            score_answers("mmbench", [rows[0].model_copy(update={"id": identifier})], "vlmevalkit_2024_08", 5)
    with pytest.raises(PargoError, match="twice"):
        score_answers("mmbench", [rows[0], rows[0]], "vlmevalkit_2024_08", 5)


def test_a_line_that_would_end_the_table_is_refused():
    with pytest.raises(PargoError, match=r"t\.tsv: holds .*end of table"):
        read_table(b"index\tanswer\n1\tA\n\0end of table\n2\tB\n", "t.tsv", ["index"])
