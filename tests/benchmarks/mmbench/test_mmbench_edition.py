"""Which MMBench a record is of: by the names of tables, by what they hold, and unknown where neither says it."""

from __future__ import annotations

import pytest

from pargo.benchmarks.mmbench.edition import SIZES, edition
from pargo.benchmarks.mmbench.rows import table_of
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.compare import compare
from pargo.benchmarks.scores.score import score_files, to_json
from pargo.benchmarks.scores.show import show
from pargo.errors import PargoError
from tests.helpers.mmbench_official import dev_rows, write_table


def answers(*tables: str, split: str = "", question: str = "What is it?") -> list[Answered]:
    details = [{"table": table} if table else {} for table in tables]
    return [
        Answered(
            id=str(number),
            task="ocr",
            image="",
            question=question,
            label="A",
            answer="A",
            details=detail | ({"split": split} if split else {}),
        )
        for number, detail in enumerate(details)
    ]


@pytest.mark.parametrize(
    ("where", "table"),
    [
        ("data/MMBench_DEV_EN.tsv:12", "MMBench_DEV_EN"),
        ("MMBench_TEST_CN_V11.tsv", "MMBench_TEST_CN_V11"),
        ("out/llava_v1.5_7b_MMBench_DEV_EN_V11.xlsx:2", "MMBench_DEV_EN_V11"),
        ("mmbench_dev_cn_20231003.tsv", "mmbench_dev_cn"),
        ("MMBench_TEST_EN_legacy.tsv", "MMBench_TEST_EN"),
        ("hub/en/dev-00000-of-00001.parquet:4", "en/dev"),
        ("mmbench.xlsx:2", None),
        ("MMBench_DEV_ENGLISH.tsv", None),
        ("MMBench_DEV_EN/table.tsv:2", None),
        ("hub/cc/test-00000-of-00001.parquet", None),
        ("mmbench_dev_20230712.tsv", None),
    ],
)
def test_names_of_tables(where, table):
    assert table_of(where) == ({"table": table} if table else {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answers("MMBench_DEV_EN"), ("dev", "EN", "1.0")),
        (answers("MMBench_TEST_CN_V11"), ("test", "CN", "1.1")),
        (answers("mmbench_dev_cn_v11", question="是什么"), ("dev", "CN", "1.1")),
        (answers("en/test"), ("test", "EN", "unknown")),
        (answers(""), ("unknown", "unknown", "unknown")),
        (answers("", split="dev"), ("dev", "unknown", "unknown")),
        (answers("", question="图中是什么"), ("unknown", "CN", "unknown")),
        (answers("MMBench_DEV_EN", "MMBench_TEST_EN"), ("dev+test", "EN", "1.0")),
        (answers("MMBench_DEV_EN", ""), ("unknown", "unknown", "unknown")),
    ],
)
def test_editions(given, expected):
    assert tuple(edition(given, num_groups=len(given)).values()) == expected


@pytest.mark.parametrize("split", SIZES)
def test_the_size_of_v1_0(split):
    rows, groups = SIZES[split]
    assert edition(answers(*[""] * rows, split=split), groups)["version"] == "1.0"
    assert edition(answers(*[""] * rows, split=split), groups - 1)["version"] == "unknown"
    assert edition(answers(*[""] * (rows - 1), split=split), groups)["version"] == "unknown"
    assert edition(answers(*[""] * rows), groups)["version"] == "unknown"


def scored(folder, name: str, rows: list[dict]):
    folder.mkdir(exist_ok=True)
    path = folder / "mmbench.json"
    path.write_text(to_json(score_files("mmbench", [write_table(rows, folder / name)], samples=20)))
    return path


def test_editions_are_not_compared(tmp_path):
    """CN has the indices and answers of EN: only its name, or its language, tells it apart."""
    rows = [row | {"question": "What is it?"} for row in dev_rows(seed=0)[:40]]
    english = scored(tmp_path / "en", "MMBench_DEV_EN.tsv", rows)
    chinese = scored(tmp_path / "cn", "table.tsv", [row | {"question": "图中是什么"} for row in rows])
    newer = scored(tmp_path / "new", "MMBench_DEV_EN_V11.tsv", rows)
    unnamed = scored(tmp_path / "unnamed", "table.tsv", rows)
    with pytest.raises(
        PargoError, match=rf"^{english} and {chinese} differ in their language: EN and CN, which cannot"
    ):
        compare(english, chinese, 20)
    with pytest.raises(
        PargoError, match=rf"^{newer} and {english} differ in their version: 1\.1 and 1\.0, which cannot"
    ):
        compare(newer, english, 20)
    assert compare(english, unnamed, 20).notes == (
        f"mmbench: language EN in one run, unknown in {unnamed}; is it the same?",
        f"mmbench: version 1.0 in one run, unknown in {unnamed}; is it the same?",
        *compare(english, english, 20).notes,
    )


def test_the_edition_is_shown(tmp_path, capsys):
    show(score_files("mmbench", [write_table(dev_rows(seed=0)[:40], tmp_path / "MMBench_DEV_EN.tsv")], samples=20))
    assert "mmbench (split dev, language EN, version 1.0), parser" in " ".join(capsys.readouterr().out.split())
