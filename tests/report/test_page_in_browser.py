"""The page in Chromium: sorting, filters, dialog and slider work; no error, no request, nothing serious from axe."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.report_project import Project, make_settings

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture(scope="module")
def page(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        project = Project(make_settings((0, 1), details=True))
        return project.report(project.layout.reports.with_name("in_browser")).absolute()


def chromium(path: Path, *options: str) -> str:
    """What Chromium prints; with a profile of its own, so that several run beside each other."""
    command = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={path.parent / 'profile'}",
    ]
    done = subprocess.run([*command, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def seen(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happens on the page when it is used."""
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    watch, act = ((HELPERS / f"page_{name}.js").read_text(encoding="utf-8") for name in ("watch", "actions"))
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head><script>{watch}</script>", 1)
    text = text.replace("</body>", f"<script>{axe}</script><script>{act}</script></body>")
    copy = tmp_path_factory.mktemp("browser") / "page.html"
    copy.write_text(text, encoding="utf-8")
    dom = chromium(copy, "--virtual-time-budget=30000", "--dump-dom")
    (found,) = re.findall(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    return json.loads(html.unescape(found))


def test_no_error_and_no_request(seen: dict[str, Any]) -> None:
    assert seen["problems"] == []
    assert seen["requests"] == []


def test_a_click_on_a_title_sorts_and_another_one_turns_it_round(seen: dict[str, Any]) -> None:
    numbers = [float(value) for value in seen["down"]]
    assert numbers == sorted(numbers, reverse=True)
    assert [float(value) for value in seen["up"]] == sorted(numbers)
    assert seen["head"] == "descending"
    assert set(seen["names"]) == {"ParGo", "Q-Former", "MLP on 4 patches"}


def test_every_row_is_seen_but_those_of_single_seeds(seen: dict[str, Any]) -> None:
    assert seen["invisible"] == []


def test_seeds_are_shown_when_asked_for(seen: dict[str, Any]) -> None:
    assert seen["hidden"] == "none"
    assert seen["shown"] != "none"


def test_a_number_says_where_it_comes_from(seen: dict[str, Any]) -> None:
    assert seen["open"]
    for words in (
        "mean over seeds",
        "headline.value",
        "seed-1/mini_mme.json",
        "pargo trace projectors pargo mini_mme.total",
    ):
        assert words in seen["dialog"]


def test_filters_show_what_they_say(seen: dict[str, Any], page: Path) -> None:
    rows = [json.loads(line) for line in (page.parent / "answers" / "mini_mme.jsonl").read_text().splitlines()]
    assert seen["all"] == f"1 to 24 of {len(rows)} questions"
    marks = [
        [[mark > 0.5 for _, mark in row["answers"][arm].values()] for arm in ("pargo", "qformer", "mlp")]
        for row in rows
    ]
    wrong = sum(not all(arms[1]) for arms in marks)
    assert seen["wrong"] == f"1 to {min(24, wrong)} of {wrong} questions"
    assert seen["marks"] == [True] * min(24, wrong)
    disagree = sum(len({tuple(arm) for arm in arms}) > 1 for arms in marks)
    assert seen["disagree"] == f"1 to {min(24, disagree)} of {disagree} questions"
    task = sum(row["task"] == "OCR" for row in rows)
    assert seen["task"] == f"1 to {task} of {task} questions"
    assert seen["none"] == "no question"
    others = len((page.parent / "answers" / "easy_vqa.jsonl").read_text().splitlines())
    assert seen["other"] == f"1 to 24 of {others} questions"
    assert seen["next"] == f"25 to {min(48, others)} of {others} questions"
    assert seen["images"]


def test_the_slider_shows_a_token_at_a_time(seen: dict[str, Any]) -> None:
    assert (seen["token"], seen["last"]) == ("Partial token 1 of 20", "Global token 5 of 5")
    assert seen["moved"]


def test_axe_finds_nothing_serious(seen: dict[str, Any]) -> None:
    assert [found for found in seen["axe"] if found[0] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_off_the_screen(page: Path, tmp_path: Path, width: int) -> None:
    """The page in a frame of a width: it is no wider, and neither are its numbers."""
    text = page.read_text(encoding="utf-8").replace(
        "</body>",
        """<script>
const wide = document.documentElement.clientWidth, out = [...document.querySelectorAll("table.stack .number")]
  .filter((node) => node.offsetParent && node.getBoundingClientRect().right > wide + 1).length;
parent.postMessage([document.documentElement.scrollWidth, wide, out].join(" "), "*");
</script></body>""",
    )
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    frame = tmp_path / "frame.html"
    listen = 'addEventListener("message", (event) => { document.getElementById("result").textContent = event.data; });'
    frame.write_text(
        f'<iframe src="page.html" width="{width}" height="800" style="border:0"></iframe><pre id="result"></pre>'
        f"<script>{listen}</script>"
    )
    dom = chromium(frame, "--virtual-time-budget=20000", "--window-size=1600,1000", "--dump-dom")
    (found,) = re.findall(r'<pre id="result">(.*?)</pre>', dom)
    whole, wide, out = map(int, found.split())
    assert (whole, out) == (wide, 0)
    assert wide <= width
