# ruff: noqa: RUF001 (Chinese punctuation)
"""MMBench's score equals the official rule, in every form of table, and a broken table is refused by file and line."""

import json
import random
import re
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mmbench_official import LEAVES, dev_rows, make_rows, official_letter, official_tool, write_table

from pargo.benchmarks.mmbench.answers import parse
from pargo.benchmarks.mmbench.tables import read_table
from pargo.benchmarks.records import Answered, Question
from pargo.benchmarks.score import score_answers, score_files
from pargo.errors import PargoError

SMALL = {"ocr": ("FP-S", 4), "image_scene": ("CP", 3)}
OPTIONS = {"A": "a cat", "B": "None", "C": "猫", "D": "the dog"}


def small_rows(seed: int = 0) -> list[dict]:
    rng = random.Random(seed)
    return make_rows(rng, SMALL, [rng.choice([2, 3, 4]) for _ in range(7)])


def for_sheet(text: str) -> str:
    """Without control characters, which a sheet does not hold; and no formula, which pandas would write."""
    return "".join(c for c in text if c >= " " or c in "\t\n").lstrip("=")


def right(rng: random.Random, options: dict[str, str], label: str) -> str:
    return label


def check(record: dict, expected: dict) -> None:
    figures = record["figures"]
    assert record["headline"]["value"] == pytest.approx(expected["circular"][None])
    for name in ("circular", "plain"):
        assert figures[name] == pytest.approx(expected[name][None])
        found = figures[f"{name}_by_l2_category"] | figures[f"{name}_by_category"] | {None: figures[name]}
        assert found == pytest.approx(expected[name])
        assert figures[f"{name}_by_split"] == pytest.approx({"dev": expected[name][None]})
    assert {leaf: task["score"] for leaf, task in record["tasks"].items()} == pytest.approx(
        figures["circular_by_category"]
    )
    assert record["counts"]["unmatched"] == expected["unmatched"]
    assert record["counts"]["groups"] == record["headline"]["num_images"] == expected["groups"]


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
    check(record, official_tool(rows))
    assert {leaf: task["num_images"] for leaf, task in record["tasks"].items()} == leaves
    num_questions = sum(task["num_questions"] for task in record["tasks"].values())
    assert num_questions == record["headline"]["num_questions"] == len(rows)
    assert (record["counts"]["rows"], record["counts"]["groups_without_main_row"]) == (len(rows), 0)
    assert record["counts"]["groups_with_missing_rotations"] == 0
    assert 0.005 < record["headline"]["value"] < record["figures"]["plain"] < 1
    json.dumps(record, allow_nan=False)


@settings(max_examples=50, deadline=None, phases=(Phase.reuse, Phase.generate))  # shrinking takes minutes
@given(st.data())
def test_any_small_table_scores_as_in_the_official_tool(data):
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
    check(score_answers("mmbench", records(kept), "vlmevalkit_2024_08", 5), official_tool(kept))


def records(rows: list[dict]) -> list[Answered]:
    """What `results.read` makes of rows, in their order."""
    return [
        Answered(
            id=row["index"],
            task=row["category"],
            image="",
            question=row["question"],
            label=row["answer"],
            options={letter: row[letter] for letter in "ABCD" if row[letter]},
            details={"l2-category": row["l2-category"], "split": row["split"]},
            answer=row["prediction"],
        )
        for row in rows
    ]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        (" B\n", "B"),
        ("(B).", "B"),
        ("**B**", "B"),
        ("B: None", "B"),
        ("B B", "B"),
        ("A person is here", "A"),  # the tool's check for an article is off by default
        ("A or B", ""),
        ("A, a cat", "A"),
        ("A B a cat", "A"),  # two letters, but one option's text
        ("b", ""),
        ("E", ""),
        ("E, the dog", "D"),
        ("A/B", ""),
        ("B-", ""),
        ("A/B 猫", "C"),
        ("B。", ""),
        ("答案：C", ""),
        ("答案: C", "C"),
        ("\uff22", ""),
        ("none of them", "B"),
        ("A CAT!", "A"),
        ("a cat and the dog", ""),
        ("Z", "Z"),
        ("(Z)", "Z"),
        ("Z A", "A"),
        ("Z a cat", "Z"),
        ("A B Z", ""),
        ("A B Z a cat", "A"),
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
    assert parse(answer, question, "official") == letter
    assert (official_letter(answer, OPTIONS) or "") == letter


PHRASES = ["Z", "A", "B ", "(C)", "None", "猫", "Failed to obtain answer via API", "Cannot determine the answer", " "]


@given(st.lists(st.sampled_from(PHRASES) | st.text(max_size=5), max_size=5).map("".join))
def test_parser_equals_the_official_one(answer):
    question = Question(id="1", task="ocr", image="", question="?", label="A", options=OPTIONS)
    assert parse(answer, question, "official") == (official_letter(answer, OPTIONS) or "")


# What counts ----------------------------------------------------------------------------------------------------------


def test_one_wrong_rotation_makes_the_group_wrong():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [4, 2], right)
    rows[1]["prediction"] = "Z"
    record = score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 10)
    assert record["headline"]["value"] == record["figures"]["circular"] == 0.5
    assert record["figures"]["plain"] == pytest.approx(5 / 6)
    assert (record["counts"]["unmatched"], record["counts"]["refused"]) == (1, 1)
    assert record["tasks"]["ocr"]["unparseable"] == 1
    key = rows[0]["index"]
    assert record["values"]["ocr"] == {key: [0, 1], rows[4]["index"]: [1, 1]}
    assert record["correct"]["ocr"][key] == [1, 0, 1, 1]
    assert record["baselines"]["chance"]["value"] == pytest.approx((4**-4 + 2**-2) / 2)


