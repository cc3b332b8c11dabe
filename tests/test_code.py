"""The import closure decides what a code change reruns: complete for a stage, and no wider than its imports."""

import subprocess
import sys

import pytest

from pargo.code import ROOT, import_closure

TRAINING = ("pargo.train.pretrain", "pargo.train.finetune")
STAGES = (
    *TRAINING,
    "pargo.sources.download",
    "pargo.data.selection.fingerprint",
    "pargo.data.selection.select",
    "pargo.captions.build",
    "pargo.captions.filter",
    "pargo.models.features",
    "pargo.benchmarks.scores.score",
)


def names(*modules: str) -> list[str]:
    return [path.as_posix() for path in import_closure(*modules)]


@pytest.mark.parametrize("module", TRAINING)
def test_training_does_not_depend_on_report_or_benchmarks(module: str) -> None:
    assert not [path for path in names(module) if path.startswith(("pargo/report/", "pargo/benchmarks/"))]


@pytest.mark.parametrize(
    "module", [*STAGES, "pargo.benchmarks.answering.evaluate", "pargo.report.tables", "pargo.report.page"]
)
def test_no_stage_depends_on_the_command_line_or_the_whole_config(module: str) -> None:
    # else a new arm or option would rerun everything
    driver = {
        "pargo/cli.py",
        "pargo/commands/__init__.py",
        "pargo/stages.py",
        "pargo/graph/reproduce.py",
        "pargo/config/experiment.py",
        "pargo/graph/stage_settings.py",
    }
    assert not driver.intersection(names(module))


def test_closure_holds_the_module_its_imports_and_their_packages() -> None:
    found = names("pargo.captions.build")
    assert {"pargo/captions/build.py", "pargo/captions/records.py", "pargo/captions/__init__.py"} <= set(found)
    assert found == sorted(found)


@pytest.mark.parametrize("module", ["pargo.captions.build", "pargo.benchmarks.scores.score"])
def test_closure_holds_all_that_python_loads(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in sys.modules if m.split('.')[0] == 'pargo'])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {
        path.with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".") for path in import_closure(module)
    }
    assert set(loaded.split()) <= files


def test_unknown_module() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pargo\.nothing"):
        import_closure("pargo.nothing")


@pytest.mark.parametrize("module", [*TRAINING, "pargo.benchmarks.answering.evaluate"])
def test_words_of_errors_are_no_part_of_training_and_evaluation(module: str) -> None:
    # else a reworded message would train and answer again
    assert not {"pargo/config/words.py", "pargo/config/schema.py", "pargo/config/yaml_file.py"} & set(names(module))
