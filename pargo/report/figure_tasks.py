"""Scores of all arms by task, with 95 % intervals, and what each benchmark gives without looking at an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pargo.report import words
from pargo.report.cells import Cell
from pargo.report.measure import (
    baselines,
    headline,
    headline_column,
    headline_title,
    task_score,
)
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import DASHES, GRAY, WIDTH, arm_colors, arm_markers


@dataclass(frozen=True)
class Panel:
    """One axes: positions along x, cells by position and arm, horizontal lines."""

    title: str
    label: str
    top: float
    scale: float
    positions: tuple[str, ...]
    cells: dict[str, dict[str, Cell]]  # position -> arm -> score
    lines: dict[str, float]  # baseline -> value


def tasks_figure(settings: ReportSettings, scores: Scores) -> Figure:
    """Points with 95 % intervals: MME-like benchmarks by task and in total, others as one accuracy."""
    panels = list(_panels(settings, scores))
    if not panels:
        figure = Figure(figsize=(4, 0.6))
        figure.text(0.5, 0.5, "No benchmark of this configuration is graded.", ha="center", va="center")
        return figure
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    widths = [max(len(panel.positions), 1.25) for panel in panels]
    axes = figure.subplots(1, len(panels), width_ratios=widths, squeeze=False)[0]
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(dict.fromkeys(n for p in panels for n in p.lines))}
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel, settings, dashes)
    figure.legend(handles=_arm_handles(settings), loc="outside upper center", ncols=4, columnspacing=2)
    lines = [Line2D([], [], color=GRAY, linestyle=dash, linewidth=1) for dash in dashes.values()]
    labels = [words.in_words(name) for name in dashes]
    title = "Without looking at the image"
    figure.legend(lines, labels, title=title, loc="outside lower center", ncols=4, columnspacing=2)
    return figure


def _panels(settings: ReportSettings, scores: Scores) -> Iterable[Panel]:
    samples = settings.report.bootstrap_samples
    for benchmark in settings.benchmarks:
        groups = {arm: scores[arm, benchmark] for arm in settings.projectors}
        name, example = words.benchmark(settings, benchmark), next(iter(groups.values()))[0]
        total = {arm: headline(group, samples) for arm, group in groups.items()}
        without_image = baselines(example)
        if all(cell.value is None for cell in total.values()):
            continue  # not graded
        points, top = example.record.points_per_task, example.record.headline.maximum
        if points is None:
            lines = {key: cells[headline_column(example)].known for key, cells in without_image.items()}
            yield Panel(name, headline_title(example), 100, 100, ("",), {"": total}, lines)
            continue
        cells = {
            words.task(task): {arm: task_score(group, task, samples) for arm, group in groups.items()}
            for task in example.record.tasks
        }
        lines = {key: row[next(iter(example.record.tasks))].known for key, row in without_image.items()}
        yield Panel(f"{name} by task", f"Score (0\N{EN DASH}{points:g})", points, 1, tuple(cells), cells, lines)
        lines = {key: row["total"].known for key, row in without_image.items()}
        yield Panel(f"{name} total", f"Score (0\N{EN DASH}{top:,})", top, 1, ("",), {"": total}, lines)


def _draw(axis: Axes, panel: Panel, settings: ReportSettings, dashes: dict[str, tuple]) -> None:
    colors, markers = arm_colors(settings), arm_markers(settings)
    arms = list(settings.projectors)
    for name, value in panel.lines.items():
        axis.axhline(value * panel.scale, color=GRAY, linewidth=1, linestyle=dashes[name], zorder=1)
    offsets = (np.arange(len(arms)) - (len(arms) - 1) / 2) * min(0.24, 0.72 / len(arms))
    for i, position in enumerate(panel.positions):
        for arm, offset in zip(arms, offsets, strict=True):
            cell = panel.cells[position][arm]
            if cell.value is None:
                continue  # not graded
            value, (low, high) = cell.known, cell.interval or (cell.known, cell.known)
            error = [[max(value - low, 0) * panel.scale], [max(high - value, 0) * panel.scale]]
            axis.errorbar(
                i + offset,
                value * panel.scale,
                yerr=error,
                color=colors[arm],
                marker=markers[arm],
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=0.6,
                elinewidth=1.5,
                capsize=2.5,
                capthick=1.2,
                zorder=3,
            )
    axis.set_title(panel.title)
    axis.set_ylabel(panel.label)
    axis.set_xlim(-0.55, len(panel.positions) - 0.45)
    axis.set_ylim(0, panel.top * 1.02)
    axis.set_xticks(range(len(panel.positions)), panel.positions)
    axis.tick_params(axis="x", length=0)
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.grid(axis="y", color="0.92", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _arm_handles(settings: ReportSettings) -> list[Line2D]:
    colors, markers = arm_colors(settings), arm_markers(settings)
    return [
        Line2D([], [], color=colors[arm], marker=markers[arm], markersize=6, linewidth=1.5, label=name)
        for arm, name in words.projectors(settings).items()
    ]
