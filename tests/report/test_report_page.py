"""The page shows the tables' numbers, links to files that exist, and needs nothing from outside."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pargo.benchmarks.records import PREDICTIONS, read_predictions
from pargo.data.images import open_images
from pargo.errors import PargoError
from pargo.report import page
from pargo.report.answers_file import read_answers
from pargo.report.samples import COUNT, Sample, choose, samples
from pargo.report.scores import Scores
from tests.helpers.report_project import Project, make_settings


class Links(HTMLParser):
    """Collects links, ids and sources."""

    def __init__(self) -> None:
        super().__init__()
        self.links, self.ids, self.sources, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes["href"]] if "href" in attributes else []
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(finished) -> Path:
    """The page of the run's first seed, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        project = Project(make_settings((0,)))
        return project.report(project.layout.reports)


@pytest.fixture
def report(written, project) -> Path:
    """Its path, with the run's root as the current directory."""
    return written


def write_another(project: Project, name: str, **report: str) -> str:
    """A second page beside the first, with other settings of the report."""
    report_settings = project.settings.report.model_copy(update=report)
    settings, reports = project.settings.model_copy(update={"report": report_settings}), project.layout.reports
    return project.page(reports, reports / name, settings).read_text(encoding="utf-8")


def parse(path: Path) -> Links:
    parser = Links()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser


def test_links_lead_to_files_and_places_that_exist(report):
    parsed = parse(report)
    assert not parsed.open
    assert len(parsed.ids) == len(set(parsed.ids))
    for link in (link for link in parsed.links if not link.startswith("data:")):
        if link.startswith("#"):
            assert link[1:] in parsed.ids
        else:
            assert (report.parent / link).is_file(), link


def test_needs_nothing_from_outside(report):
    assert all(source.startswith("data:image/") for source in parse(report).sources)
    assert not re.findall(r"(?:src|href)=\"https?:|@import|url\(|fetch\(|XMLHttp", report.read_text(encoding="utf-8"))


def test_shows_every_number_of_the_tables(report):
    text = report.read_text(encoding="utf-8")
    records = json.loads((report.parent / "tables" / "cells.json").read_text())
    for cell in records["cells"].values():
        assert cell["text"].replace("<", "&lt;") in text
        assert cell["interval_text"] in text
    assert re.search(r'class="number published"[^>]*>\+259\.96<', text)
    assert text.count('class="number measured"') == num_measured(records)


def num_measured(records: dict) -> int:
    """Measured numbers of the tables that the page shows: all but tables of variants where there are none."""
    hidden = [name for name in ("ablations", "captions") if len(records["tables"][name]["rows"]) == 1]
    return sum(c["status"] == "measured" and key.split("/")[0] not in hidden for key, c in records["cells"].items())


def test_a_number_of_one_file_links_to_it(report):
    text = report.read_text(encoding="utf-8")
    records = json.loads((report.parent / "tables" / "cells.json").read_text())
    value = records["cells"]["projectors/pargo/mini_mme.total"]["text"]
    link = '<a href="scores/pargo/seed-0/mini_mme.json" data-cell="projectors/pargo/mini_mme.total">'
    assert f"{link}{value}</a>" in text


def test_same_bytes_twice_and_no_absolute_path(project, report):
    text = write_another(project, "again.html")
    assert text == report.read_text(encoding="utf-8")
    assert str(Path.cwd()) not in text


def test_text_from_settings_cannot_become_markup(project, report):
    assert "<script>alert" not in write_another(project, "evil.html", title="<script>alert(1)</script>")
    assert page.code_spans("`a` <b>") == "<code>a</code> &lt;b&gt;"


def test_figures_can_be_png(project, report):
    assert "data:image/svg" not in write_another(project, "png.html", figure_format="png")


def test_verdict_says_what_the_interval_says(project, report):
    scores = Scores(project.settings, project.scores)
    records = json.loads((report.parent / "tables" / "cells.json").read_text())
    gain = records["cells"]["claims/pargo_minus_qformer_mini_mme/difference"]
    for interval, words in (
        ([1.0, 2.0], "excludes zero, in favour of ParGo"),
        ([-2.0, -1.0], "excludes zero, in favour of Q-Former"),
        ([-1.0, 1.0], "includes zero"),
    ):
        gain["interval"] = interval
        assert words in page.verdict(project.settings, scores, records)[0]


