"""A change of a finished micro run, and which jobs it makes run: the form of the contract in `table.py`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

MICRO = "config/micro.yaml"

# What each job of micro reads: written here by hand, as the tests ask whether the product sees it so too.
MODEL = ("download-language_model", "warm_up", "features-scenes-train")
ARTIFACTS = (
    *("download-*", "fingerprint-*", "select-*", "caption-*", "filter-*"),
    *("features-*", "warm_up", "pretrain-*", "finetune-*", "evaluate-*"),
)
READS = {
    "fingerprint-{source}-{split}": ("download-{source}",),
    "select-scenes": ("fingerprint-*",),
    "caption-scenes": ("download-scenes", "select-scenes"),
    "filter-scenes": ("download-scenes", "caption-scenes"),
    "features-{source}-{split}": ("download-{source}", "download-vision_tower"),
    "warm_up": ("download-language_model", "download-scenes"),
    "pretrain-{arm}-seed-{seed}": (*MODEL, "filter-scenes"),
    "finetune-{arm}-seed-{seed}": (*MODEL, "download-scenes", "pretrain-{arm}-seed-{seed}"),
    "evaluate-{arm}-seed-{seed}-{benchmark}": (
        "download-language_model",
        "warm_up",
        "download-mini_mme",
        "features-mini_mme-test",
        "finetune-{arm}-seed-{seed}",
    ),
    "score-{arm}-seed-{seed}-{benchmark}": ("evaluate-{arm}-seed-{seed}-{benchmark}",),
    "attention-{arm}-seed-{seed}": ("finetune-{arm}-seed-{seed}", "download-mini_mme", "features-mini_mme-test"),
    "report_captions-scenes": ("filter-scenes", "select-scenes", "download-scenes"),
    "report_training": ("pretrain-*", "finetune-*"),
    "report_answers": ("score-*", "evaluate-*"),
    "report_tables": ("score-*", "report_training", *ARTIFACTS),
    "report_figures": ("score-*", "report_training", "attention-*"),
    "report_page": (
        "score-*",
        *(f"report_{part}" for part in ("training", "answers", "tables", "figures")),
        "attention-*",
        "download-mini_mme",
    ),
}

Make = Callable[[Path], AbstractContextManager[str]]  # of a project's folder: gives the config to ask for


@dataclass(frozen=True)
class Case:
    """One change.

    Args:
        section: of the table.
        change: in words.
        make: makes it, and undoes it.
        would: jobs that run for a reason of their own, as patterns with `*` with spaces between; those that read what
            they make may run as well.
        restorable: jobs whose outputs were made before, likewise.
        may: jobs that may run, where `READS` does not tell.
        cold: code that the asking process itself runs is changed, so it must be read anew.
        note: what a reader should know.
    """

    section: str
    change: str
    make: Make
    would: str = ""
    restorable: str = ""
    may: str | None = None
    cold: bool = False
    note: str = ""

    def expected(self, jobs: Collection[str]) -> dict[str, str]:
        """State of each of the jobs that is not up to date, by name."""
        would, restorable = _matching(self.would, jobs), _matching(self.restorable, jobs)
        may = followers(would, jobs) if self.may is None else _matching(self.may, jobs)
        states = {"may run": may - would - restorable, "restorable": restorable, "would run": would}
        return {job: state for state, names in states.items() for job in names}


def followers(changed: Collection[str], jobs: Collection[str]) -> set[str]:
    """Jobs that read what others make, or what is made from it."""
    found = set(changed)
    while more := {job for job in jobs if job not in found and any(name in found for name in reads(job, jobs))}:
        found |= more
    return found - set(changed)


def reads(job: str, jobs: Collection[str]) -> set[str]:
    """Jobs whose outputs a job reads, as `READS` has it."""
    for form, patterns in READS.items():
        if match := re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[a-z0-9_]+)", form), job):
            return _matching(" ".join(patterns).format(**match.groupdict()), jobs, all_known=False)
    return set()


def _matching(patterns: str, jobs: Collection[str], *, all_known: bool = True) -> set[str]:
    found = {pattern: {job for job in jobs if fnmatchcase(job, pattern)} for pattern in patterns.split()}
    missing = [pattern for pattern, names in found.items() if not names]
    assert not (all_known and missing), f"no job is called {missing}"
    return set().union(*found.values())


@contextmanager
def kept_as_they_were(root: Path, *paths: str) -> Iterator[None]:
    """Put files and folders back with their contents and times; what was not there is removed."""
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        for number, name in enumerate(paths):
            if (root / name).exists():
                _copy(root / name, Path(folder, str(number)))
        try:
            yield
        finally:
            for number, name in enumerate(paths):
                _remove(root / name)
                if Path(folder, str(number)).exists():
                    _copy(Path(folder, str(number)), root / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
