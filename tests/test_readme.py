"""The README is short and in order, its code runs, and its figures are the recorded ones."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import tomllib

import pytest
import torch
import yaml

from pargo.code import ROOT
from pargo.config.experiment import load_config
from pargo.config.projectors import PROJECTORS
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.report.cells import rounded
from tests.helpers.documents import read

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")
RECORDED = "reports/quick/tables"


def recorded(name: str, folder: str = RECORDED) -> list[dict[str, str]]:
    """A table as it is committed: a run of one's own may have written another one."""
    show = ["git", "show", f"HEAD:{folder}/{name}"]
    done = subprocess.run(show, cwd=ROOT, capture_output=True, text=True)
    text = done.stdout if done.returncode == 0 else (ROOT / folder / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_short_enough_to_read():
    assert len(TEXT.splitlines()) <= 150


def test_sections_in_the_order_of_questions():
    assert [title for level, title in read("README.md").headings if level == 2] == [
        "Result, and what it does not say",
        "Run",
        "The projector in your own model",
        "Change one thing",
        "Trace a number",
        "Score your own files",
        "On a SLURM cluster",
        "Where to read on",
        "Citation",
    ]


@pytest.mark.parametrize("document", ["README.md", "docs/projectors.md"])
def test_the_projector_in_a_model_of_ones_own(document):
    blocks = [text for language, text in read(document).blocks if language == "python"]
    assert blocks[0].count("\n") <= 18
    names: dict = {}
    exec(blocks[0], names)  # noqa: S102 - what a reader copies
    assert names["tokens"].shape == (2, 304, 4096)
    assert f"[{', '.join(map(str, names['tokens'].shape))}]" in blocks[0]
    if document == "docs/projectors.md":
        embeddings = torch.nn.Embedding.from_pretrained(torch.full((10, 4096), 0.02))
        names["language_model"] = type("Model", (), {"get_input_embeddings": lambda self: embeddings})()
        exec(blocks[1], names)  # noqa: S102
        scaled = names["projector"](names["features"]).square().mean().sqrt().item()
        assert scaled == pytest.approx(0.02, rel=0.5)


def test_tokens_and_parameters_of_the_six():
    """As `docs/projectors.md` has them, counted without memory for their weights."""
    text = (ROOT / "docs/projectors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|.*\| (\d+) \| ([\d.]+) \|$", text, flags=re.M)
    found = set()
    for name, config in load_config(ROOT / "config/paper.yaml").projectors.items():
        with torch.device("meta"):
            built = build_projector(config, ProjectorShape(576, 1024, 4096))
        found.add((name, type(config).__name__, str(built.num_tokens), f"{built.num_parameters / 1e6:.1f}"))
    assert set(rows) == found
    assert len(rows) == len(PROJECTORS.names)


def cell(row: dict[str, str], column: str, digits: int, scale: int = 1) -> str:
    if not row[column]:
        return ""
    keys = (column, f"{column}_low", f"{column}_high")
    texts = [str(rounded(float(row[key]), digits, scale)) for key in keys if row.get(key)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if len(texts) == 3 else texts[0]


@pytest.mark.parametrize("text", [TEXT, RESULTS], ids=["README.md", "docs/results.md"])
def test_the_table_is_the_recorded_one(text):
    written = [line[1:-1].split("|") for line in text.splitlines() if re.match(r"\| [^|]+ \| *(25)? *\|", line)]
    found = {name.strip(): [value.strip() for value in values[1:]] for name, *values in written}
    rows = {row["projector"]: row for row in recorded("projectors.csv")}
    shares = ("easy_vqa.accuracy", "details.mean_f1")
    scores = {
        name: [cell(row, "mini_mme.total", 0), *(cell(row, column, 1, 100) for column in shares)]
        for name, row in rows.items()
    }
    assert found["ParGo"] == scores["ParGo"]
    assert found["Q-Former"] == scores["Q-Former"]
    assert found['always "yes"'] == [scores["Constant answer"][0], scores["Majority answer"][1], ""]
    assert [value for value in found["a coin"] if value] == [scores["Coin flip"][0]]
    assert found["the most common answer to each question text"] == scores["Majority answer by question"]
    assert found["the same caption for all"] == scores["One caption"]


def test_the_table_of_all_arms_is_the_recorded_one():
    columns = (("mini_mme.total", 0, 1), ("details.mean_f1", 1, 100), ("easy_vqa.accuracy", 1, 100))
    rows = [row for row in recorded("projectors.csv", "reports/laptop/tables") if row["kind"] == "arm"]
    for row in rows:
        cells = [cell(row, column, digits, scale) for column, digits, scale in columns]
        assert f"| {row['projector']} | {' | '.join(cells)} |" in RESULTS
    assert len(rows) == 11
    claims = recorded("claims.csv", "reports/laptop/tables")
    assert f"over all {sum(bool(row['p_holm']) for row in claims)} comparisons" in RESULTS
    told = {row["claim"]: row["claim_verdict"] for row in claims}
    assert set(told.values()) == {"undecided", "supported"}
    assert [claim for claim, verdict in told.items() if verdict == "supported"] == [
        "Detailed captions (ParGoCap-1M-PT) help"
    ]


@pytest.mark.parametrize("text", [TEXT, RESULTS], ids=["README.md", "docs/results.md"])
def test_the_differences_are_the_recorded_ones(text):
    claims = {row["row"]: row for row in recorded("claims.csv")}
    flat = " ".join(text.split()).replace("\N{MINUS SIGN}", "-")
    for row, unit, digits in (("pargo_minus_qformer_mini_mme", 1, 0), ("pargo_minus_qformer_easy_vqa", 100, 1)):
        values = [unit * float(claims[row][key]) for key in ("difference", "difference_low", "difference_high")]
        said = "{:.{n}f} [{:.{n}f}, {:.{n}f}]".format(*values, n=digits)
        assert said in flat.replace("+", ""), row


def test_tasks_at_chance_are_the_recorded_ones():
    """A coin's score lies within the task's interval, or above it."""
    rows = {
        row["projector"]: row
        for row in recorded("mini_mme.csv")
        if not row["row"].rpartition(".")[2].startswith("seed")
    }
    tasks = ["existence", "count", "position", "color", "OCR"]
    coin = rows["Coin flip"]
    chance = {
        name: {task for task in tasks if float(rows[name][f"{task}_low"]) <= float(coin[task])}
        for name in ("ParGo", "Q-Former")
    }
    assert chance == {"ParGo": set(), "Q-Former": set()}
    page = " ".join((ROOT / "docs/results.md").read_text().split())
    told = {
        task: " and ".join(str(round(float(rows[name][task]))) for name in ("ParGo", "Q-Former"))
        for task in ("position", "OCR")
    }
    assert "All five tasks are above a coin's 75 for both arms" in page
    assert f"position is the weakest ({told['position']} of 200)" in page
    assert f"reading words ({told['OCR'].replace('and', 'against')} of 200)" in page


def test_scores_by_seed_are_the_recorded_ones():
    page = (ROOT / "docs/results.md").read_text()
    for seed in range(3):
        values = []
        for benchmark, digits, scale in (("mini_mme", 0, 1), ("details", 1, 100)):
            for arm in ("pargo", "qformer"):
                score = json.loads((ROOT / f"reports/quick/scores/{arm}/seed-{seed}/{benchmark}.json").read_text())
                values.append(str(rounded(score["headline"]["value"], digits, scale)))
        assert f"| {seed} | {' | '.join(values)} |" in page


def test_citations_agree():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = cited["preferred-citation"]
    fields = dict(re.findall(r"^  (\w+) += \{(.*?)\},?$", TEXT, flags=re.M | re.S))
    names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    assert " ".join(fields["author"].split()) == names
    assert (fields["title"], fields["doi"], fields["year"]) == (paper["title"], paper["doi"], str(paper["year"]))
    assert fields["pages"] == f"{paper['start']}--{paper['end']}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
