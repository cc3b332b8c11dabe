"""A new benchmark and a new kind of source are two places each, and move the code or the settings of no other job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pargo.code import ROOT
from tests.helpers.added_plugins import add_benchmark, add_source, copy_package

CONFIGS = [str(ROOT / "config" / f"{name}.yaml") for name in ("micro", "quick", "paper")]


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A process of Python with the copy's package."""
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True)


def snapshot(root: Path) -> dict[str, dict[str, str]]:
    done = run(root, str(ROOT / "tests/helpers/stage_snapshot.py"), *CONFIGS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    copy_package(root)
    (root / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (root / "Snakefile").write_bytes((ROOT / "Snakefile").read_bytes())
    return root


@pytest.fixture(scope="module")
def before(copy: Path) -> dict[str, dict[str, str]]:
    """All jobs, while nothing is added."""
    return snapshot(copy)


@pytest.fixture(scope="module")
def added(copy: Path, before: dict) -> dict[str, set[str]]:
    """The new files, by plug-in."""
    return {"benchmark": add_benchmark(copy), "source": add_source(copy)}


def test_the_code_and_the_settings_of_no_other_job_move(copy: Path, before: dict, added: dict) -> None:
    assert len(before["code"]) > 80
    assert snapshot(copy) == before


def test_a_benchmark_is_a_folder_and_a_settings_file(added: dict) -> None:
    assert {str(Path(name).parent) for name in added["benchmark"]} == {
        "pargo/benchmarks/toy",
        "pargo/config/benchmarks",
    }
    assert added["source"] == {"pargo/config/sources/stripes.py", "pargo/sources/makers/stripes.py"}


@pytest.fixture(scope="module")
def config(copy: Path, added: dict) -> Path:
    """Micro with both plug-ins; the toy's images stand in for a benchmark's."""
    data = yaml.safe_load((ROOT / "config/micro.yaml").read_text())
    data["sources"]["toy_files"] = {"kind": "official", "benchmark": "toy", "files": ["toy"]}
    data["sources"]["stripes"] = {"kind": "stripes", "num_images": 3}
    data["benchmarks"]["toy"] = {"kind": "toy", "source": "toy_files"}
    path = copy / "toy.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


USE = """
import json, sys
from pathlib import Path
from pargo.benchmarks import answer_modules, load, score_modules
from pargo.code import import_closure
from pargo.graph import stage_settings
from pargo.config.base import canonical_json
from pargo.config.experiment import load_config
from pargo.config.sources.official import official_benchmarks
from pargo.sources.download import DownloadSettings, run, source_modules
from pargo.report.settings import ReportSettings
from pargo.report.words import benchmark

config = load_config(sys.argv[1])
run(DownloadSettings.model_validate_json(canonical_json(stage_settings.download(config, "stripes"))), Path("made"))
report = ReportSettings.model_validate_json(canonical_json(stage_settings.report(config)))
modules = {
    "download": source_modules(config.sources["toy_files"]),
    "stripes": source_modules(config.sources["stripes"]),
    "evaluate": answer_modules("toy"),
    "score": score_modules("toy"),
}
print(json.dumps({
    "made": sorted(path.suffix for path in Path("made").rglob("*") if path.is_file()),
    "title": benchmark(report, "toy"),
    "images": config.sources["toy_files"].known_images,
    "official": official_benchmarks(),
    "closures": {job: [path.as_posix() for path in import_closure(*names)] for job, names in modules.items()},
}))
"""


def test_both_are_used_by_their_names_alone(copy: Path, config: Path) -> None:
    done = run(copy, "-c", USE, str(config))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert ".tar" in found["made"]
    assert (found["title"], found["images"]) == ("Toy benchmark", 2)
    assert "toy" in found["official"]
    for job, plugin in (("download", "toy"), ("evaluate", "toy"), ("score", "toy"), ("stripes", "stripes")):
        own = [path for path in found["closures"][job] if path.startswith("pargo/config/benchmarks/")]
        own += [path for path in found["closures"][job] if path.startswith("pargo/config/sources/")]
        assert any(path.endswith(f"/{plugin}.py") for path in own)
        assert {Path(path).stem for path in own} <= {"__init__", plugin, "official"}


def test_a_faulty_settings_file_stops_no_job_of_others(copy: Path, config: Path) -> None:
    file = copy / "pargo/config/benchmarks/toy.py"
    text = file.read_text()
    file.write_text("this is no Python\n")
    code = """
from pargo.benchmarks.scores.score import ScoreSettings
from pargo.sources.download import DownloadSettings
source = '{"kind": "official", "benchmark": "pope", "files": ["x"]}'
DownloadSettings.model_validate_json('{"id": "x", "source": %s}' % source)
ScoreSettings.model_validate_json('{"benchmark": {"kind": "mme", "source": "x"}, "bootstrap_samples": 5}')
"""
    try:
        done = run(copy, "-c", code)
    finally:
        file.write_text(text)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_takes_the_new_benchmark(copy: Path, config: Path) -> None:
    done = run(copy, "-m", "pargo", "config", "check", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    done = run(copy, "-m", "pargo", "score", "toy", "nothing.jsonl")
    assert "nothing.jsonl" in done.stderr
    assert "choices" not in done.stderr


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (
            "pargo/benchmarks/toy/score.py",
            "def score(",
            "def scores(",
            "benchmarks.toy: benchmark 'toy': pargo.benchmarks.toy.score does not define `score`",
        ),
        (
            "pargo/config/benchmarks/toy.py",
            'Literal["toy"]',
            'Literal["pope"]',
            "pargo.config.benchmarks.toy: Toy.kind is 'pope'; expected 'toy', the name of the file",
        ),
        (
            "pargo/config/benchmarks/toy.py",
            '    title: ClassVar = "Toy benchmark"\n',
            "",
            "pargo.config.benchmarks.toy: Toy lacks `title`, what readers call the benchmark",
        ),
        (
            "pargo/benchmarks/toy/results.py",
            "",
            "",
            "benchmarks.toy: benchmark 'toy' has settings, but no module pargo.benchmarks.toy.results; expected it to",
        ),
        (
            "pargo/sources/makers/stripes.py",
            "",
            "",
            "sources.stripes: source kind 'stripes' has settings, but no module pargo.sources.makers.stripes; expected",
        ),
        (
            "pargo/sources/makers/stripes.py",
            "def make(",
            "def made(",
            "sources.stripes: source kind 'stripes': pargo.sources.makers.stripes does not define `make`",
        ),
    ],
)
def test_a_faulty_plugin_is_one_error_at_the_start(
    copy: Path, config: Path, path: str, old: str, new: str, message: str
) -> None:
    file = copy / path
    text = file.read_text()
    assert old in text
    if old:
        file.write_text(text.replace(old, new))
    else:
        file.unlink()
    try:
        done = run(copy, "-m", "pargo", "config", "check", str(config))
    finally:
        file.write_text(text)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
