"""Grading as MM-Vet's notebook does, against a real server on loopback, beside the notebook's loop written anew."""

import http.client
import json
import random
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks.mmvet.judge import Judge, judge_files
from pargo.benchmarks.mmvet.notebook import first_word
from pargo.benchmarks.scores.score import score_files
from pargo.code import ROOT
from pargo.errors import PargoError
from tests.helpers.judge_server import completion, failure, judge_server
from tests.helpers.mmvet_files import SETS, write_json

OPENING = "Compare both.\n\nQuestion | Truth | Prediction | Correctness\n--- | --- | --- | ---\nx? | 1 | 1 | 1.0\n"
REPLIES = ["0.5", "1.", ".5", "0", "1.0", "0.5 | x", "0.5|x", " 0.5", "0.5\n", "0.7\nso", "1e-1", "0_1", "+1", "-0.0"]
REPLIES += ["", " ", "I would", "1.1", "-0.1", "2", "inf", "none", "0,5", "\uff11", "50%", "0.5.", "**0.5**", "\t0.4 x"]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-" + "secret0123456789" * 2)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def inputs(tmp_path):
    """Questions, answers with space around them, and the text that opens the prompt."""

    def write(count: int) -> tuple[Path, Path, Path]:
        meta = {
            f"v1_{number}": {
                "imagename": f"{number}.png",
                "question": f"This is question v1_{number}. What is it?",
                "answer": "red<AND>blue",
                "capability": SETS[number % len(SETS)],
            }
            for number in range(count)
        }
        results = {name: f" answer {name}\n" for name in meta}
        (tmp_path / "prompt.txt").write_text(OPENING)
        return (
            write_json(tmp_path / "mm-vet.json", meta),
            write_json(tmp_path / "results.json", results),
            tmp_path / "prompt.txt",
        )

    return write


def settings(server, **changes) -> Judge:
    fields = {"base_url": server.url, "model": "gpt-judge", "api_key_environment": "JUDGE_KEY", "timeout": 20.0}
    return Judge(**fields | changes)


def replies_of(rng: random.Random, count: int) -> dict[str, list[str]]:
    """What the judge says to each question, time after time: often nothing of use, sometimes never."""
    found = {}
    for number in range(count):
        useless = [reply for reply in REPLIES if first_word(reply) is None]
        found[f"v1_{number}"] = [rng.choice(REPLIES if rng.random() < 0.4 else useless) for _ in range(6)]
    return found


