"""Small files with the figures that the real tools printed of them, which `pargo score` must give too.

The files lie in `cases/`, a folder each; the tools were run on them at the versions named here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pargo.benchmarks.scores.score import score_files

CASES = Path(__file__).parent / "cases"
# MMBench: VLMEvalKit's ImageMCQDataset.evaluate without a judge, by pandas 2.3.3, at the commits
# 07199117 (2024-08-31), 58fdeb6b (2026-05-28) and e8e78f05 (2026-08-18): overall accuracy in circular evaluation
VERSIONS = ("vlmevalkit_2024_08", "vlmevalkit_2025_08", "vlmevalkit_2026_08")
MMBENCH = {
    "mmbench_answer_is_a_text": (1.0, 1.0, 0.0),
    "mmbench_answer_is_bold": (1.0, 0.0, 1.0),
    "mmbench_article_before_letter": (0.0, 0.0, 1.0),
    "mmbench_empty_prediction": (0.5, 0.5, 0.5),
    "mmbench_llava_upload": (1.0, 1.0, 1.0),
    "mmbench_lower_case_letter": (0.0, 0.0, 1.0),
    "mmbench_option_reads_none": (0.5, 0.5, 0.5),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MMBENCH)
def test_mmbench(name: str, version: str) -> None:
    (table,) = (CASES / name).glob("*.tsv")
    record = score_files("mmbench", [table], version, 5)
    assert record.headline.value == record.figures["circular"] == MMBENCH[name][VERSIONS.index(version)]
    assert tuple(record.figures["parsers"].values()) == MMBENCH[name]
    assert (record.parser, record.parser_version) == (version, 1)


def test_mme_with_another_text_in_the_folder() -> None:
    """calculation.py of MME's eval_tool.zip."""
    folder = CASES / "mme_other_txt_in_folder" / "results"
    record = score_files("mme", [folder], samples=5, partial=True)
    assert {name: record.figures[name] for name in ("perception", "cognition")} == {
        "perception": 2000.0,
        "cognition": 800.0,
    }
    assert record.notes == (f"{folder}: left alone, as no task of MME has the name: score.txt",)


POPE = {"tp": 3, "fp": 1, "tn": 3, "fn": 1, "accuracy": 0.75, "precision": 0.75, "recall": 0.75, "f1": 0.75}


def test_pope_with_ids_of_its_own() -> None:
    """RUCAIBox/POPE's evaluate.py (3df3ba1), which reads by order."""
    folder = CASES / "pope_own_question_ids"
    record = score_files("pope", [folder / "coco_pope_random.json", folder / "answers.json"], samples=5)
    assert record.figures == {"random": POPE | {"yes_ratio": 0.5}}
    assert len(record.notes) == 1


@pytest.mark.parametrize("questions", [[], ["llava_pope_test.jsonl"]])
def test_pope_as_llava_writes_it(questions: list[str]) -> None:
    """LLaVA's eval_pope.py (c121f04)."""
    folder = CASES / "pope_llava_merged"
    record = score_files("pope", [folder / name for name in ("coco", *questions, "answers.jsonl")], samples=5)
    assert record.figures == {split: POPE | {"yes_ratio": 0.5} for split in ("random", "popular", "adversarial")}
    assert len(record.notes) == 1


@pytest.mark.parametrize(("results", "notes"), [("results.jsonl", 0), ("llava.jsonl", 1)])
def test_seedbench(results: str, notes: int) -> None:
    """LLaVA's convert_seed_for_submission.py takes the bare letter alone; the headline is ours."""
    folder = CASES / "seed_ways_to_name_a_letter"
    record = score_files("seedbench", [folder / "SEED-Bench.json", folder / results], samples=5)
    assert record.figures["bare_letter"]["accuracy"] == 0.125
    assert record.headline.value == 0.25
    assert len(record.notes) == notes


def test_mmvet() -> None:
    """mm-vet_evaluator.py counts a question once in each table."""
    folder = CASES / "mmvet_single_capability"
    record = score_files("mmvet", [folder / "mm-vet.json", folder / "grades.json"], samples=5)
    assert record.figures["official_capability"] == {
        **{"rec": 32.0, "ocr": 25.0, "gen": 0.0, "know": 0.0, "math": 30.0, "spat": 30.0},
        **{"total": 35.0, "std": 0.0},
    }
