"""A projector and a caption engine, added by the recipes of CONTRIBUTING: they work, and nothing else reruns."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.helpers import recipes
from tests.helpers.workflow_project import Project, copy_project

JOBS = """
import json, sys
from pathlib import Path
from pargo.files import sha256_file
from pargo.graph.jobs import list_jobs
jobs = list_jobs(Path(sys.argv[1]))
code = {job.name: {path: sha256_file(Path(path)) for path in job.code_files} for job in jobs}
print(json.dumps({job.name: [job.settings, code[job.name]] for job in jobs}))
"""
CAPTION = """
from pargo.captions.engines import make_engine
from pargo.captions.samples import Sample
from pargo.config.captions import Captions
for engine in ("alt_text", {"kind": "alt_text", "otherwise": "a picture"}):
    samples = [Sample("a", {"alt_text": "a cat"}, None), Sample("b", {}, None)]
    print([result.caption for result in make_engine(Captions(engine=engine)).caption(samples)])
"""


def jobs(project: Project, config: str = "config/micro.yaml") -> dict[str, Any]:
    """Settings and code files, by their hashes, of all jobs."""
    return json.loads(project.run(sys.executable, "-c", JOBS, config).stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("project")
    copy_project(root)
    (root / "runs").mkdir()
    return Project(root)


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Any]:
    return jobs(project)


@pytest.fixture(scope="module")
def touched(project: Project, before: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Carries out the recipes."""
    return {name: recipes.add(project.root, f"Adding a {name}") for name in ("projector", "caption engine")}


@pytest.fixture(scope="module")
def with_both(project: Project, touched: Any) -> str:
    """A config that uses both."""
    return project.variant(
        "with_both",
        projectors__average={"name": "average"},
        arms__average={"projector": "average"},
        captions={"engine": "alt_text"},
    )


def test_places_to_touch(touched):
    print(touched)  # shown by `pytest -s`
    files = {name: [path for path in paths if path.startswith("pargo/")] for name, paths in touched.items()}
    assert {name: len(paths) for name, paths in files.items()} == {"projector": 2, "caption engine": 2}
    tests = {path: lines for path, lines in touched["projector"].items() if path.startswith("tests/")}
    assert tests == {"tests/helpers/projector_cases.py": 1}
    assert set(touched["caption engine"]) == set(files["caption engine"])


def test_no_other_job_has_other_code_or_settings(project, before, touched):
    assert jobs(project) == before


def test_jobs_have_the_code_of_their_own_plugins_alone(project, before, with_both):
    after = jobs(project, with_both)
    projector = {"pargo/config/projectors/average.py", "pargo/models/projectors/average.py"}
    engine = {"pargo/config/engines/alt_text.py", "pargo/captions/engines/alt_text.py"}
    for name, (_, code) in after.items():
        trained_or_asked = "-average-" in name and not name.startswith("score-")
        shown = name in ("report_training", "report_tables", "report_figures", "report_page")
        own = projector if trained_or_asked or shown else set()
        # captions are of the pretraining data, whatever arm reads them
        own = own | (engine if name == "caption-scenes" else set())
        if name == "report_captions-scenes":  # what it says of the engine is in the settings
            own = {"pargo/config/engines/alt_text.py"}
        assert (projector | engine) & code.keys() == own, name
    arms = [name for name in before if "-pargo-" in name or "-qformer-" in name]
    assert len(arms) >= 12
    assert {name: after[name] for name in arms} == {name: before[name] for name in arms}


def test_config_check_takes_them(project, with_both):
    assert "ok; arms: pargo, qformer, average" in project.pargo("config", "check", with_both).stdout


def test_the_reference_names_them(project, touched):
    project.run(sys.executable, "-m", "pargo.config.docs")
    text = (project.root / "config/README.md").read_text()
    for words in ("## AverageProjector", "[AverageProjector](#averageprojector)", "## AltTextEngine"):
        assert words in text


def test_the_line_of_tests_tests_the_projector(project, touched):
    done = project.run(
        sys.executable,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "(average and not compiles) or every_projector"),
        "tests/models/projectors/test_projectors.py",
    )
    passed = int(done.stdout.rsplit(" passed", 1)[0].rsplit(" ", 1)[-1].rsplit("\n", 1)[-1])
    assert passed >= 15, done.stdout


def test_the_engine_makes_captions(project, touched):
    done = project.run(sys.executable, "-c", CAPTION)
    assert done.stdout.splitlines() == ["['a cat', '']", "['a cat', 'a picture']"]


BROKEN = {
    "no settings": ("pargo/config/projectors/average.py", "", "expected one subclass of ProjectorSettings"),
    "of another name": ("pargo/config/projectors/second.py", None, "is 'average'; expected 'second', the name of the"),
    "no implementation": ("pargo/models/projectors/average.py", None, "projectors.average: projector 'average' has"),
    "half an engine": ("pargo/captions/engines/alt_text.py", "class Engine: ...", "captions.engine: pargo/captions/"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_one_is_one_line_at_the_start(project, touched, with_both, case):
    path, text, says = BROKEN[case]
    file, average = project.root / path, project.root / "pargo/config/projectors/average.py"
    before = file.read_text() if file.exists() else None
    try:
        if case == "of another name":
            file.write_text(average.read_text())
        elif text is None:
            file.unlink()
        else:
            file.write_text(text)
        done = project.pargo("config", "check", with_both, check=False)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
