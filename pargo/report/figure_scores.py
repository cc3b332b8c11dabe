"""Scores of all arms, a panel each for benchmarks or tasks: arms down, scores across, so that many of both fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from pargo.report import words
from pargo.report.cells import Cell
from pargo.report.measure import ALL, baselines, headline, headline_title, task_score
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import DASHES, GRAY, MARKER, WIDTH, Drawn, arm_colors, arm_markers, errors, message, plain

ROW, TITLE, MARGIN = 0.165, 0.75, 0.75  # inches: an arm, what a panel has around its arms, the legend
COLUMNS = 4
TITLE_LETTERS = 19  # a panel is as wide as so many


@dataclass(frozen=True)
class Panel:
    """One axes: a score of each arm, and what needs no image, as vertical lines.

    Attributes:
        title, label: above it, and below.
        top: the best possible score, as drawn: `scale` times that of the cells.
        cells: by arm.
        lines: by baseline, as in the cells.
    """

    title: str
    label: str
    top: float
    scale: float
    cells: dict[str, Cell]
    lines: dict[str, float]


def scores_figure(settings: ReportSettings, scores: Scores) -> Drawn:
    """A panel for the headline of each benchmark."""
    panels = [panel for name in settings.benchmarks if (panel := _headline(settings, scores, name))]
    return _draw_all(settings, panels, "No benchmark of this configuration is graded.")


def tasks_figure(settings: ReportSettings, scores: Scores, benchmark: str) -> Drawn:
    """A panel for each task of a benchmark."""
    groups = {arm: scores[arm, benchmark] for arm in settings.projectors}
    example, samples = next(iter(groups.values()))[0], settings.report.bootstrap_samples
    points, found = example.record.points_per_task, baselines(example)
    panels = []
    for task in example.record.tasks:
        cells = {arm: task_score(group, task, samples) for arm, group in groups.items()}
        lines = {name: row[task].known for name, row in found.items() if task in row}
        label = f"Score (0\N{EN DASH}{points:g})" if points else f"{settings.benchmarks[benchmark].by_task.score} (%)"
        if any(cell.value is not None for cell in cells.values()):
            panels.append(Panel(words.task(task), label, points or 100, 1 if points else 100, cells, lines))
    return _draw_all(settings, panels, f"{words.benchmark(settings, benchmark)} is not graded.")


def _headline(settings: ReportSettings, scores: Scores, benchmark: str) -> Panel | None:
    """None where no arm is graded."""
    groups, samples = {arm: scores[arm, benchmark] for arm in settings.projectors}, settings.report.bootstrap_samples
    cells = {arm: headline(group, samples) for arm, group in groups.items()}
    if all(cell.value is None for cell in cells.values()):
        return None
    example = next(iter(groups.values()))[0]
    points, top = example.record.points_per_task, example.record.headline.maximum
    lines = {name: row[ALL].known for name, row in baselines(example).items()}
    label = headline_title(example) if points is None else f"Total (0\N{EN DASH}{top:,})"
    return Panel(
        words.benchmark(settings, benchmark), label, top if points else 100, 1 if points else 100, cells, lines
    )


def _draw_all(settings: ReportSettings, panels: Sequence[Panel], nothing: str) -> Drawn:
    if not panels:
        return Drawn(message(nothing), [])
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    names = dict.fromkeys(name for panel in panels for name in panel.lines)
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(names)}
    height = rows * (TITLE + ROW * len(settings.projectors)) + (MARGIN if names else 0)
    figure = Figure(figsize=(WIDTH, max(height, 1.6)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw(axis, panel, settings, dashes)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    if names:
        lines = [Line2D([], [], color=GRAY, linestyle=dash, linewidth=1) for dash in dashes.values()]
        labels, title = [words.in_words(name) for name in dashes], "Without looking at the image"
        figure.legend(lines, labels, title=title, loc="outside lower center", ncols=3, columnspacing=2)
    return Drawn(figure, [row for panel in panels for row in _data(settings, panel)])


def _data(settings: ReportSettings, panel: Panel) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for arm, cell in panel.cells.items():
        low, high = cell.interval or (None, None)
        base: dict[str, object] = {"panel": panel.title, "arm": arm}
        rows.append(
            base | {"what": "mean" if len(cell.seeds) > 1 else "value", "value": cell.value, "low": low, "high": high}
        )
        if len(cell.seeds) > 1:
            pairs = zip(cell.seeds, cell.seed_values, strict=False)
            rows += [
                base | {"what": f"seed {seed}", "value": value, "low": None, "high": None} for seed, value in pairs
            ]
    for name, value in panel.lines.items():
        rows.append({"panel": panel.title, "arm": "", "what": name, "value": value, "low": None, "high": None})
    return rows


def _draw(axis: Axes, panel: Panel, settings: ReportSettings, dashes: dict[str, tuple]) -> None:
    colors, markers, names = arm_colors(settings), arm_markers(settings), words.projectors(settings)
    for name, value in panel.lines.items():
        axis.axvline(value * panel.scale, color=GRAY, linewidth=1, linestyle=dashes[name], zorder=1)
    for place, (arm, cell) in enumerate(panel.cells.items()):
        if cell.value is None:
            continue  # not graded
        axis.errorbar(
            cell.known * panel.scale,
            place,
            xerr=errors(cell, panel.scale),
            color=colors[arm],
            marker=markers[arm],
            elinewidth=1.5,
            capsize=2,
            capthick=1.2,
            zorder=3,
            **MARKER,
        )
        if len(cell.seed_values) > 1:
            seeds = [seed * panel.scale for seed in cell.seed_values]
            axis.plot(seeds, [place - 0.27] * len(seeds), "|", color=colors[arm], markersize=4, zorder=2)
    axis.set_title(fill(panel.title, TITLE_LETTERS))
    axis.set_xlabel(panel.label)
    axis.set_xlim(0, panel.top * 1.02)
    axis.set_ylim(len(panel.cells) - 0.4, -0.6)
    axis.set_yticks(range(len(panel.cells)), [names[arm] for arm in panel.cells])
    axis.tick_params(axis="y", length=0)
    axis.set_xticks([0, panel.top / 2, panel.top])
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    plain(axis, "x", left=False)
