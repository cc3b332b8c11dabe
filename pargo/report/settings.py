"""What the report reads of the config, and the names of the files it writes (one place for rules, CLI and page)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from pargo.config.base import Name, Settings
from pargo.config.benchmarks import BENCHMARKS, Benchmark
from pargo.config.models import Language, Vision
from pargo.config.projectors import Projector, projector_modules
from pargo.config.report import MACROS, TABLES, Report

# file names in the output directories of pargo.report.captions and pargo.report.figures
CAPTION_REPORT = (  # of pargo.report.captions, by dataset
    "README.md",
    *(f"{figure}.{extension}" for figure in ("lengths", "reasons") for extension in ("svg", "png")),
    "review.html",
)
# whatever the benchmarks; of each there is one by task, too
FIGURES = ("scores", "differences", "cost", "loss", "learning", "attention", "coverage")


def table_files(benchmarks: Mapping[str, Any]) -> tuple[str, ...]:
    """File names in the output directory of `pargo.report.tables`.

    Args:
        benchmarks: by name, as objects or as read from JSON; there is a table of each by task.
    """
    texts = (f"{table}.{extension}" for table in (*TABLES, *benchmarks) for extension in ("csv", "md", "tex"))
    return *texts, f"{MACROS}.tex", "cells.json"


def figure_files(benchmarks: Mapping[str, Any]) -> tuple[str, ...]:
    """File names in the output directory of `pargo.report.figures`: each figure, and the numbers that it draws."""
    figures = (*FIGURES, *(f"{name}-tasks" for name in benchmarks))
    return tuple(f"{figure}.{extension}" for figure in figures for extension in ("svg", "pdf", "png", "csv"))


def answer_files(benchmarks: Mapping[str, Any]) -> tuple[str, ...]:
    """File names in the output directory of `pargo.report.answers`."""
    return tuple(f"{name}.jsonl" for name in benchmarks)


def in_reading_order(benchmarks: Mapping[str, Benchmark]) -> list[str]:
    """Names of a config's benchmarks as the report has them: those that lead first, whatever the file's order."""
    return sorted(benchmarks, key=lambda name: (not benchmarks[name].leads, name))


def shown_modules(projectors: Mapping[str, Any], benchmarks: Mapping[str, Any]) -> tuple[str, ...]:
    """Modules of the projectors and benchmarks that a report shows: it loads them by name, for sizes and titles.

    Args:
        projectors: settings by arm, as objects or as read from JSON.
        benchmarks: settings by name, likewise.
    """
    names = sorted({_word(settings, "name") for settings in projectors.values()})
    return *(module for name in names for module in projector_modules(name)), *shown_benchmarks(benchmarks)


def shown_benchmarks(benchmarks: Mapping[str, Any]) -> tuple[str, ...]:
    """Modules of benchmarks that a report shows, each kind's once.

    Args:
        benchmarks: settings by name, as objects or as read from JSON.
    """
    return tuple(map(BENCHMARKS.module, sorted({_word(settings, "kind") for settings in benchmarks.values()})))


def _word(settings: Any, field: str) -> str:
    return settings[field] if isinstance(settings, Mapping) else getattr(settings, field)


class ReportSettings(Settings):
    """Settings of the stages of the report."""

    config: Name
    seeds: tuple[int, ...]
    vision: Vision
    language: Language
    projectors: dict[Name, Projector]  # by arm
    benchmarks: dict[Name, Benchmark]
    report: Report

    @model_validator(mode="after")
    def _in_reading_order(self) -> ReportSettings:
        """Headline arm, reference arm, others; MME-like benchmarks first: canonical JSON has lost the file's order."""
        first = (self.report.headline_arm, self.report.reference_arm)
        if missing := [arm for arm in first if arm not in self.projectors]:
            raise ValueError(f"projectors: no arm {missing[0]!r}, which the report compares")
        arms = dict.fromkeys([*first, *sorted(self.projectors)])
        names = in_reading_order(self.benchmarks)
        # frozen for everyone but this validator
        object.__setattr__(self, "projectors", {arm: self.projectors[arm] for arm in arms})
        object.__setattr__(self, "benchmarks", {name: self.benchmarks[name] for name in names})
        return self
