"""Two thousand images through a server that goes wrong in every way, the captioning killed five times in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pargo.captions import build
from pargo.captions.engines import make_engine
from pargo.captions.engines.openai import MAX_REFUSALS
from pargo.captions.records import read_rows
from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.sources.scenes import draw_scene, encode_png, render
from tests.helpers import fault_server
from tests.helpers.caption_world import KEY, KEY_NAME, all_ids, server_settings, write_images, write_selection
from tests.helpers.fault_server import PLAIN, final

COUNT = 2000
THREADS = 32
CODE = """
import sys
from pathlib import Path
from pargo.captions.build import CaptionSettings, run
source, selection, output, runs = map(Path, sys.argv[2:])
run(CaptionSettings.model_validate_json(sys.argv[1]), source, selection, output, runs)
"""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(KEY_NAME, KEY)
    monkeypatch.setenv("ANOTHER_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve(tmp_path):
    """A function that starts a server which fails with this share of the requests, or so always; gives its address."""
    running = []

    def start(share: float, **always: str) -> str:
        folder = tmp_path / f"server-{len(running)}"
        folder.mkdir()
        program = Path(fault_server.__file__)
        running.append(subprocess.Popen([sys.executable, program, folder, str(share), json.dumps(always)]))
        end = time.monotonic() + 20
        while not (folder / "port").exists():
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.05)
        return f"http://127.0.0.1:{(folder / 'port').read_text()}/v1"

    yield start
    for process in running:
        process.kill()
        process.wait()


def requests(tmp_path: Path) -> Counter[str]:
    return Counter((tmp_path / "server-0" / "requests").read_text().split())


def records(runs: Path) -> int:
    path = runs / build.RECORDS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_every_image_ends_captioned_or_with_its_reason(tmp_path, serve):
    damaged = (7, 1234)
    write_images(tmp_path / "source", COUNT, damaged)
    write_selection(tmp_path / "selection", all_ids(COUNT))
    settings = server_settings(serve(0.15), num_threads=THREADS, timeout=1.0, max_failures=0.05)
    command = [sys.executable, "-c", CODE, settings.model_dump_json()]
    command += [str(tmp_path / name) for name in ("source", "selection", "out", "runs")]
    log = (tmp_path / "log").open("wb")

    for kill in range(5):
        process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while records(tmp_path / "runs") < (kill + 1) * COUNT // 7:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < end, "no progress"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, stdout=log, stderr=log, timeout=120)
    text = (tmp_path / "log").read_text()
    assert done.returncode == 0, text[-2000:]

    captions = [json.loads(line) for line in (tmp_path / "out/captions.jsonl").read_text().splitlines()]
    failures = {row["id"]: row for row in map(json.loads, (tmp_path / "out/failures.jsonl").read_text().splitlines())}
    assert [row["id"] for row in captions] == [name for name in all_ids(COUNT) if name not in failures]
    for row in captions:
        assert row["caption"] in (f"A picture with number {int(row['id'])} in it.", "A picture with number")
        assert row["finish_reason"] == ("stop" if row["caption"].endswith(".") else "length")
        assert row["model"] == "vlm-2"
        assert row["usage"] == {"prompt_tokens": 100, "completion_tokens": 9}
    expected = {name: final(name) for name in all_ids(COUNT) if final(name)}
    reasons = {"400": "refused: ", "empty": "empty reply"}
    for name, fault in expected.items():
        if int(name) not in damaged:
            assert failures[name]["reason"].startswith(reasons.get(fault, f"finish reason {fault}"))
            assert failures[name]["kind"] == "permanent"
    for index in damaged:
        assert failures[f"{index:06d}"]["reason"].startswith("cannot read image")
    others = set(failures) - set(expected) - {f"{index:06d}" for index in damaged}
    assert all(failures[name]["kind"] == "unavailable" for name in others)  # eight times bad luck
    assert len(others) <= 2

    # none was asked again but for a fault, or because a kill took the answers that were under way
    asked = requests(tmp_path)
    lines = Counter(name for name, _, _ in read_rows(tmp_path / "runs" / build.RECORDS))
    assert set(lines) == set(all_ids(COUNT))
    assert max(lines.values()) == 1 or others
    answered_once = [name for name in all_ids(COUNT) if asked[name] == 1]
    assert len(answered_once) > 0.75 * COUNT
    assert sum(asked.values()) < COUNT * 1.25 + 5 * 2 * THREADS
    assert KEY not in text
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_finished_part_is_not_asked_again(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 20), write_selection(tmp_path / "selection", all_ids(20))
    settings = server_settings(serve(0.0), num_shards=2)
    shards = [tmp_path / "runs" / str(shard) for shard in range(2)]
    for shard, folder in enumerate(shards):
        build.caption_shard(settings, source, selection, shard, folder)
    before = requests(tmp_path)
    assert sum(before.values()) == 20
    os.environ.pop(KEY_NAME)  # nothing is asked, so no key is needed
    build.caption_shard(settings, source, selection, 0, shards[0])
    build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs", shards)
    assert requests(tmp_path) == before
    # another address of the same server, or more patience, makes no other captions
    other = server_settings("http://127.0.0.1:9/v1", num_shards=2, timeout=9.0)
    build.run(other, source, selection, tmp_path / "again", tmp_path / "runs", shards)
    assert (tmp_path / "again/captions.jsonl").read_bytes() == (tmp_path / "out/captions.jsonl").read_bytes()


def test_other_settings_ask_anew_and_lose_nothing(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 5), write_selection(tmp_path / "selection", all_ids(5))
    url = serve(0.0)
    build.run(server_settings(url), source, selection, tmp_path / "out", tmp_path / "runs")
    old = (tmp_path / "runs" / build.RECORDS).read_bytes()
    build.run(server_settings(url, revision="2"), source, selection, tmp_path / "out", tmp_path / "runs")
    assert set(requests(tmp_path).values()) == {2}
    assert [path.read_bytes() for path in (tmp_path / "runs").glob("records.*.jsonl")] == [old]
    build.run(server_settings(url), source, selection, tmp_path / "out", tmp_path / "runs")  # as they once were
    assert set(requests(tmp_path).values()) == {2}
    assert (tmp_path / "runs" / build.RECORDS).read_bytes() == old


def test_one_more_image_is_one_more_question(tmp_path, serve):
    source = write_images(tmp_path / "source", 21)
    settings = server_settings(serve(0.0), num_shards=3, max_failures=0.2)
    shards = [tmp_path / "runs" / str(shard) for shard in range(3)]
    for names in (all_ids(20), all_ids(21)):
        selection = write_selection(tmp_path / f"selection-{len(names)}", names)
        for shard, folder in enumerate(shards):
            build.caption_shard(settings, source, selection, shard, folder)
        build.run(settings, source, selection, tmp_path / f"out-{len(names)}", tmp_path / "runs", shards)
    asked = requests(tmp_path)
    asked.pop(PLAIN, None)
    assert asked == dict.fromkeys(all_ids(21), 1)


def test_another_number_of_parts_asks_nothing_again(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 40), write_selection(tmp_path / "selection", all_ids(40))
    url, runs, outputs = serve(0.0), tmp_path / "runs", []
    for number in (3, 2, 4, 1):
        settings = server_settings(url, num_shards=number, max_failures=0.2)
        shards = [runs / f"shard-{shard}" for shard in range(number)] if number > 1 else []
        for shard, folder in enumerate(shards):
            build.caption_shard(settings, source, selection, shard, folder)
        build.run(settings, source, selection, tmp_path / f"out-{number}", runs, shards)
        outputs.append((tmp_path / f"out-{number}/captions.jsonl").read_bytes())
    asked = requests(tmp_path)
    asked.pop(PLAIN, None)
    assert asked == dict.fromkeys(all_ids(40), 1)
    assert len(set(outputs)) == 1


def test_only_images_that_changed_are_asked_again(tmp_path, serve):
    selection, url = write_selection(tmp_path / "selection", all_ids(12)), serve(0.0)

    def source(**alt_texts: str) -> Path:
        with publish(tmp_path / "source", settings={}) as folder, ShardWriter(folder / "train") as writer:
            for index, name in enumerate(all_ids(12 + len(alt_texts))):
                image = encode_png(render(draw_scene(7 if alt_texts and index == 3 else 0, index), 48))
                text = alt_texts.get(f"_{name}", "a picture")
                writer.write(image, {"id": name, "conversation": [], "alt_text": f"alt {index} {text}"})
        return tmp_path / "source"

    settings = server_settings(url, max_failures=0.2)
    build.run(settings, source(), selection, tmp_path / "out", tmp_path / "runs")
    build.run(settings, source(_000005="another text"), selection, tmp_path / "out", tmp_path / "runs")
    asked = requests(tmp_path)
    asked.pop(PLAIN, None)
    assert asked == dict.fromkeys(all_ids(12), 1) | {"000003": 2, "000005": 2}


def test_a_damaged_file_is_the_storages_fault_and_tried_again(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 20), write_selection(tmp_path / "selection", all_ids(20))
    settings = server_settings(serve(0.0), max_failures=0.7)
    (shard,) = (source / "train").glob("*.tar")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs")
    failures = [json.loads(line) for line in (tmp_path / "out/failures.jsonl").read_text().splitlines()]
    damaged = [row for row in failures if "is truncated" in row["reason"]]
    assert 5 <= len(damaged) <= 12
    assert {row["kind"] for row in damaged} == {"unavailable"}
    shard.write_bytes(whole)
    build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs")
    assert "is truncated" not in (tmp_path / "out/failures.jsonl").read_text()


def test_captions_outlive_a_moment_without_storage(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 20), write_selection(tmp_path / "selection", all_ids(20))
    settings = server_settings(serve(0.0), max_failures=0.2)
    build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs")
    (shard,) = (source / "train").glob("*.tar")
    shard.rename(tmp_path / "away")
    build.run(settings, source, selection, tmp_path / "without", tmp_path / "runs")
    (tmp_path / "away").rename(shard)
    build.run(settings, source, selection, tmp_path / "again", tmp_path / "runs")
    asked = requests(tmp_path)
    asked.pop(PLAIN, None)
    assert asked == dict.fromkeys(all_ids(20), 1)
    for name in ("without", "again"):
        assert (tmp_path / name / "captions.jsonl").read_bytes() == (tmp_path / "out/captions.jsonl").read_bytes()


def test_captions_that_were_set_aside_in_another_part_are_found(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 30), write_selection(tmp_path / "selection", all_ids(30))
    url, runs = serve(0.0), tmp_path / "runs"

    def caption(number: int, revision: str) -> None:
        settings = server_settings(url, num_shards=number, max_failures=0.2, revision=revision)
        shards = [runs / f"shard-{shard}" for shard in range(number)] if number > 1 else []
        for shard, folder in enumerate(shards):
            build.caption_shard(settings, source, selection, shard, folder)
        build.run(settings, source, selection, tmp_path / "out", runs, shards)

    for number, revision in ((3, "a"), (3, "b"), (2, "a"), (1, "b"), (1, "a")):
        caption(number, revision)
    asked = requests(tmp_path)
    asked.pop(PLAIN, None)
    assert asked == dict.fromkeys(all_ids(30), 2)  # once for each revision


def test_how_a_server_is_asked_changes_no_caption(tmp_path, serve):
    """Each is asked anew: the time of an answer is all that differs."""
    source, selection = write_images(tmp_path / "source", 12), write_selection(tmp_path / "selection", all_ids(12))
    others = {"num_threads": 1, "timeout": 9.0, "max_tries": 3, "max_wait": 1.0, "max_outage": 60.0}
    found = []
    for number, how in enumerate(({}, others | {"api_key_environment": "ANOTHER_KEY"})):
        settings = server_settings(serve(0.0), **how)
        build.run(settings, source, selection, tmp_path / f"out-{number}", tmp_path / f"run-{number}")
        rows = [json.loads(line) for line in (tmp_path / f"out-{number}/captions.jsonl").read_text().splitlines()]
        found.append([{name: value for name, value in row.items() if name != "time"} for row in rows])
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_what_was_sent_once_is_not_sent_by_another_config(tmp_path, serve):
    """Nor with other names of the images, more parts, or without `runs/`; another model or prompt is asked."""
    url, count = serve(0.0), 12

    def asked_by(config: str, names: list[str], number: int = 1, variants: tuple[str, ...] = ("scene-1",), **changes):
        before = requests(tmp_path)
        with publish(tmp_path / config, settings={}) as folder, ShardWriter(folder / "train") as writer:
            for index, name in enumerate(names):
                image = encode_png(render(draw_scene(0, index), 48))
                writer.write(image, {"id": name, "conversation": [], "alt_text": f"alt {index}"})
        selection = write_selection(tmp_path / "selection", names)
        prompts = {"variants": variants}
        settings = server_settings(url, num_shards=number, max_failures=0.2, prompts=prompts, **changes)
        runs = tmp_path / "runs" / config / "caption" / "scenes"
        shards = [runs / str(shard) for shard in range(number)] if number > 1 else []
        for shard, folder in enumerate(shards):
            build.caption_shard(settings, tmp_path / config, selection, shard, folder)
        build.run(settings, tmp_path / config, selection, tmp_path / f"out-{config}", runs, shards)
        rows = [json.loads(line) for line in (tmp_path / f"out-{config}/captions.jsonl").read_text().splitlines()]
        assert [row["id"] for row in rows] == names
        asked = requests(tmp_path) - before
        return sum(asked.values()) - asked[PLAIN]

    assert asked_by("one", all_ids(count)) == count
    assert asked_by("two", all_ids(count), number=3) == 0
    assert asked_by("three", [f"image-{index}" for index in range(count)]) == 0
    assert asked_by("four", all_ids(count + 1)) == 1
    shutil.rmtree(tmp_path / "runs")
    assert asked_by("one", all_ids(count), number=2, timeout=9.0) == 0
    assert asked_by("one", all_ids(count), variants=("details-1",)) == count
    assert asked_by("one", all_ids(count), variants=("scene-1", "details-1")) == 0
    assert asked_by("one", all_ids(count), model="another") == count
    assert asked_by("five", all_ids(count), sampling={"max_tokens": 9}) == count
    assert asked_by("five", all_ids(count)) == 0


@pytest.mark.parametrize("reason", [f"odd {KEY}", "\ud800"])
def test_a_finish_reason_that_repeats_the_key_or_is_no_text(tmp_path, serve, reason):
    source, selection = write_images(tmp_path / "source", 3), write_selection(tmp_path / "selection", all_ids(3))
    settings = server_settings(serve(0.0, **{"000001": f"reason {reason}"}), max_failures=0.5)
    build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs")
    rows = [json.loads(line) for line in (tmp_path / "out/failures.jsonl").read_text().splitlines()]
    assert "finish reason" in {row["id"]: row["reason"] for row in rows}["000001"]
    folders = (tmp_path / "out", tmp_path / "runs")
    assert not any(KEY in path.read_text() for folder in folders for path in folder.rglob("*.json*"))


def test_a_server_that_asks_for_more_patience_gets_it(serve):
    engine = make_engine(server_settings("http://127.0.0.1:9/v1", max_wait=2.0, max_outage=1000.0).captions)
    assert 300 <= engine._wait(1, 300.0) <= 360
    assert engine._wait(1, 10_000.0) == 1000  # the job ends then
    assert engine._wait(9, None) <= 2


def test_a_server_that_is_gone_ends_the_job_and_keeps_what_is_done(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 60), write_selection(tmp_path / "selection", all_ids(60))
    settings = server_settings("http://127.0.0.1:9/v1", max_outage=2.0, max_tries=100, num_threads=4)
    started = time.monotonic()
    with pytest.raises(PargoError, match="the server has answered nobody for"):
        build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs")
    assert time.monotonic() - started < 30
    assert not (tmp_path / "out").exists()
    build.run(server_settings(serve(0.0)), source, selection, tmp_path / "out", tmp_path / "runs")
    assert (
        len((tmp_path / "out/captions.jsonl").read_text().splitlines())
        + len((tmp_path / "out/failures.jsonl").read_text().splitlines())
        == 60
    )


def test_a_server_that_refuses_everything_is_at_fault_and_no_image(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 40), write_selection(tmp_path / "selection", all_ids(40))
    with pytest.raises(PargoError, match=r"refuses every picture, even a plain white one: .*trouble"):
        build.run(server_settings(serve(0.0, **{"*": "400"})), source, selection, tmp_path / "out", tmp_path / "runs")
    assert sum(requests(tmp_path).values()) <= 4 * THREADS
    build.run(server_settings(serve(0.0), max_failures=0.2), source, selection, tmp_path / "out", tmp_path / "runs")
    assert len((tmp_path / "out/captions.jsonl").read_text().splitlines()) >= 36


def test_a_server_that_comes_to_refuse_everything_is_found_out(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 100), write_selection(tmp_path / "selection", all_ids(100))
    url = serve(0.0, **{"*": "400"}, **dict.fromkeys(all_ids(5), ""))
    with pytest.raises(PargoError, match="refuses every picture, even a plain white one"):
        build.run(server_settings(url, num_threads=1), source, selection, tmp_path / "out", tmp_path / "runs")
    rows = map(json.loads, (tmp_path / "runs" / build.RECORDS).read_text().splitlines()[1:])
    assert sum(row.get("kind") == "permanent" for row in rows) <= MAX_REFUSALS + 1  # one that it always refuses


def test_images_that_always_fail_are_no_outage(tmp_path, serve):
    source, selection = write_images(tmp_path / "source", 40), write_selection(tmp_path / "selection", all_ids(40))
    failing = {f"{index:06d}": "500" for index in range(20, 30)}
    settings = server_settings(serve(0.0, **failing), num_threads=4, max_wait=0.05, max_outage=5.0)
    for _ in range(2):  # the second run asks about nothing else
        with pytest.raises(PargoError, match=r"1\d of 40 images have no caption, 1\d of them because: HTTP 500"):
            build.run(settings, source, selection, tmp_path / "out", tmp_path / "runs")
    rows = map(json.loads, (tmp_path / "runs" / build.RECORDS).read_text().splitlines()[1:])
    assert {row["id"] for row in rows if row.get("kind") == "unavailable"} == set(failing)


def test_too_many_failures_are_an_error_and_asked_for_by_the_next_run(tmp_path, serve):
    source = write_images(tmp_path / "source", 20, damaged=(3,))
    selection = write_selection(tmp_path / "selection", all_ids(20))
    url = serve(0.0)
    with pytest.raises(PargoError, match=r"1 of 20 images have no caption, 1 of them because: cannot read image"):
        build.run(server_settings(url), source, selection, tmp_path / "out", tmp_path / "runs")
    assert not (tmp_path / "out").exists()
    build.run(server_settings(url, max_failures=0.1), source, selection, tmp_path / "out", tmp_path / "runs")
    assert max(requests(tmp_path).values()) == 1


def test_no_key(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_NAME)
    source, selection = write_images(tmp_path / "source", 1), write_selection(tmp_path / "selection", all_ids(1))
    with pytest.raises(PargoError, match=f"no key for the caption server: set {KEY_NAME}"):
        build.run(server_settings("http://127.0.0.1:9/v1"), source, selection, tmp_path / "out", tmp_path / "runs")