def test_each_claim_that_was_measured_has_a_verdict(report):
    rows = json.loads((report.parent / "tables" / "cells.json").read_text())["tables"]["claims"]["rows"]
    measured = sum(row["texts"]["status"] == "measured" for row in rows)
    assert report.read_text().count(">undecided (one training seed)</td>") == measured > 0


def test_with_several_seeds_it_is_the_verdict_of_the_claims(two_seeds, tmp_path):
    two_seeds.tables(tmp_path)
    records = json.loads((tmp_path / "cells.json").read_text())
    scores = Scores(two_seeds.settings, two_seeds.scores)
    for row in records["tables"]["claims"]["rows"]:
        if row["key"] == "pargo_minus_qformer_mini_mme":
            row["texts"]["verdict"] = "Q-Former is better"
    assert ". Verdict: Q-Former is better. " in page.verdict(two_seeds.settings, scores, records)[0]
    assert "the mean of very many trainings, on" in " ".join(page.reading(two_seeds.settings, scores))


def test_five_sentences_on_how_to_read_it(project):
    assert len(page.reading(project.settings, Scores(project.settings, project.scores))) == 5


def samples_of(project: Project, folder: Path, benchmark: str) -> list[Sample]:
    """The samples of one benchmark, of answers that are written down anew."""
    rows = read_answers(project.answers(folder) / f"{benchmark}.jsonl")
    images = open_images(project.source(benchmark), project.settings.benchmarks[benchmark].split)
    return list(samples(project.settings, benchmark, rows, images))


def test_samples_are_right_and_wrong_as_the_score_says(project, tmp_path):
    for name in ("mini_mme", "easy_vqa"):
        chosen = samples_of(project, tmp_path, name)
        ours = [sample.answers[0] for sample in chosen]
        assert {answer.arm for answer in ours} == {"ParGo"}
        assert [answer.right for answer in ours][:COUNT] == [True] * COUNT
        assert not any(answer.right for answer in ours[COUNT:])
        for sample in chosen:
            for answer in sample.answers:
                assert answer.right == (answer.text.lower() == sample.label.lower())


def test_fewer_samples_than_asked_for_are_all_taken():
    assert choose([], ["a"]) == []


def test_answers_that_were_changed_after_scoring_are_refused(project, tmp_path, monkeypatch):
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    path = project.layout.predictions("pargo", 0, "mini_mme") / "predictions.jsonl"
    path.write_text(path.read_text().replace('"answer": "yes"', '"answer": "no"', 1))
    with pytest.raises(PargoError, match=r"predictions\.jsonl: changed"):
        project.answers(tmp_path / "answers")


def test_the_page_holds_every_answer(project, report):
    """In the JSON that its search reads: each question of each benchmark, with the answers and marks of all arms."""
    text = report.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="answers-data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["arms"] == ["ParGo", "Q-Former", "MLP on 4 patches"]
    for benchmark, found in data["benchmarks"].items():
        rows = {row[0]: row for row in found["rows"]}
        assert len(found["thumbnails"]) == len(found["images"])
        for arm, place in (("pargo", 0), ("mlp", 2)):
            record = json.loads(project.layout.score(arm, 0, benchmark).read_text())
            predictions = read_predictions(project.layout.predictions(arm, 0, benchmark) / PREDICTIONS)
            assert [rows[prediction.id][5][place][0][0] for prediction in predictions] == [
                p.answer for p in predictions
            ]
            marks = sum(rows[prediction.id][5][place][0][1] for prediction in predictions)
            assert marks == sum(sum(map(sum, images.values())) for images in record["correct"].values())


@pytest.mark.parametrize(("best", "words"), [(0.0, "All projectors beat"), (1e9, "Not shown to beat")])
def test_verdict_names_projectors_that_may_be_blind(project, report, tmp_path, monkeypatch, best, words):
    records = json.loads((report.parent / "tables" / "cells.json").read_text())
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    path = project.layout.score("pargo", 0, "mini_mme")
    record = json.loads(path.read_text()) | {"baselines": {"coin_flip": {"value": best, "how": "a coin"}}}
    path.write_text(json.dumps(record))
    scores = Scores(project.settings, project.scores)
    sentence = page.verdict(project.settings, scores, records)[0]
    assert words in sentence
    assert "coin flip" in sentence