def notebook(server, meta: dict, results: dict) -> dict[str, tuple[float, list[dict]]]:
    """The notebook's loop: scores, and what was sent for each."""
    address = urlsplit(server.url)
    graded = {}
    for name, line in meta.items():
        sent = []

        def create(text: str, temperature: float, sent=sent) -> str:
            body = {"model": "gpt-judge", "max_tokens": 3, "temperature": temperature}
            body["messages"] = [{"role": "user", "content": text}]
            sent.append(body)
            connection = http.client.HTTPConnection(address.hostname, address.port)
            connection.request("POST", f"{address.path}/chat/completions", json.dumps(body), {"Authorization": "x"})
            content = json.loads(connection.getresponse().read())["choices"][0]["message"]["content"]
            connection.close()
            return content

        cells = [line["question"], line["answer"].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")]
        text = OPENING + "\n" + " | ".join([*cells, results[name], ""])
        temperature, tries = 0.0, 1
        content = create(text, temperature)
        while True:
            try:
                content = content.split(" ")[0].strip()
                score = float(content)
                assert not score > 1.0
                assert not score < 0.0
                break
            except (ValueError, AssertionError):
                content = create(text + "\nPredict the correctness of the answer (digit): ", temperature)
                tries += 1
                temperature += 0.5
                if tries > 5:
                    score = 0.0
                    break
        graded[name] = score, sent
    return graded


@pytest.mark.parametrize("seed", range(3))
def test_grades_and_messages_are_those_of_the_notebook(tmp_path, inputs, seed):
    meta, results, prompt = inputs(40)
    replies = replies_of(random.Random(seed), 40)
    texts = json.loads(results.read_text())

    def respond(name: str, count: int):
        return completion(replies[name][count - 1])

    with judge_server(respond) as server:
        expected = notebook(server, json.loads(meta.read_text()), texts)
    with judge_server(respond) as server:
        judge = settings(server, num_threads=4, max_tokens=99, temperature=1.0)
        grading = judge_files(meta, results, tmp_path / "g.json", judge, prompt, notebook=True)
        bodies = {
            name: [body for body in server.bodies if f"question {name}." in body["messages"][0]["content"]]
            for name in texts
        }
    grades = json.loads((tmp_path / "g.json").read_text())
    assert {name: entry["score"] for name, entry in grades.items()} == {
        name: [score] for name, (score, _) in expected.items()
    }
    keys = ("max_tokens", "temperature", "messages")
    for name, (_, sent) in expected.items():
        # the notebook asks a sixth time, and does not read the reply
        assert [{key: body[key] for key in keys} for body in bodies[name]] == [
            {key: body[key] for key in keys} for body in sent[:5]
        ]
    hopeless = [name for name, said in replies.items() if all(first_word(reply) is None for reply in said[:5])]
    assert list(grading.given_up) == hopeless
    assert hopeless
    assert (grading.graded, grading.ungraded) == (40, {})
    assert grades["v1_0"]["answer"] == texts["v1_0"]
    record = score_files("mmvet", [meta, tmp_path / "g.json"], samples=5)
    assert record.headline.value == pytest.approx(sum(score for score, _ in expected.values()) / 40)
    assert record.judges == (f"judge-1 by prompt {grades['v1_0']['prompt'][0]}",)
    assert grades["v1_0"]["prompt"][0].startswith("notebook-sha256-")


def test_both_ways_keep_their_own_grades(tmp_path, inputs):
    meta, results, prompt = inputs(3)
    output = tmp_path / "g.json"
    with judge_server(lambda name, count: completion("0.5 | x")) as server:
        judge = settings(server)
        assert judge_files(meta, results, output, judge, prompt, notebook=True).replies == 3
        assert judge_files(meta, results, output, judge, prompt, notebook=True).replies == 0  # kept
        with pytest.raises(PargoError, match=r"graded none of 3 answers; .*: no number from 0 to 1 in 5 replies"):
            judge_files(meta, results, output, judge)
        assert json.loads(output.read_text())["v1_0"]["score"] == [0.5]
        assert judge_files(meta, results, output, judge, prompt, notebook=True).replies == 0


def test_an_answer_that_the_server_refuses_is_no_zero(tmp_path, inputs):
    meta, results, prompt = inputs(2)
    with judge_server(lambda name, count: failure(400) if name == "v1_1" else completion("1.")) as server:
        grading = judge_files(meta, results, tmp_path / "g.json", settings(server), prompt, notebook=True)
    assert list(grading.ungraded) == ["v1_1"]
    assert list(json.loads((tmp_path / "g.json").read_text())) == ["v1_0"]


def test_the_text_of_the_notebook(tmp_path, inputs):
    meta, results, prompt = inputs(1)
    with judge_server(lambda name, count: completion("1.0")) as server:
        judge, output = settings(server), tmp_path / "g.json"
        sent = set()
        for ending in ("", "\n", "\n\n", "\r\n"):  # however an editor ends the file
            prompt.write_bytes((OPENING.rstrip("\n") + ending).encode())
            judge_files(meta, results, output, judge, prompt, notebook=True)
        sent |= {body["messages"][0]["content"] for body in server.bodies}
        assert sent == {f"{OPENING}\nThis is question v1_0. What is it? | red <AND> blue |  answer v1_0\n | "}
        assert server.num_requests == 1
        for text, message in [
            ("\n", r"prompt\.txt is empty; expected the text of the notebook's variable `prompt`"),
            ("{question}", r"prompt\.txt has the field \{question\}: the notebook's text has none"),
        ]:
            prompt.write_text(text)
            with pytest.raises(PargoError, match=message):
                judge_files(meta, results, output, judge, prompt, notebook=True)
        prompt.write_text(OPENING)
        with pytest.raises(PargoError, match=r"no \{question\}: .* give --notebook"):
            judge_files(meta, results, output, judge, prompt)
        with pytest.raises(PargoError, match="--notebook needs --prompt FILE"):
            judge_files(meta, results, output, judge, notebook=True)


def test_the_command(tmp_path, inputs):
    meta, results, prompt = inputs(2)
    with judge_server(lambda name, count: completion("1." if name == "v1_0" else "no idea")) as server:
        command = [sys.executable, "-m", "pargo", "judge", meta, results, tmp_path / "g.json", "--notebook"]
        command += ["--prompt", prompt, "--base-url", server.url, "--model", "m", "--api-key-environment", "JUDGE_KEY"]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "JUDGE_KEY": "x", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "2 answers graded" in done.stdout
    assert "0.0 after five replies without a grade, as in the notebook: v1_1" in done.stdout
    assert [entry["score"] for entry in json.loads((tmp_path / "g.json").read_text()).values()] == [[1.0], [0.0]]
    without = [part for part in command if part not in ("--prompt", prompt)]
    done = subprocess.run(list(map(str, without)), capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr.startswith("error: --notebook needs --prompt FILE")) == (2, True)


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        *(("0.5 | x", 0.5), ("1.", 1), (".5", 0.5), ("0.5\nbecause", None), (" 0.5", None), ("", None), ("1.1", None)),
        *(("0.5.", None), ("nan", None), ("inf", None), ("-0.1", None), ("1e-1", 0.1), ("0.7\n", 0.7), ("0.5|", None)),
    ],
)
def test_first_word(reply, grade):
    assert first_word(reply) == grade


@given(st.text(max_size=6) | st.from_regex(r"[-+ .\d_|e]*", fullmatch=True))
def test_first_word_of_anything(reply):
    grade = first_word(reply)
    assert grade is None or 0 <= grade <= 1
