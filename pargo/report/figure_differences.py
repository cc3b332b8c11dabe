"""The headline arm minus each other arm, with intervals: what the report is about, in one figure."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pargo.report import words
from pargo.report.cells import MINUS, Cell
from pargo.report.figure_scores import COLUMNS, ROW, TITLE
from pargo.report.measure import difference
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import MARKER, WIDTH, Drawn, arm_colors, arm_markers, errors, heading, message, plain


def differences_figure(settings: ReportSettings, scores: Scores) -> Drawn:
    """A panel for each graded benchmark, the other arms down; right of the line the headline arm is ahead."""
    ours, samples = settings.report.headline_arm, settings.report.bootstrap_samples
    others = [arm for arm in settings.projectors if arm != ours]
    cells = {
        benchmark: {arm: difference(scores[ours, benchmark], scores[arm, benchmark], samples)[0] for arm in others}
        for benchmark in settings.benchmarks
    }
    shown = [name for name, of in cells.items() if any(cell.value is not None for cell in of.values())]
    if not shown:
        return Drawn(message("No benchmark of this configuration is graded."), [])
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(WIDTH, 0.3 + rows * (TITLE + 0.1 + ROW * len(others))), layout="constrained")
    heading(figure, f"{words.projectors(settings)[ours]} minus ...")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis, benchmark in zip(axes.flat, shown, strict=False):
        percent = scores.example(benchmark).record.points_per_task is None
        _draw(axis, settings, cells[benchmark], 100 if percent else 1)
        axis.set_title(words.benchmark(settings, benchmark))
        axis.set_xlabel("Percentage points" if percent else "Points")
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    return Drawn(figure, [row for benchmark in shown for row in _data(benchmark, cells[benchmark])])


def _draw(axis: Axes, settings: ReportSettings, cells: dict[str, Cell], scale: float) -> None:
    colors, markers, names = arm_colors(settings), arm_markers(settings), words.projectors(settings)
    axis.axvline(0, color="0.35", linewidth=1, zorder=1)
    for place, (arm, cell) in enumerate(cells.items()):
        if cell.value is None:
            continue  # not graded
        axis.errorbar(
            cell.known * scale,
            place,
            xerr=errors(cell, scale),
            color=colors[arm],
            marker=markers[arm],
            elinewidth=1.5,
            capsize=2,
            capthick=1.2,
            zorder=3,
            **MARKER,
        )
    axis.set_ylim(len(cells) - 0.4, -0.6)
    axis.set_yticks(range(len(cells)), [names[arm] for arm in cells])
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}".replace("-", MINUS) if value else "0"))
    axis.margins(x=0.1)
    plain(axis, "x", left=False)


def _data(benchmark: str, cells: dict[str, Cell]) -> list[dict[str, object]]:
    found = ((arm, cell, cell.interval or (None, None)) for arm, cell in cells.items())
    return [
        {"benchmark": benchmark, "minus": arm, "value": cell.value, "low": low, "high": high}
        for arm, cell, (low, high) in found
    ]
