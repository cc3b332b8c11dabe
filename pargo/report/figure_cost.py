"""What a projector costs against what it scores."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pargo.report import words
from pargo.report.cells import Cell, Unit
from pargo.report.measure import headline, headline_title
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import MARKER, WIDTH, Drawn, arm_colors, arm_markers, errors, message, plain
from pargo.report.training_file import Training

AXES = {"flops": "FLOPs per image", "parameters": "Trained projector parameters"}


def cost_figure(settings: ReportSettings, scores: Scores, training: Training) -> Drawn:
    """Score of the first benchmark over operations and over parameters, on log scales where they differ by much."""
    benchmark, samples = next(iter(settings.benchmarks)), settings.report.bootstrap_samples
    cells = {arm: headline(scores[arm, benchmark], samples) for arm in settings.projectors}
    shown = {arm: cell for arm, cell in cells.items() if cell.value is not None}
    if not shown:
        return Drawn(message(f"{words.benchmark(settings, benchmark)} is not graded."), [])
    example = scores[next(iter(shown)), benchmark][0]
    percent = example.record.points_per_task is None
    scale = 100 if percent else 1
    colors, markers, names = arm_colors(settings), arm_markers(settings), words.projectors(settings)
    figure = Figure(figsize=(WIDTH, 2.6 + 0.2 * ((len(shown) + 2) // 3)), layout="constrained")
    axes = figure.subplots(1, len(AXES), sharey=True)
    rows: list[dict[str, object]] = []
    for axis, (field, title) in zip(axes, AXES.items(), strict=True):
        unit: Unit = "flops" if field == "flops" else "parameters"
        for arm, cell in shown.items():
            axis.errorbar(
                getattr(training.costs[arm], field),
                cell.known * scale,
                yerr=errors(cell, scale),
                color=colors[arm],
                marker=markers[arm],
                elinewidth=1.2,
                capsize=2,
                linestyle="none",
                label=names[arm],
                **MARKER,
            )
        costs = [getattr(training.costs[arm], field) for arm in shown]
        wide = max(costs) > 4 * min(costs)
        if wide:
            axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)) if wide else MaxNLocator(3))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: _short(value, unit)))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(f"{title} (log scale)" if wide else title)
        axis.margins(x=0.12)
        plain(axis, "both")
    name = words.benchmark(settings, benchmark)
    axes[0].set_ylabel(f"{name}: {headline_title(example)}" if percent else f"{name}, total")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for arm, cell in shown.items():
        ends = cell.interval or (None, None)
        cost = training.costs[arm]
        rows.append(
            {
                "arm": arm,
                "flops": cost.flops,
                "parameters": cost.parameters,
                "value": cell.value,
                "low": ends[0],
                "high": ends[1],
            }
        )
    return Drawn(figure, rows)


def _short(value: float, unit: Unit) -> str:
    """`3.2 M` and not `3.20 M`."""
    number, _, letter = Cell(value, unit, "computed").text.partition(" ")
    return f"{float(number):g} {letter}".strip()
