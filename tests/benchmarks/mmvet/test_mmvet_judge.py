"""The judge against a real server on loopback: failures, garbage, interruptions, and a key that stays secret."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from pargo.benchmarks.mmvet.judge import Grading, Judge, grade, judge_files, log_path
from pargo.benchmarks.mmvet.judge_prompt import PROMPT, PROMPT_VERSION
from pargo.benchmarks.mmvet.results import read
from pargo.benchmarks.scores.score import score_files
from pargo.errors import PargoError
from tests.helpers.judge_server import CUT, DROP, HANG, completion, failure, judge_server, slowly
from tests.helpers.mmvet_files import SETS, write_json

KEY = "sk-" + "secret0123456789" * 2


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def inputs(tmp_path):
    """A function that writes questions and answers, and gives their paths."""

    def write(count: int = 218) -> tuple[Path, Path]:
        meta = {
            f"v1_{number}": {
                "imagename": f"{number}.png",
                "question": f"This is question v1_{number}. What is it?",
                "answer": "red<AND>blue",
                "capability": SETS[number % len(SETS)],
            }
            for number in range(count)
        }
        results = {key: f"answer {key}" for key in meta}
        return write_json(tmp_path / "mm-vet.json", meta), write_json(tmp_path / "results.json", results)

    return write


def settings(server, **changes) -> Judge:
    fields = {"base_url": server.url, "model": "gpt-judge", "api_key_environment": "JUDGE_KEY", "timeout": 20.0}
    return Judge(**fields | changes)


def grade_of(identifier: str) -> str:
    return str(int(identifier.removeprefix("v1_")) % 11 / 10)


def good(identifier: str, count: int):
    return completion(grade_of(identifier))


def no_key_in(folder: Path, *texts: str) -> bool:
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return not any(KEY.encode() in data for data in [*files, *(text.encode() for text in texts)])


def test_grades_218_answers_through_every_kind_of_trouble(tmp_path, inputs, capfd):
    trouble = [
        failure(429),
        failure(500),
        failure(503),
        failure(408),
        DROP,
        CUT,
        HANG,
        completion("I would say 0.5"),
        completion(None),
        completion(["0.5"]),
        completion("1.5"),
        (200, {"Content-Type": "application/json"}, b"{not json"),
        (200, {"Content-Type": "application/json"}, b"\xff\xfe"),
        (200, {"Content-Type": "application/json"}, b"[]"),
        (200, {"Content-Type": "application/json"}, b'"0.5"'),
        (200, {"Content-Type": "application/json"}, b'{"choices": []}'),
        (200, {"Content-Type": "application/json"}, b'{"choices": [{"message": null}]}'),
        (200, {"Content-Type": "text/html"}, b"<html>0.5</html>"),
        (200, {}, b""),
    ]

    def respond(identifier: str, count: int):
        number = int(identifier.removeprefix("v1_"))
        if number % 2 == 0 and count == 1 and number // 2 < 2 * len(trouble):
            return trouble[number // 2 % len(trouble)]
        return good(identifier, count)

    meta, results = inputs()
    output = tmp_path / "out" / "grades.json"
    with judge_server(respond) as server:
        grading = judge_files(meta, results, output, settings(server, timeout=1.0, num_threads=16))
        assert grading.graded == 218
        assert grading.ungraded == {}
        assert all(server.asked[f"v1_{number}"] == 1 for number in range(1, 218, 2))
        assert all(server.asked[f"v1_{2 * number}"] == 2 for number in range(2 * len(trouble)))
        assert server.keys == {f"Bearer {KEY}"}
        assert 1 < server.most_at_once <= 16
        body = server.bodies[0]
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-judge", 0, 16)
        assert len(body["messages"]) == 1
    grades = json.loads(output.read_text())
    assert list(grades) == [f"v1_{number}" for number in range(218)]
    assert grades["v1_3"] == {
        "answer": json.loads(results.read_text())["v1_3"].strip(),
        "model": ["judge-1"],
        "content": ["0.3"],
        "score": [0.3],
        "prompt": ["pargo-1"],
    }
    record = score_files("mmvet", [meta, output], samples=10)
    expected = [number % 11 / 10 for number in range(218)]
    assert record.headline.value == pytest.approx(sum(expected) / 218)
    assert sorted(path.name for path in output.parent.iterdir()) == ["grades.json", "grades.json.log.jsonl"]
    assert no_key_in(tmp_path, *capfd.readouterr())


def test_the_prompt_holds_question_reference_and_answer(tmp_path, inputs):
    meta, results = inputs(2)
    own = tmp_path / "own.txt"
    own.write_text("{question} R={reference} A={answer}")
    with judge_server(good) as server:
        judge = settings(server, num_threads=1)
        judge_files(meta, results, tmp_path / "g.json", judge)
        answers = read([meta, results], parser="judge", partial=False)
        texts = [body["messages"][0]["content"] for body in server.bodies]
        assert texts == [PROMPT.fill(answer, answer.answer) for answer in answers]
        assert "answer v1_1" in texts[1]
        # another prompt is another request
        judge_files(meta, results, tmp_path / "g.json", judge, own)
        assert server.bodies[2]["messages"][0]["content"] == (
            "This is question v1_0. What is it? R=red <AND> blue A=answer v1_0"
        )
    lines = [json.loads(line) for line in log_path(tmp_path / "g.json").read_text().splitlines()]
    assert [line["prompt"] for line in lines][:2] == [PROMPT_VERSION] * 2
    assert lines[2]["prompt"].startswith("sha256-")


def test_several_runs(tmp_path, inputs):
    meta, results = inputs(12)
    with judge_server(lambda identifier, count: completion(f"0.{count}")) as server:
        assert judge_files(meta, results, tmp_path / "g.json", settings(server, num_runs=3)) == Grading(12, {}, 36)
        assert judge_files(meta, results, tmp_path / "g.json", settings(server, num_runs=3)).replies == 0
    grades = json.loads((tmp_path / "g.json").read_text())
    assert all(sorted(entry["score"]) == [0.1, 0.2, 0.3] for entry in grades.values())
    assert all(len(entry["model"]) == len(entry["content"]) == 3 for entry in grades.values())
    record = score_files("mmvet", [meta, tmp_path / "g.json"], samples=5)
    assert record.headline.value == pytest.approx(0.2)
    assert record.counts["runs"] == 3


def test_what_stays_ungraded_is_named_never_0_and_asked_again(tmp_path, inputs):
    meta, results = inputs(20)
    output, well = tmp_path / "g.json", []

    def respond(identifier: str, count: int):
        if identifier == "v1_4" and not well:
            return completion("it depends")
        if identifier == "v1_7" and not well:
            return failure(400, "content filter")
        return good(identifier, count)

    with judge_server(respond) as server:
        grading = judge_files(meta, results, output, settings(server, max_replies=3))
        assert grading.graded == 18
        assert grading.ungraded.keys() == {"v1_4", "v1_7"}
        assert grading.ungraded["v1_4"] == "no number from 0 to 1 in 3 replies, the last 'it depends'"
        assert "content filter" in grading.ungraded["v1_7"]
        assert (server.asked["v1_4"], server.asked["v1_7"]) == (3, 1)
        assert not {"v1_4", "v1_7"} & json.loads(output.read_text()).keys()
        with pytest.raises(PargoError, match=r"g\.json: nothing for question 'v1_4' .*\(2 of 20 missing\)"):
            score_files("mmvet", [meta, output])
        assert score_files("mmvet", [meta, output], samples=5, partial=True).headline.num_questions == 18
        well.append(True)
        before = server.num_requests
        assert judge_files(meta, results, output, settings(server)) == Grading(20, {}, 2)
        assert server.num_requests == before + 2
    assert score_files("mmvet", [meta, output], samples=5).counts["graded"] == 20


def test_when_nothing_is_graded_no_file_is_written(tmp_path, inputs):
    meta, results = inputs(3)
    with (
        judge_server(lambda identifier, count: failure(400, "max_tokens is unknown")) as server,
        pytest.raises(PargoError, match=r"'gpt-judge' graded none of 3 answers; v1_\d: .*max_tokens is unknown"),
    ):
        judge_files(meta, results, tmp_path / "g.json", settings(server))
    assert not (tmp_path / "g.json").exists()


@pytest.mark.parametrize(
    ("response", "retries", "message"),
    [
        (failure(401, f"bad key {KEY}"), 0, r"the key in JUDGE_KEY is refused \(HTTP 401\): .*bad key \[key\]"),
        (failure(403), 0, r"the key in JUDGE_KEY is refused \(HTTP 403\)"),
        (failure(404), 0, r"no model 'gpt-judge', or no chat there: base_url often ends in /v1 \(HTTP 404\)"),
        (failure(402), 0, r"HTTP 402"),
        (failure(429, f"quota of {KEY}"), 2, r"too many requests, or nothing left to spend \(HTTP 429\)"),
        (failure(500), 2, r"HTTP 500"),
        (DROP, 1, r"cannot be reached"),
        (HANG, 0, r"no reply in time"),
    ],
)
def test_a_server_that_takes_no_question_stops_it_and_grades_are_kept(
    tmp_path, inputs, capfd, response, retries, message
):
    meta, results = inputs(30)
    output, well = tmp_path / "g.json", []

    def respond(identifier: str, count: int):
        return good(identifier, count) if well or server.num_requests <= 10 else response

    with judge_server(respond) as server:
        judge = settings(server, max_retries=retries, num_threads=4, timeout=0.5)
        with pytest.raises(PargoError, match=message) as caught:
            judge_files(meta, results, output, judge)
        assert server.num_requests <= 10 + 4 * (retries + 1) + 4
        kept = len(log_path(output).read_text().splitlines())
        assert 6 <= kept <= 10
        assert f"({kept} of 30 grades are kept; run again to go on)" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not output.exists()
        well.append(True)
        assert judge_files(meta, results, output, judge) == Grading(30, {}, 30 - kept)
    assert no_key_in(tmp_path, str(caught.value), *capfd.readouterr())


def test_nobody_listens(tmp_path, inputs):
    meta, results = inputs(3)
    with judge_server(good) as server:
        judge = settings(server, max_retries=0)
    with pytest.raises(PargoError, match=r"judge http://127\.0\.0\.1:\d+/v1: cannot be reached"):
        judge_files(meta, results, tmp_path / "g.json", judge)


def test_a_wrong_path_is_named(tmp_path, inputs):
    meta, results = inputs(3)
    with judge_server(good) as server, pytest.raises(PargoError, match=r"base_url often ends in /v1 \(HTTP 404\)"):
        judge_files(meta, results, tmp_path / "g.json", settings(server, base_url=server.url.removesuffix("/v1")))


SCRIPT = """
import sys
from pathlib import Path
from pargo.benchmarks.mmvet.judge import Judge, judge_files
judge = Judge(base_url=sys.argv[4], model="gpt-judge", api_key_environment="JUDGE_KEY", num_threads=4)
judge_files(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), judge)
"""


@pytest.mark.parametrize(("kind", "count"), [(signal.SIGKILL, 218), (signal.SIGINT, 80)])
def test_killed_in_the_middle_it_goes_on_without_asking_again(tmp_path, inputs, kind, count):
    meta, results = inputs(count)
    output, well = tmp_path / "g.json", []

    def respond(identifier: str, count: int):
        if not well and server.num_requests > 60:
            return HANG
        return slowly(good(identifier, count), 0 if well else 0.005)

    with judge_server(respond) as server:
        arguments = [sys.executable, "-c", SCRIPT, str(meta), str(results), str(output), server.url]
        process = subprocess.Popen(
            arguments,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # tests that run in the background of a shell have it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 60
        while server.num_requests <= 63 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(kind)
        # a request that hangs keeps nobody waiting
        said = process.communicate(timeout=60)[0].decode()
        assert process.returncode != 0
        assert not output.exists()
        finished = {json.loads(line)["id"] for line in log_path(output).read_text().splitlines()}
        assert len(finished) == 60
        with log_path(output).open("ab") as file:
            file.write(b'{"request": "half a li')
        well.append(True)
        before = server.asked.copy()
        assert judge_files(meta, results, output, settings(server)) == Grading(count, {}, count - 60)
        again = server.asked - before
        assert not finished & again.keys()
        assert set(again.values()) == {1}
        # the half line is gone, not part of the next one
        assert judge_files(meta, results, output, settings(server)) == Grading(count, {}, 0)
    assert len(json.loads(output.read_text())) == count
    assert len(log_path(output).read_text().splitlines()) == count
    assert no_key_in(tmp_path, said)


def test_a_changed_answer_model_or_temperature_is_asked_anew(tmp_path, inputs):
    meta, results = inputs(5)
    output = tmp_path / "g.json"
    with judge_server(good) as server:
        judge = settings(server)
        assert judge_files(meta, results, output, judge).replies == 5
        assert judge_files(meta, results, output, judge).replies == 0
        content = json.loads(results.read_text()) | {"v1_2": "other"}
        write_json(results, content)
        assert judge_files(meta, results, output, judge).replies == 1
        assert judge_files(meta, results, output, settings(server, model="other")).replies == 5
        assert judge_files(meta, results, output, settings(server, temperature=0.5)).replies == 5
        assert judge_files(meta, results, output, settings(server, num_threads=1, timeout=5.0)).replies == 0


def test_how_a_judge_is_asked_changes_no_byte_of_the_grades(tmp_path, inputs, monkeypatch):
    monkeypatch.setenv("ANOTHER_KEY", KEY)
    meta, results = inputs(20)
    others = {"num_threads": 1, "timeout": 5.0, "max_retries": 2, "max_replies": 9}
    for name, how in (("one", {}), ("two", others | {"api_key_environment": "ANOTHER_KEY"})):
        with judge_server(good) as server:  # each has another address
            assert judge_files(meta, results, tmp_path / name, settings(server, **how)).replies == 20
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_finished_run_needs_neither_server_nor_key(tmp_path, inputs, monkeypatch):
    meta, results = inputs(3)
    with judge_server(good) as server:
        judge_files(meta, results, tmp_path / "g.json", settings(server))
    first = (tmp_path / "g.json").read_bytes()
    (tmp_path / "g.json").unlink()
    monkeypatch.delenv("JUDGE_KEY")
    judge_files(meta, results, tmp_path / "g.json", settings(server))
    assert (tmp_path / "g.json").read_bytes() == first


def test_a_server_that_repeats_the_key(tmp_path, inputs):
    meta, results = inputs(3)

    def respond(identifier: str, count: int):
        return completion("1", model=f"m {KEY}") if identifier == "v1_0" else completion(f"{KEY} 0.5")

    with judge_server(respond) as server:
        grading = judge_files(meta, results, tmp_path / "g.json", settings(server, max_replies=2))
    assert grading.graded == 1
    assert json.loads((tmp_path / "g.json").read_text())["v1_0"]["model"] == ["m [key]"]
    assert no_key_in(tmp_path, str(grading))


def test_a_broken_log_is_refused_by_line(tmp_path, inputs):
    meta, results = inputs(3)
    output = tmp_path / "g.json"
    with judge_server(good) as server:
        judge_files(meta, results, output, settings(server))
        text = log_path(output).read_text()
        log_path(output).write_text(text + "{}\n")
        with pytest.raises(PargoError, match=r"g\.json\.log\.jsonl:4: not a grade: .*; remove the line, or the file"):
            judge_files(meta, results, output, settings(server))
        log_path(output).write_text(text.replace('"score": 0.1', '"score": 7'))
        with pytest.raises(PargoError, match=r"log\.jsonl:\d: not a grade"):
            judge_files(meta, results, output, settings(server))


def test_two_at_once_are_refused(tmp_path, inputs):
    import fcntl

    meta, results = inputs(3)
    with log_path(tmp_path / "g.json").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with judge_server(good) as server, pytest.raises(PargoError, match=r"is in use: another process grades"):
            judge_files(meta, results, tmp_path / "g.json", settings(server))


def test_inputs_that_cannot_be_graded(tmp_path, inputs):
    meta, results = inputs(3)
    with judge_server(good) as server:
        judge = settings(server)
        for path in (meta, results):
            with pytest.raises(PargoError, match=r"is an input: name another file for the grades"):
                judge_files(meta, results, path, judge)
        grades = write_json(tmp_path / "old.json", dict.fromkeys(json.loads(meta.read_text()), 1))
        with pytest.raises(PargoError, match=r"old\.json holds grades already"):
            judge_files(meta, grades, tmp_path / "g.json", judge)
        short = write_json(tmp_path / "short.json", {"v1_0": "a"})
        with pytest.raises(PargoError, match=r"short\.json: nothing for question 'v1_1'"):
            judge_files(meta, short, tmp_path / "g.json", judge)
        with pytest.raises(PargoError, match="no answers to grade"):
            grade([], judge, tmp_path / "g.json")
        answers = read([meta, results], parser="judge", partial=False)
        with pytest.raises(PargoError, match="answers to grade: question 'v1_0' twice"):
            grade([*answers, answers[0]], judge, tmp_path / "g.json")
        (tmp_path / "file").touch()
        with pytest.raises(PargoError, match="cannot write"):
            judge_files(meta, results, tmp_path / "file" / "g.json", judge)
        with pytest.raises(PargoError, match="is a directory, expected a file to write"):
            judge_files(meta, results, tmp_path, judge)
        assert server.num_requests == 0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", r"'': expected an address like https://host/v1"),
        ("localhost:8000", r"expected an address like"),
        ("ftp://host/v1", r"expected an address like"),
        ("http:///v1", r"expected an address like"),
        ("http://host:port/v1", r"expected an address like"),
        ("http://[::1/v1", r"expected an address like"),
        (f"http://me:{KEY}@host/v1", r"holds a user, a password or a query: keys belong in the environment"),
        (f"http://me:{KEY}@host:port/v1", r"holds a user, a password or a query"),
        (f"http://host/v1?key={KEY}", r"holds a user, a password or a query"),
    ],
)
def test_addresses(url, message):
    with pytest.raises(ValidationError, match=message) as caught:
        Judge(base_url=url, model="m", api_key_environment="JUDGE_KEY")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"no key for the judge: set JUDGE_KEY"),
        ("", r"no key for the judge: set JUDGE_KEY"),
        ("sk-s\u00e9cret", r"the key in JUDGE_KEY holds a space or a character that no key has"),
        ("sk-secret\n", r"the key in JUDGE_KEY holds a space"),
    ],
)
def test_keys(tmp_path, inputs, monkeypatch, value, message):
    if value is None:
        monkeypatch.delenv("JUDGE_KEY")
    else:
        monkeypatch.setenv("JUDGE_KEY", value)
    with judge_server(good) as server, pytest.raises(PargoError, match=message) as caught:
        judge_files(*inputs(2), tmp_path / "g.json", settings(server))
    assert "secret" not in str(caught.value)


def test_the_client_library_loads_only_when_it_asks():
    code = (
        "import sys, pargo.benchmarks.mmvet.judge; print([n for n in ('openai', 'torch', 'PIL') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_another_config_asks_nothing_twice(tmp_path, inputs):
    """Grades outlive `runs/`; another judge, or other settings of its replies, is asked anew."""
    answers = read([*inputs(20)], parser="judge", partial=False)
    with judge_server(good) as server:

        def asked_by(config: str, number: int = 20, **changes) -> int:
            before = server.num_requests
            runs = tmp_path / "runs" / config / "grade" / "pargo" / "seed-0" / "mmvet"
            output = runs / "grades.json"
            assert grade(answers[:number], settings(server, **changes), output, run_directory=runs).graded == number
            assert len(json.loads(output.read_text())) == number
            return server.num_requests - before

        assert asked_by("one", 15) == 15
        assert asked_by("two", timeout=9.0) == 5
        shutil.rmtree(tmp_path / "runs")
        assert asked_by("one") == 0
        assert asked_by("one", model="another") == 20
        assert asked_by("two", max_tokens=99) == 20
        assert asked_by("two", num_runs=2) == 20
