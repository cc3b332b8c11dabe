"""The import closure decides what a code change reruns: complete for a stage, and no wider than its imports."""

import subprocess
import sys

import pytest

from pargo.code import ONLY_TALK, ROOT, import_closure, meaning

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


TALK = {path.with_suffix("").as_posix().replace("/", ".") for path in ONLY_TALK}


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
    assert set(loaded.split()) <= files | TALK


def test_unknown_module() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pargo\.nothing"):
        import_closure("pargo.nothing")


@pytest.mark.parametrize("module", [*TRAINING, "pargo.benchmarks.answering.evaluate"])
def test_words_of_errors_are_no_part_of_training_and_evaluation(module: str) -> None:
    # else a reworded message would train and answer again
    assert not {"pargo/config/words.py", "pargo/config/schema.py", "pargo/config/yaml_file.py"} & set(names(module))


BASE = """import os


class A:
    x: int = 1

    def f(self, a, b=2):
        return {"k": a + b, 1.5: (a, b)}
"""
SAME = {
    "comment": BASE.replace("x: int = 1", "x: int = 1  # a comment"),
    "docstrings": BASE.replace("import os", '"""Doc."""\nimport os')
    .replace("class A:\n", 'class A:\n    """Doc."""\n\n')
    .replace("b=2):\n", 'b=2):\n        """Doc."""\n'),
    "blank lines": BASE.replace("\n\n", "\n\n\n"),
    "formatting": BASE.replace("a + b, 1.5: (a, b)", "(a+b),\n 1.50 :  (a,\n b,),"),
    "quotes": BASE.replace('"k"', "'k'"),
    "pass": BASE + "pass\n",
}
OTHER = {
    "value": BASE.replace("b=2", "b=3"),
    "type of a value": BASE.replace("b=2", "b=2.0"),
    "sign": BASE.replace("a + b", "a - b"),
    "name": BASE.replace("def f", "def g"),
    "field": BASE.replace("x: int = 1", "x: int = 2"),
    "import": BASE.replace("import os", "import sys"),
    "order": BASE.replace("(a, b)}", "(b, a)}"),
    "decorator": BASE.replace("class A", "@final\nclass A"),
    "string": BASE.replace('"k"', '"K"'),
    "indentation": BASE.replace("    def f", "def f").replace("        return", "    return"),
}


def same(one: str, other: str, path: str = "pargo/models/a.py") -> bool:
    return meaning(path, one.encode()) == meaning(path, other.encode())


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_meaning(change: str) -> None:
    assert SAME[change] != BASE
    assert same(BASE, SAME[change])


@pytest.mark.parametrize("change", OTHER)
def test_what_changes_the_meaning(change: str) -> None:
    assert OTHER[change] != BASE
    assert not same(BASE, OTHER[change])


CONFIG = "pargo/config/models.py"
FIELDS = """class A({base}):
    x: int = 1

    @property
    def y(self) -> int:
        return self.x
"""


def test_fields_of_settings_are_no_code_as_their_values_are_compared() -> None:
    settings = FIELDS.format(base="Settings")
    more = settings.replace("x: int = 1", 'x: int = 1\n    new: int = Field(3, description="new")')
    assert same(settings, more, CONFIG)
    assert not same(settings, more)  # elsewhere: they are values of a stage, which nobody compares
    assert not same(settings, settings.replace("self.x", "self.x + 1"), CONFIG)


@pytest.mark.parametrize(
    "annotation", ["ClassVar", "ClassVar[bool]", "typing.ClassVar[bool]", "'ClassVar[bool]'", "t.ClassVar"]
)
def test_constants_of_settings_classes_are_code(annotation: str) -> None:
    """Nobody writes them into a config, so no settings tell of them."""
    text = FIELDS.format(base="Settings").replace("x: int = 1", f"x: int = 1\n    leads: {annotation} = True")
    assert not same(text, text.replace("= True", "= False"), CONFIG)
    assert same(text, text.replace("x: int = 1", "x: int = 2"), CONFIG)


@pytest.mark.parametrize("base", ["NamedTuple", "Protocol[int]", "typing.NamedTuple"])
def test_fields_of_other_classes_are_code(base: str) -> None:
    text = FIELDS.format(base=base)
    assert not same(text, text.replace("x: int = 1", "x: int = 1\n    new: int = 3"), CONFIG)
    plain = text.replace(f"({base})", "")
    assert not same(plain, plain.replace("x: int = 1", "x: int = 2"), CONFIG)


def test_a_file_that_is_no_python_counts_by_its_bytes() -> None:
    assert not same("a", "a ", "pargo/report/templates/index.html.j2")
    assert not same("def", "def ", "pargo/a.py")  # nor does one that is broken


def test_modules_that_only_talk_are_no_code() -> None:
    for module in (*TRAINING, "pargo.benchmarks.answering.evaluate"):
        assert not set(ONLY_TALK) & set(import_closure(module))