def test_missing_rotations_do_not_matter_but_are_counted():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [4, 4], right)
    rows[2]["prediction"] = ""
    kept = [row for row in rows if row is not rows[2]]
    assert score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 10)["headline"]["value"] == 0.5
    record = score_answers("mmbench", records(kept), "vlmevalkit_2024_08", 10)
    assert record["headline"]["value"] == 1
    assert record["counts"]["groups_with_missing_rotations"] == 1


def test_group_without_main_row_does_not_count():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2), "image_scene": ("CP", 1)}, [4, 4, 2], right)
    rows[5]["prediction"] = "Z"
    record = score_answers("mmbench", records([*rows[:4], *rows[5:8], *rows[9:]]), "vlmevalkit_2024_08", 10)
    assert record["headline"]["value"] == 1
    assert record["counts"]["groups_without_main_row"] == 2
    assert list(record["tasks"]) == ["ocr"]
    assert record["headline"]["num_questions"] == 4
    assert record["figures"]["plain"] == pytest.approx(7 / 8)
    with pytest.raises(PargoError, match="none of 3 rows is a main row"):
        score_answers("mmbench", records(rows[5:8]), "vlmevalkit_2024_08", 10)


def test_all_answers_unmatched_score_zero():
    rows = small_rows()
    for row in rows:
        row["prediction"] = "?"
    record = score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 10)
    assert record["headline"]["value"] == record["figures"]["plain"] == 0
    assert record["headline"]["interval"] == [0, 0]
    assert record["counts"]["unmatched"] == len(rows)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_does_not_matter(tmp_path, seed):
    rows = small_rows(seed)
    first = score_files("mmbench", [write_table(rows, tmp_path / "a.tsv")], samples=50)
    random.Random(seed).shuffle(rows)
    second = score_files("mmbench", [write_table(rows, tmp_path / "b.tsv")], samples=50)
    assert {**first, "inputs": None} == {**second, "inputs": None}


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
    assert all({**record, "inputs": None} == {**found[0], "inputs": None} for record in found)


def test_byte_order_mark_crlf_and_names_of_columns(tmp_path):
    path = write_table(small_rows(4), tmp_path / "a.tsv")
    expected = score_files("mmbench", [path], samples=20)
    text = path.read_bytes().decode().replace("l2-category", "L2-Category").replace("index", "Index", 1)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n\n")
    assert score_files("mmbench", [path], samples=20)["figures"] == expected["figures"]
    plain = make_rows(random.Random(4), SMALL, [2] * 7, right)
    plain = [{key: text.replace("\n", " ") for key, text in row.items()} for row in plain]
    path = write_table(plain, tmp_path / "b.tsv")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert score_files("mmbench", [path], samples=20)["headline"]["value"] == 1


def test_option_texts_none_na_and_null_are_options(tmp_path):
    row = {
        "index": "1",
        "question": "?",
        "A": "null",
        "B": "None",
        "C": "NA",
        "D": "nan",
        "answer": "B",
        "category": "ocr",
    }
    row |= {"l2-category": "CP", "prediction": "none of these"}
    for suffix in (".tsv", ".xlsx"):
        path = write_table([row], tmp_path / f"a{suffix}")
        assert score_files("mmbench", [path], samples=5)["headline"]["value"] == 1


def test_options_stop_at_the_first_empty_one(tmp_path):
    row = {"index": "1", "question": "?", "A": "x", "B": "y", "C": "", "D": "z", "answer": "B", "category": "ocr"}
    path = write_table([row | {"l2-category": "CP", "prediction": "D or B"}], tmp_path / "a.tsv")
    assert score_files("mmbench", [path], samples=5)["headline"]["value"] == 1


def test_two_splits_are_divided_as_the_official_tool_does():
    rows = make_rows(random.Random(0), {"ocr": ("FP-S", 2)}, [2, 2], right)
    for row in rows[2:]:
        row |= {"split": "test", "prediction": "Z"}
    assert score_answers("mmbench", records(rows), "vlmevalkit_2024_08", 5)["figures"]["circular_by_split"] == {
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
        ([HEADER, "", GOOD.replace("ocr", " ")], r"t\.tsv:3: empty category"),
        ([HEADER, GOOD, GOOD.replace("1", "2", 1).replace("CP", "")], r"t\.tsv:3: empty l2-category, .*t\.tsv:2"),
        ([HEADER, GOOD.replace("cat", "", 1)], r"t\.tsv:2: option A is empty"),
        ([HEADER, GOOD.replace("\tA\tocr", "\tC\tocr")], r"t\.tsv:2: answer 'C' is none of the row's options A, B"),
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


@pytest.mark.parametrize("name", HEADER.split("\t"))
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
    assert (record["headline"]["value"], record["counts"]["unmatched"]) == (0.5, 1)


def test_unknown_categories_are_the_tables_own(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n".join([HEADER, GOOD.replace("ocr", "日历").replace("CP", "新")]))
    record = score_files("mmbench", [path], samples=5)
    assert record["figures"]["circular_by_category"] == {"日历": 1}
    assert record["figures"]["circular_by_l2_category"] == {"新": 1}


def test_table_without_l2_categories(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n".join([HEADER, GOOD.replace("CP", "")]))
    assert score_files("mmbench", [path], samples=5)["figures"]["circular_by_l2_category"] == {}


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
    assert score_files("mmbench", [path], samples=5)["headline"]["value"] == 1


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
