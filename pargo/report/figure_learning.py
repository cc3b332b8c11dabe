"""Scores over the samples that models were trained on, of arms that differ in nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pargo.report import words
from pargo.report.arms import learning_groups, num_samples
from pargo.report.cells import Cell
from pargo.report.measure import headline, headline_title
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import MARKER, WIDTH, Drawn, arm_colors, arm_markers, errors, message, plain
from pargo.report.training_file import Training

COLUMNS = 3
NOTHING = "No arms of this configuration differ in numbers of samples alone."


def learning_figure(settings: ReportSettings, scores: Scores, training: Training) -> Drawn:
    """A panel for each graded benchmark, a line for each group of arms."""
    groups, samples = learning_groups(settings, training), settings.report.bootstrap_samples
    cells = {
        benchmark: {arm: headline(scores[arm, benchmark], samples) for group in groups for arm in group}
        for benchmark in settings.benchmarks
    }
    shown = [name for name, of in cells.items() if any(cell.value is not None for cell in of.values())]
    if not shown:
        return Drawn(message(NOTHING if not groups else "No benchmark of this configuration is graded."), [])
    seen = {name: {arm: _seen(settings, training, name, arm) for arm in cells[name]} for name in shown}
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(WIDTH, 2.2 * rows + 0.2 * math.ceil(len(groups) / 3)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, benchmark in zip(axes.flat, shown, strict=False):
        scale = 100 if _percent(scores, benchmark) else 1
        _draw(axis, settings, groups, cells[benchmark], seen[benchmark], scale)
        title = headline_title(scores.example(benchmark))
        axis.set_ylabel(title if _percent(scores, benchmark) else "Total")
        axis.set_title(words.benchmark(settings, benchmark))
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    drawn = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=3)
    return Drawn(figure, [row for name in shown for row in _data(name, cells[name], seen[name])])


def _seen(settings: ReportSettings, training: Training, benchmark: str, arm: str) -> int:
    """Images that the models had been trained on when they were asked."""
    samples = num_samples(training, arm)
    after = settings.benchmarks[benchmark].asked_model == "finetune"
    return sum(samples) if after else samples.alignment + samples.pretrain


def _percent(scores: Scores, benchmark: str) -> bool:
    return scores.example(benchmark).record.points_per_task is None


def _draw(
    axis: Axes,
    settings: ReportSettings,
    groups: Sequence[Sequence[str]],
    cells: dict[str, Cell],
    seen: dict[str, int],
    scale: float,
) -> None:
    colors, markers, names = arm_colors(settings), arm_markers(settings), words.projectors(settings)
    for group in groups:
        arms = [arm for arm in group if cells[arm].value is not None]
        if len({seen[arm] for arm in arms}) < 2:
            continue  # not graded, or asked before the training in which they differ
        ends = [errors(cells[arm], scale) for arm in arms]
        axis.errorbar(
            [seen[arm] for arm in arms],
            [cells[arm].known * scale for arm in arms],
            yerr=[[low for (low,), _ in ends], [high for _, (high,) in ends]],
            color=colors[group[-1]],
            marker=markers[group[-1]],
            elinewidth=1.2,
            capsize=2,
            label=names[group[-1]],
            **MARKER,
        )
    places = sorted({*seen.values()})
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(places))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_xlabel("Images trained on (log scale)")
    axis.margins(x=0.12)
    plain(axis, "both")


def _data(benchmark: str, cells: dict[str, Cell], seen: dict[str, int]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for arm, cell in cells.items():
        low, high = cell.interval or (None, None)
        base: dict[str, object] = {"benchmark": benchmark, "arm": arm, "images": seen[arm]}
        rows.append(base | {"what": "mean", "value": cell.value, "low": low, "high": high})
        rows += [
            base | {"what": f"seed {seed}", "value": value, "low": None, "high": None}
            for seed, value in zip(cell.seeds, cell.seed_values, strict=False)
        ]
    return rows
