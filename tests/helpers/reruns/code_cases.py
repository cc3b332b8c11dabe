"""Changes of the project's own code: what changes no meaning, and one line of many files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.reruns.case import MICRO, Case, kept_as_they_were

REPORT = "report_training report_tables report_figures report_page"  # they load what they show by name
TRAIN = "pretrain-* finetune-*"
SAME, NAMED, SETTINGS = "code: no change of meaning", "code: one line", "code: settings classes"


def edited(path: str, change: Callable[[str], str]) -> Callable[[Path], Any]:
    """One file with another text."""

    @contextmanager
    def make(root: Path) -> Iterator[str]:
        with kept_as_they_were(root, path):
            file = root / path
            before = file.read_text(encoding="utf-8")
            file.write_text(change(before), encoding="utf-8")
            assert file.read_text(encoding="utf-8") != before
            yield MICRO

    return make


def every_file(change: Callable[[str], str]) -> Callable[[Path], Any]:
    """All of the package's Python files with another text."""

    @contextmanager
    def make(root: Path) -> Iterator[str]:
        files = sorted((root / "pargo").rglob("*.py"))
        assert len(files) > 300
        with ExitStack() as stack:
            for path in files:
                stack.enter_context(edited(path.relative_to(root).as_posix(), change)(root))
            yield MICRO

    return make


def line(path: str, would: str, text: str = "A_CHANGE = 1") -> Case:
    """A line at the end of a file."""
    return Case(NAMED, f"`{path}`", edited(f"pargo/{path}", lambda before: f"{before}\n{text}\n"), would, cold=True)


def remark(path: str) -> Case:
    """A comment, a docstring and empty lines in one file."""
    return Case(SAME, f"a comment in `{path}`", edited(f"pargo/{path}", _remarked), cold=True)


def field(path: str, name: str) -> Case:
    """A field with a default in a settings class."""
    change = edited(f"pargo/config/{path}", lambda text: _with_field(text, name))
    return Case(SETTINGS, f"a field with a default in `{name}` (`config/{path}`)", change, cold=True)


def _remarked(text: str) -> str:
    return f'# A remark.\n{text}\n\n\n"""A remark."""\n# Another.\n'


def _reformatted(text: str) -> str:
    """Other line breaks, quotes and brackets, and no comment."""
    return f"{ast.unparse(ast.parse(text))}\n# nothing else\n"


def _without_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body[0] = ast.Expr(ast.Constant("Other words."))
    return f"{ast.unparse(tree)}\n# nothing else\n"


def _with_field(text: str, name: str) -> str:
    tree = ast.parse(text)
    [found] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: found.end_lineno], "\n    a_new_field: int = 1\n", *lines[found.end_lineno :]])


def cases() -> list[Case]:
    """All of the code."""
    return [
        Case(
            SAME, "a comment, a docstring and empty lines in every file of `pargo/`", every_file(_remarked), cold=True
        ),
        Case(SAME, "every file of `pargo/` reformatted", every_file(_reformatted), cold=True),
        Case(SAME, "every docstring of `pargo/` in other words", every_file(_without_docstrings), cold=True),
        *map(remark, REMARKED),
        *(line(path, "") for path in ONLY_TALK),
        *(line(path, would) for path, would in LINES),
        *(field(path, name) for path, name in FIELDS),
    ]


REMARKED = (
    "progress.py",
    "errors.py",
    "files.py",
    "machine.py",
    "manifest.py",
    "layout.py",
    "made.py",
    "config/base.py",
    "config/sources/__init__.py",
    "benchmarks/__init__.py",
    "fetch/unpack.py",
    "sources/importers/conversations.py",
    "train/loop.py",
    "train/show.py",
    "train/events.py",
    "models/projectors/qformer.py",
    "report/__init__.py",
)
ONLY_TALK = ("progress.py", "errors.py", "train/show.py", "train/events.py")
UNUSED = (
    "sources/importers/conversations.py",
    "sources/makers/image_shards.py",
    "sources/makers/timm.py",
    "sources/wheels/gguf.py",
    "captions/engines/openai.py",
    "captions/engines/conversation.py",
    "benchmarks/pope/score.py",
    "benchmarks/mmvet/grade.py",
    "benchmarks/harnesses/vlmevalkit.py",
    "models/projectors/resampler.py",
    "export/run.py",
    "plan/flops.py",
    "graph/reproduce.py",
    "jobs/slurm.py",
    "remote/client.py",
    "cli.py",
    "commands/stages.py",
)
LINES = (
    *((path, "") for path in UNUSED),
    (
        "models/projectors/qformer.py",
        f"pretrain-qformer-* finetune-qformer-* evaluate-qformer-* attention-qformer-* {REPORT}",
    ),
    ("models/projectors/pargo.py", f"pretrain-pargo-* finetune-pargo-* evaluate-pargo-* attention-pargo-* {REPORT}"),
    ("sources/makers/scenes.py", "download-scenes"),
    ("sources/makers/random_vision.py", "download-vision_tower"),
    ("sources/makers/mini_mme.py", "download-mini_mme"),
    ("data/selection/fingerprint.py", "fingerprint-* select-*"),
    ("data/selection/select.py", "select-*"),
    ("captions/build.py", "caption-*"),
    ("captions/engines/annotations.py", "caption-*"),
    ("captions/filter.py", "filter-* report_captions-*"),
    ("models/features.py", "features-*"),
    ("train/pretrain.py", "pretrain-*"),
    ("train/finetune.py", "finetune-*"),
    ("train/loop.py", TRAIN),
    ("train/loss.py", TRAIN),
    ("models/vlm.py", f"{TRAIN} evaluate-*"),
    ("benchmarks/answering/evaluate.py", "evaluate-*"),
    ("benchmarks/answering/batches.py", "evaluate-*"),
    ("benchmarks/mme/prompt.py", "evaluate-*"),
    ("benchmarks/mme/answers.py", "evaluate-* score-*"),
    ("benchmarks/mme/score.py", "score-*"),
    ("benchmarks/scores/score.py", "score-*"),
    ("report/attention.py", "attention-*"),
    ("report/captions.py", "report_captions-*"),
    ("report/training.py", "report_training"),
    ("report/answers.py", "report_answers"),
    ("report/tables.py", "report_tables"),
    ("report/figures.py", "report_figures"),
    ("report/figure_loss.py", "report_figures"),
    ("report/page.py", "report_page"),
    ("report/templates/review.html.j2", "report_page report_captions-*"),
    ("export/templates/README.md.j2", ""),
)
FIELDS = (
    ("sources/timm.py", "TimmSource"),
    ("sources/scenes.py", "ScenesSource"),
    ("benchmarks/pope.py", "POPE"),
    ("benchmarks/mme.py", "MME"),
    ("projectors/qformer.py", "QFormerProjector"),
    ("projectors/pargo.py", "PargoProjector"),
    ("projectors/resampler.py", "ResamplerProjector"),
    ("training.py", "Train"),
    ("models.py", "Vision"),
    ("models.py", "Adapter"),
    ("generation.py", "Generation"),
    ("quality.py", "Quality"),
    ("selection.py", "Selection"),
    ("captions.py", "Captions"),
    ("report.py", "Report"),
    ("dataset.py", "Dataset"),
)
