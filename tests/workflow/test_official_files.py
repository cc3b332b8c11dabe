"""Benchmarks in their owners' formats through the whole graph: import, answers, export, judge, score, report."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.helpers.command_line import call
from tests.helpers.official_files import WRITERS
from tests.helpers.workflow_project import Project

# what `pargo score` takes of a run's exports, with {source} for the folder of the official files
EXPORTS = {
    "mme": ("mme", "{export}", "--partial"),
    "mmbench": ("mmbench", "{export}/mmbench.xlsx"),
    "seedbench": ("seedbench", "{source}/SEED-Bench.json", "{export}/results_letter.jsonl"),
    "seedbench_ranking": (
        *("seedbench", "{source}/SEED-Bench.json", "{export}/results_ranking_mean.jsonl"),
        *("--parser", "ranking_mean"),
    ),
    "mmvet": ("mmvet", "{source}/mm-vet/mm-vet.json", "{grades}/grades.json"),
    "mmvet_not_graded": ("mmvet", "{source}/mm-vet/mm-vet.json", "{export}/results.json"),
    "pope": ("pope", "{labels}", "{export}"),
}


class _Judge(BaseHTTPRequestHandler):
    """Grades by the length of the answer's question: any number will do, but the same one every time."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = request["messages"][-1]["content"]
        message = {"role": "assistant", "content": str(len(text) % 11 / 10)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "judge", "choices": [choice]}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def judge() -> Iterator[str]:
    """Address of a judge on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


@pytest.fixture(scope="module")
def official(project: Project, judge: str) -> Project:
    """The finished micro project, with the official benchmarks run as well."""
    sources, benchmarks = {}, {}
    for name, write in WRITERS.items():
        folder = project.root / "data" / name
        folder.mkdir(parents=True)
        files = [path.relative_to(project.root).as_posix() for path in write(folder)]
        sources[f"sources__{name}"] = {"kind": "official", "benchmark": name, "files": files}
        benchmarks[f"benchmarks__{name}"] = {"kind": name, "source": name}
    benchmarks["benchmarks__mme"] |= {"prompt": "pargo_release", "partial": True}
    benchmarks["benchmarks__mmvet"]["judge"] = {"base_url": judge, "model": "judge"}
    benchmarks["benchmarks__mmvet_not_graded"] = {"kind": "mmvet", "source": "mmvet", "prompt": "compact"}
    benchmarks["benchmarks__seedbench_ranking"] = {"kind": "seedbench", "source": "seedbench", "parser": "ranking_mean"}
    one_job = {"arms__qformer": {"projector": "qformer"}}  # shards are tested by micro itself
    config = project.variant("official", **sources, **benchmarks, **one_job)
    project.pargo("reproduce", "--config", config)
    return project


def test_every_benchmark_is_scored_again() -> None:
    assert {command[0] for command in EXPORTS.values()} == set(WRITERS)


def test_micro_itself_did_not_run_again(official: Project, micro_run: Path) -> None:
    for stage in ("pretrain", "finetune"):
        path = f"artifacts/micro/models/pargo/seed-0/{stage}/run.json"
        assert (official.root / path).read_bytes() == (micro_run / path).read_bytes()


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("arm", ["pargo", "qformer"])
def test_exports_score_like_the_predictions(official: Project, name: str, arm: str) -> None:
    root, source = official.root, official.root / "data" / name.partition("_")[0]
    predictions = root / f"artifacts/micro/predictions/{arm}/seed-0/{name}"
    labels = root / "labels"
    labels.mkdir(exist_ok=True)
    for file in source.glob("coco_pope_*.json"):
        shutil.copy(file, labels)
    places = {
        "export": predictions / "official",
        "source": source,
        "labels": labels,
        "grades": root / f"artifacts/micro/grades/{arm}/seed-0/{name}",
    }
    command = [part.format(**places) for part in EXPORTS[name]]
    found = json.loads(call("score", *command, "--json", "--samples", "50", folder=root).stdout)
    expected = json.loads((root / f"reports/micro/scores/{arm}/seed-0/{name}.json").read_text())
    assert found["headline"]["value"] == pytest.approx(expected["headline"]["value"])
    assert found["headline"]["num_questions"] == expected["headline"]["num_questions"]
    assert {task: entry["score"] for task, entry in found["tasks"].items()} == {
        task: pytest.approx(entry["score"]) for task, entry in expected["tasks"].items()
    }
    assert (expected["headline"]["value"] is None) == (name == "mmvet_not_graded")


def test_what_waits_for_a_judge_is_not_zero(official: Project) -> None:
    table = (official.root / "reports/micro/tables/projectors.md").read_text()
    assert "\N{EM DASH}" in table
    page = (official.root / "reports/micro/index.html").read_text()
    assert "not graded, since no judge has read the answers" in page


def test_the_key_is_nowhere(official: Project) -> None:
    grades = official.root / "artifacts/micro/grades/pargo/seed-0/mmvet"
    assert set(json.loads((grades / "grades.json").read_text())) == {"v1_0", "v1_1", "v1_2"}
    secret = Project.KEY.encode()
    for folder in ("artifacts", "reports", "runs"):
        for path in (official.root / folder).rglob("*"):
            assert not path.is_file() or secret not in path.read_bytes(), path


def test_runs_compare(official: Project) -> None:
    folder = official.root / "reports/micro/scores"
    done = official.pargo("compare", str(folder / "pargo"), str(folder / "qformer"))
    for name in ("mme", "mmbench", "seedbench", "mmvet", "pope", "mini_mme"):
        assert f"{name}, " in done.stdout
    assert "not graded" in done.stdout


def test_second_run_has_nothing_to_do(official: Project) -> None:
    config = str(Path("runs/official.yaml"))
    assert not official.pending(config)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("pope", "coco_pope_random.json"),
        ("mme", "MME_Benchmark_release_version/existence/000.txt"),  # deep in a folder, whose own time stays
    ],
)
def test_another_file_is_another_source(official: Project, name: str, path: str) -> None:
    file = official.root / "data" / name / path
    before = file.read_bytes()
    file.write_bytes(before.replace(b"Is th", b"is th"))
    assert f"download-{name}" in official.pending("runs/official.yaml")
    file.write_bytes(before)
