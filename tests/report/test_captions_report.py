"""The dataset card: every count of the stages is on it, texts cannot break it, the page needs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.captions.statistics import Statistics
from pargo.config.captions import Captions
from pargo.config.engines.openai import OpenAIEngine
from pargo.data.selection.select import RULES
from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.report.captions import CaptionsReportSettings, card, reasons_figure, run
from pargo.report.settings import CAPTION_REPORT
from pargo.sources.scenes import draw_scene, encode_png, render

NASTY = '<script>alert("x")</script> | `a` [b](http://x) \n# head'
SETTINGS = CaptionsReportSettings(config="micro", dataset="scenes", split="train", captions=Captions())


def selection(**origins: dict[str, int]) -> dict:
    """Statistics of the stage select: by origin what was dropped, and `selected`."""
    found = {
        name: {
            "images": sum(counts.values()),
            "selected": counts.get("selected", 0),
            "dropped": {rule: counts.get(rule, 0) for rule in RULES},
        }
        for name, counts in origins.items()
    }
    total = {rule: sum(origin["dropped"][rule] for origin in found.values()) for rule in RULES}
    sums = {name: sum(origin[name] for origin in found.values()) for name in ("images", "selected")}
    return {**sums, "dropped": total, "origins": found, "benchmarks": {"mme-test": 3}, "without_nsfw": {}}


def numbers(*rows: tuple[str, str | None, dict]) -> dict:
    counted = Statistics()
    for caption, reason, known in rows:
        counted.add(caption, reason, known)
    return counted.result({"refused": 2})


def test_the_card_of_a_set_by_a_server():
    engine = OpenAIEngine(kind="openai", base_url="http://secret-host/v1", model="m")
    settings = SETTINGS.model_copy(update={"captions": Captions(engine=engine)})
    known = {"model": "vlm-2", "prompt": "scene-1", "licence": "CC BY"}
    found = numbers(
        ("a red dog", None, known | {"origin": "cc3m"}),
        ("a dog", "too_short", known | {"origin": "cc3m"}),
        ("one blue cat", None, known | {"origin": "web"}),
    )
    chosen = selection(cc3m={"selected": 2, "contaminated": 3, "too_small": 1234}, web={"selected": 1, "nsfw": 5})
    found["cut"] = {"thoughts": 1234}
    counts = {"samples": 3, "broken": {"no image": 1234, "image is empty": 1}}
    text = card(settings, chosen, found, ["a red dog", NASTY], counts)
    for part in (
        "| images that are not captioned, because | all | cc3m | web |",
        "| too small | 1,234 | 1,234 | 0 |",
        "| (selected) | 3 | 2 | 1 |",
        "| too short | 1 | 1 | 0 |",
        "Contaminated, by benchmark: mme-test 3.",
        "Images for which the engine had no caption: refused 2.",
        "Captions that went on without the thoughts of the model, which were cut: 1,234.",
        "Samples that the import of the source left out: 1,235 (no image 1,234; image is empty 1).",
        "model vlm-2 (3)",
        "prompts scene-1 (3)",
        "Licences of the images, as their sources state them: CC BY (3).",
        "'temperature': 0.2",
        "| color | 1 |",
    ):
        assert part in text
    assert "secret-host" not in text
    assert "\\<script\\>" in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# Captions of scenes"]


def test_the_card_says_what_the_import_left_out():
    found, chosen = numbers(("a red dog", None, {})), selection(**{"": {"selected": 1}})
    for counts, expected in (
        ({}, None),
        ({"broken": {}}, None),
        ({"broken": 0}, None),
        ({"broken": 7}, "left out: 7."),
        ({"broken": 3, "reasons": {"image not found": 2, NASTY: 1}}, "left out: 3 (image not found 2; \\<script\\>"),
    ):
        text = card(SETTINGS, chosen, found, [], counts)
        assert ("that the import of the source left out" in text) == (expected is not None)
        assert (expected or "") in text
        assert "thoughts of the model" not in text


def test_the_figure_shows_every_reason_once_with_its_count():
    found = numbers(
        ("a red dog", None, {"origin": "cc3m"}), ("a", "too_short", {"origin": "web"}), ("", "empty", {"origin": "web"})
    )
    chosen = selection(cc3m={"selected": 2, "contaminated": 3, "too_small": 1234}, web={"selected": 3, "too_small": 5})
    left, right = reasons_figure(chosen, found).axes
    for axis, expected in (
        (left, {"too small": 1239, "contaminated": 3}),
        (right, {"empty": 1, "too short": 1, "no caption": 2}),
    ):
        names = [label.get_text() for label in axis.get_yticklabels()]
        widths = [0.0] * len(names)
        for bar in axis.patches:
            widths[round(bar.get_y() + 0.35)] += bar.get_width()
        assert dict(zip(names, widths, strict=True)) == expected
    assert left.get_title() == "5 of 1,247 images captioned"
    assert right.get_title() == "1 of 5 captioned and kept"
    empty = reasons_figure(selection(**{"": {"selected": 3}}), numbers(("a red dog", None, {})))
    assert empty.axes[0].texts[0].get_text() == "none left out"


@pytest.fixture
def artifacts(tmp_path) -> dict[str, Path]:
    source, captions, chosen = (tmp_path / name for name in ("source", "captions", "selection"))
    with ShardWriter(source / "train") as writer:
        for index in range(30):
            data = encode_png(render(draw_scene(0, index), 300)) if index else b"no image"
            writer.write(data, {"id": f"{index:06d}", "conversation": []})
    kept = [(f"{index:06d}", NASTY if index == 1 else f"a red dog {index}") for index in range(1, 30)]
    counted = numbers(*((caption, None, {}) for _, caption in kept), ("", "empty", {}))
    captions.mkdir()
    chosen.mkdir()
    lines = [json.dumps({"id": name, "caption": caption}) for name, caption in kept]
    (captions / "captions.jsonl").write_text("\n".join(lines) + "\n")
    (captions / "dropped.jsonl").write_text(json.dumps({"id": "000000", "caption": "", "reason": "empty"}) + "\n")
    (captions / "statistics.json").write_text(json.dumps(counted))
    (chosen / "statistics.json").write_text(json.dumps(selection(**{"": {"selected": 30}})))
    return {"captions": captions, "selection": chosen, "source": source}


class Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))


def test_the_files(artifacts, tmp_path):
    for name in ("a", "b"):
        run(SETTINGS, **artifacts, output=tmp_path / name)
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(CAPTION_REPORT)
    for name in CAPTION_REPORT:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_error_in_the_last_file_leaves_all_as_they_were(artifacts, tmp_path):
    run(SETTINGS, **artifacts, output=tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    shutil.rmtree(artifacts["source"] / "train")
    with pytest.raises(PargoError):
        run(SETTINGS.model_copy(update={"dataset": "other"}), **artifacts, output=tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_the_page_of_samples(artifacts, tmp_path):
    run(SETTINGS, **artifacts, output=tmp_path / "out")
    text = (tmp_path / "out" / "review.html").read_text()
    page = Page()
    page.feed(text)
    assert "script" not in {tag for tag, _ in page.tags}
    policy = next(attributes for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy["content"].startswith("default-src 'none'; img-src data:")
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 8
    assert all(image.startswith("data:image/jpeg;base64,") and len(image) < 40_000 for image in images)
    assert "image cannot be read" in text
    assert re.sub(r"\s+", " ", text).count('Dropped: empty <span class="count">(1)') == 1
    assert "(29)" in text


def test_the_page_shows_images_that_were_left_out_and_why(artifacts, tmp_path):
    rows = [
        {"id": f"{n:06d}", "reason": "contaminated", "near": f"mme-test/{n}.png", "distance": n} for n in range(1, 21)
    ]
    rows.append({"id": "000000", "reason": "unreadable", "near": None, "distance": None})
    schema = pa.schema({"id": pa.string(), "reason": pa.string(), "near": pa.string(), "distance": pa.int32()})
    pq.write_table(pa.Table.from_pylist(rows, schema), artifacts["selection"] / "dropped.parquet")
    statistics = json.loads((artifacts["selection"] / "statistics.json").read_text())
    statistics["dropped"] |= {"contaminated": 20, "unreadable": 1}
    (artifacts["selection"] / "statistics.json").write_text(json.dumps(statistics))
    run(SETTINGS, **artifacts, output=tmp_path / "out")
    text = re.sub(r"\s+", " ", (tmp_path / "out" / "review.html").read_text())
    assert 'Not captioned: contaminated <span class="count">(20)' in text
    assert 'Not captioned: unreadable <span class="count">(1)' in text
    assert len(re.findall(r"like mme-test/\d+\.png, \d+ of 256 bits differ", text)) == 8


def test_how_captions_were_shared_out_is_not_in_the_report(artifacts, tmp_path):
    shared = SETTINGS.model_copy(update={"captions": Captions(num_shards=7, max_failures=0.125)})
    served = {"kind": "openai", "base_url": "http://one/v1", "model": "vlm"}
    how = {"base_url": "http://two/v1", "api_key_environment": "ANOTHER", "timeout": 9.0, "num_threads": 1}
    how |= {"max_tries": 1, "max_wait": 1.0, "max_outage": 9.0}
    asked, otherwise = (
        SETTINGS.model_copy(update={"captions": Captions(engine=engine)}) for engine in (served, served | how)
    )
    pairs = ((SETTINGS, shared), (asked, otherwise))
    for number, (one, other) in enumerate(pairs):
        run(one, **artifacts, output=tmp_path / f"{number}-a")
        run(other, **artifacts, output=tmp_path / f"{number}-b")
        for name in CAPTION_REPORT:
            assert (tmp_path / f"{number}-a" / name).read_bytes() == (tmp_path / f"{number}-b" / name).read_bytes()
