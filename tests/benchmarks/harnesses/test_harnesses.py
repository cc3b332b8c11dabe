"""`pargo score --as`: the figures of other harnesses, as their packages gave them for the same answers.

`cases.json` holds answers and the packages' figures, with tool and version; `python -m bench.harnesses --record`
writes it. `tests/benchmarks/cases` holds small files, and `case.json` what the real tools gave for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.harnesses import merge, render
from pargo.benchmarks.harnesses import HARNESSES, check, compare, harness_record
from pargo.benchmarks.harnesses.lmms_eval import without_thoughts
from pargo.benchmarks.harnesses.show import show
from pargo.benchmarks.records import PREDICTIONS, Answered, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_answers, score_files
from pargo.errors import PargoError
from tests.benchmarks.test_commands import pargo

FOLDER = Path(__file__).parent
CASES = FOLDER.parent / "cases"
RECORDED = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))
BENCHMARKS = sorted({kind for _, benchmarks in HARNESSES.values() for kind in benchmarks})
MMVET = [CASES / "mmvet_single_capability" / name for name in ("mm-vet.json", "grades.json")]
SEED = [CASES / "seed_ways_to_name_a_letter" / name for name in ("SEED-Bench.json", "results.jsonl")]


def first_parser(kind: str) -> str:
    from pargo.benchmarks import load

    return next(iter(load(kind, "score").PARSERS))


def compared(harness: str, kind: str, answers: Sequence[Answered], parser: str | None = None) -> dict[str, Any]:
    record = score_answers(kind, answers, parser or first_parser(kind), samples=1)
    return compare(harness, answers, record).model_dump(mode="json")


def theirs(harness: str, kind: str, answers: Sequence[Answered]) -> dict[str, float]:
    return {name: figure["theirs"] for name, figure in compared(harness, kind, answers)["figures"].items()}


def case(name: str) -> list[Answered]:
    return [Answered.model_validate(answer) for answer in RECORDED["cases"][name]["answers"]]


def question(answer: str, label: str = "A", **fields: Any) -> Answered:
    options = {"A": "a cat", "B": "the dog", "C": "red", "D": "blue"}
    own = {"id": "1", "task": "Scene", "image": "1", "question": "What?", "options": options}
    return Answered(**own | {"label": label, "answer": answer} | fields)


def test_recorded_versions_are_those_that_are_named() -> None:
    assert RECORDED["tools"] == {harness: tool for harness, (tool, _) in HARNESSES.items()}


@pytest.mark.parametrize("harness", HARNESSES)
@pytest.mark.parametrize("name", RECORDED["cases"])
def test_every_figure_is_that_of_the_package(harness: str, name: str) -> None:
    real = RECORDED["cases"][name]["figures"][harness]
    assert theirs(harness, name.partition(" ")[0], case(name)) == pytest.approx(real, rel=1e-12)


@pytest.mark.parametrize("harness", ["vlmevalkit", "vlmevalkit-2026-08"])
def test_questions_with_one_capability_count_twice_in_vlmevalkit(harness: str) -> None:
    real = json.loads((CASES / "mmvet_single_capability" / "case.json").read_text())["expected_by_real_tool"]
    figures = harness_record(harness, MMVET, score_files("mmvet", MMVET)).model_dump()["figures"]
    for name, value in real["VLMEvalKit e8e78f05 MMVet_acc"].items():
        assert figures[name]["theirs"] == pytest.approx(value, abs=5e-5)
    assert (figures["rec"]["ours"], figures["Overall"]["ours"]) == (pytest.approx(32.0), pytest.approx(35.0))


def test_lmms_eval_gives_the_official_figures_of_graded_answers() -> None:
    figures = harness_record("lmms-eval", MMVET, score_files("mmvet", MMVET)).model_dump()["figures"]
    assert all(figure["ours"] in (None, pytest.approx(figure["theirs"])) for figure in figures.values())
    assert figures["gpt_eval_score"]["theirs"] == pytest.approx(35.0)
    assert figures["set / rec_know"] == {"theirs": 0.0, "ours": None}, "no question of it: lmms-eval logs 0"


@pytest.mark.parametrize(("harness", "figure"), [("lmms-eval", "seed_image"), ("vlmevalkit-2026-08", "Overall")])
def test_ways_to_name_a_letter(harness: str, figure: str) -> None:
    real = json.loads((CASES / "seed_ways_to_name_a_letter" / "case.json").read_text())
    expected = {name.split()[0].lower(): value for name, value in real["expected_by_real_tool"].items()}
    record = score_files("seedbench", SEED)
    found = harness_record(harness, SEED, record).model_dump()
    assert found["figures"][figure]["theirs"] == expected[harness.removesuffix("-2026-08")]
    assert found["figures"][figure]["ours"] == record.headline.value
    read, key = check(harness, "seedbench").read, "lmms" if harness == "lmms-eval" else "vlmevalkit"
    lines = [json.loads(line) for line in SEED[1].read_text().splitlines()]
    options = {item["question_id"]: item for item in json.loads(SEED[0].read_text())["questions"]}
    assert read
    for line, row in zip(lines, real["per_prediction"], strict=True):
        own = {letter: options[line["question_id"]][f"choice_{letter.lower()}"] for letter in "ABCD"}
        assert read(question(row["prediction"], options=own)) == row[key].upper()


@pytest.mark.parametrize(
    ("answer", "lmms", "vlmevalkit", "newest"),
    [
        ("A", "A", "A", "A"),
        ("A.", "A", "A", "A"),
        ("(A)", "A", "A", "A"),
        ("**A**", "", "A", "A"),
        ("a", "", "", ""),
        ("The answer is a", "", "", "A"),
        ("A is right, since it is there", "", "", ""),
        ("E", "E", "", ""),
        ("It is the DOG", "B", "B", "B"),
        ("a cat and the dog", "", "", ""),
        ("B or C", "", "", ""),
        ("It is B as one can see well", "B", "", ""),
        ("The answer is B as one can see well", "B", "", "B"),
        ("<think>B</think>A", "A", "", ""),
        ("Z", "", "Z", "Z"),
        ("I can't process this file. B", "B", "Z", "Z"),
    ],
)
def test_letters_of_mmbench(answer: str, lmms: str, vlmevalkit: str, newest: str) -> None:
    expected = {"lmms-eval": lmms, "vlmevalkit": vlmevalkit, "vlmevalkit-2026-08": newest}
    readers = {harness: check(harness, "mmbench").read for harness in expected}
    assert {harness: read and read(question(answer)) for harness, read in readers.items()} == expected


@pytest.mark.parametrize("harness", HARNESSES)
def test_tables_without_categories_have_no_figures_by_category(harness: str) -> None:
    tables = [CASES / "mmbench_llava_upload" / "upload.tsv"]
    figures = harness_record(harness, tables, score_files("mmbench", tables)).model_dump()["figures"]
    assert not [name for name in figures if "all" in name.split(" / ")]
    assert all(figure["ours"] is not None for figure in figures.values())


def test_missing_options_are_the_word_nan_in_lmms_eval() -> None:
    read = check("lmms-eval", "mmbench").read
    assert read
    assert read(question("It is a banana", options={"A": "banana", "B": "cat"})) == ""
    assert read(question("It is a banana", options={"A": "banana", "B": "cat", "C": "x y", "D": "z z"})) == "A"


@pytest.mark.parametrize("missing", ["None", "NA", "null", "nan", "N/A"])
def test_an_option_that_reads_as_missing_is_none_in_vlmevalkit(missing: str) -> None:
    read = check("vlmevalkit", "mmbench").read
    assert read
    assert read(question("B", options={"A": "cat", "B": missing})) == ""
    assert read(question("A", options={"A": "cat", "B": missing})) == "A"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("<think>no</think> Yes", "Yes"),
        ("no</think>Yes", "Yes"),
        ("<think>no</think>a<think>b</think>Yes", "aYes"),
        ("<think>no", "<think>no"),
        ("<analysis>no</analysis>\nYes", "Yes"),
        ("<thinking>no</thinking>Yes", "<thinking>no</thinking>Yes"),
        ("<THINK>no</THINK>Yes", "<THINK>no</THINK>Yes"),
    ],
)
def test_thoughts_are_cut_as_by_lmms_eval(answer: str, text: str) -> None:
    assert without_thoughts(answer) == text


def test_answers_read_otherwise_are_counted_and_shown_once_each() -> None:
    answers = [
        Answered(id=f"{n}", task="random", image=f"{n}", question="?", label="yes", answer=text)
        for n, text in enumerate(["yes", "Yes.", "Yes.", "It is"])
    ]
    found = compared("lmms-eval", "pope", answers)
    assert found["read_otherwise"]["number"] == 3
    assert [item["answer"] for item in found["read_otherwise"]["examples"]] == ["Yes.", "It is"]
    assert found["read_otherwise"]["examples"][0] == {
        "id": "1",
        "label": "yes",
        "answer": "Yes.",
        "theirs": "yes.",
        "ours": "yes",
    }
    figures = found["figures"]
    assert figures["pope / pope_accuracy"] == {"theirs": 0.25, "ours": 1.0}
    assert figures["pope / pope_f1_score"] == {"theirs": 1.0, "ours": 1.0}, "what is neither is in no count"


def test_splits_are_pooled_and_beside_pooled_figures_of_ours() -> None:
    answers = [
        Answered(id=f"{split}/{n}", task=split, image=f"{n}", question="?", label=label, answer=answer)
        for split, pairs in {
            "random": [("yes", "yes"), ("yes", "no"), ("no", "no")],
            "adversarial": [("yes", "yes"), ("no", "yes")],
        }.items()
        for n, (label, answer) in enumerate(pairs)
    ]
    figures = compared("lmms-eval", "pope", answers)["figures"]
    assert figures["pope / pope_accuracy"] == {"theirs": 0.6, "ours": 0.6}
    assert figures["pope / pope_yes_ratio"] == {"theirs": 0.6, "ours": 0.6}
    assert figures["pope_adv / pope_yes_ratio"] == {"theirs": 0.5, "ours": 1.0}
    assert not any(name.startswith("pope_pop") for name in figures)
    figures = compared("vlmevalkit", "pope", answers)["figures"]
    assert figures["Overall / acc"] == {"theirs": pytest.approx(60.0), "ours": pytest.approx(60.0)}


def test_draws_of_lmms_eval_are_the_same_every_time_and_only_for_what_is_unread() -> None:
    answers = case("mmbench")
    assert theirs("lmms-eval", "mmbench", answers) == theirs("lmms-eval", "mmbench", answers)
    # the figures do not hang on the order of the rows
    assert theirs("lmms-eval", "mmbench", answers[::-1]) == pytest.approx(theirs("lmms-eval", "mmbench", answers))


def test_chinese_questions_have_no_static_task() -> None:
    names = theirs("lmms-eval", "mmbench", case("mmbench cn")).keys()
    assert {name.split(" /")[0] for name in names} == {"mmbench_cn_dev without a judge"}


@pytest.mark.parametrize("harness", HARNESSES)
@pytest.mark.parametrize("kind", BENCHMARKS)
def test_every_benchmark_says_why(harness: str, kind: str) -> None:
    why = check(harness, kind).why
    assert why
    assert all(sentence.endswith(".") for sentence in why)
    if kind == "mmbench":
        assert any("judge" in sentence for sentence in why)


def test_shown_on_the_terminal() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        show(compare("lmms-eval", case("pope"), score_answers("pope", case("pope"), "official", 1)), console)
    text = capture.get()
    assert "The same answers by lmms-eval 0.7.3" in text
    assert re.search(r"pope / pope_f1_score +[01]\.\d{3} +0\.\d{3} +\+0\.\d{3}", text)
    assert re.search(r"\d+ of \d+ answers are right to one and wrong to the other", text)
    assert "not among the answers." in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_by_command_on_official_files_and_on_predictions_of_ours(tmp_path: Path) -> None:
    done = pargo("score", "seedbench", *SEED, "--as", "lmms-eval")
    assert done.returncode == 0, done.stderr
    assert re.search(r"seed_image +0\.500 +0\.250 +\+0\.250", done.stdout)
    own = {"prompt": "", "parsed": "", "image_sha256": ""}
    fields = [question(text, id=f"{n}").model_dump() | own for n, text in enumerate(["**A**", "A"])]
    write_predictions(tmp_path / PREDICTIONS, map(Prediction.model_validate, fields))
    output = tmp_path / "score.json"
    done = pargo("score", "seedbench", tmp_path, "--as", "vlmevalkit", "--json", "--output", output)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["harness"]["figures"]["Overall"] == {"theirs": 1.0, "ours": 0.5}
    assert json.loads(output.read_text()) == record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("easy_vqa", FOLDER, "--as", "lmms-eval"), "lmms-eval 0.7.3 has no easy_vqa; choices: mme, pope, seedben"),
        (("mini_mme", FOLDER, "--as", "vlmevalkit"), "ms-vlmeval 0.0.20 has no mini_mme; choices: mme, pope"),
        (("mme", FOLDER, "--as", "opencompass"), "unknown harness; choices: lmms-eval, vlmevalkit, vlmevalkit-2026-08"),
        (("seedbench", *SEED, "--parser", "ranking_sum", "--as", "lmms-eval"), "reads generated answers, but parser"),
        (
            ("mmvet", *MMVET, "--parser", "proxy", "--as", "lmms-eval"),
            "takes the grades of a judge, but parser 'proxy'",
        ),
        (("predictions", "x", "--as", "lmms-eval"), "takes one directory, --settings and --output"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read(arguments: tuple[str | Path, ...], message: str) -> None:
    done = pargo("score", *arguments, columns="300")
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_ungraded_answers_have_no_figures(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps(dict.fromkeys(json.loads(MMVET[0].read_text()), "an answer")))
    inputs = [MMVET[0], results]
    with pytest.raises(PargoError, match=r"6 answers without grades.*`pargo judge` grade them"):
        harness_record("lmms-eval", inputs, score_files("mmvet", inputs))


def test_vlmevalkit_needs_every_capability(tmp_path: Path) -> None:
    some = [answer for answer in _graded() if "math" not in answer.details["capability"]]
    with pytest.raises(PargoError, match="no answer needs 'math', and VLMEvalKit divides by their number"):
        compared("vlmevalkit", "mmvet", some)
    assert theirs("lmms-eval", "mmvet", some)["math"] == 0.0


def _graded() -> list[Answered]:
    from pargo.benchmarks.mmvet.results import read

    return read(MMVET, parser="judge", partial=False)


def test_the_newest_vlmevalkit_needs_every_task_of_mme() -> None:
    some = [answer for answer in case("mme") if answer.task != "OCR"]
    assert "perception" in theirs("vlmevalkit", "mme", some)
    with pytest.raises(PargoError, match="no answer to task 'OCR', and VLMEvalKit"):
        compared("vlmevalkit-2026-08", "mme", some)


def test_parts_are_refused_unless_asked_for(tmp_path: Path) -> None:
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(SEED[1].read_text().splitlines()[:4]) + "\n")
    done = pargo("score", "seedbench", SEED[0], part, "--as", "lmms-eval")
    assert done.returncode == 2
    assert "4 of 8 image questions have no answer" in " ".join(done.stderr.split())
    done = pargo("score", "seedbench", SEED[0], part, "--as", "lmms-eval", "--partial", "--json")
    assert json.loads(done.stdout)["harness"]["figures"]["seed_image"]["theirs"] == 0.5


def test_a_bench_of_some_tools_keeps_the_rows_of_the_others() -> None:
    def row(harness: str, name: str, day: str, tool: str = "") -> dict[str, Any]:
        counts = {"draw": 0, "answers": 9, "compared": 2, "equal": 2, "differences": {}}
        return {"tool": tool or HARNESSES[harness][0], "benchmark": name, "time": day} | counts

    sources = row("vlmevalkit-2026-08", "pope", "2026-01-01")
    before = [row("lmms-eval", "pope", "2026-01-01"), sources, row("", "pope", "2026-01-01", "ms-vlmeval 0.0.19")]
    new = [row("lmms-eval", "pope", "2026-02-02"), row("vlmevalkit", "pope", "2026-02-02")]
    assert merge(before, new) == [*new, sources]
    assert merge(before, new[1:]) == [before[0], new[1], sources]
    lines = render({"rows": merge(before, new)}).splitlines()
    assert "| VLMEvalKit e8e78f05 (2026-08-18) | pope | 9 | 1 | 2 | 2 | 2026-01-01 |" in lines
    assert "| lmms-eval 0.7.3 | pope | 9 | 1 | 2 | 2 | 2026-02-02 |" in lines
