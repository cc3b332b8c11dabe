"""How evenly the tokens of a projector look at an image, over all images of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pargo.report import words
from pargo.report.attention_files import EVEN
from pargo.report.settings import ReportSettings
from pargo.report.style import WIDTH, Drawn, arm_colors, heading, message, plain

# arm -> group of tokens -> `entropy` and `coverage` of each image
Groups = Mapping[str, Mapping[str, Mapping[str, list[float]]]]
MEASURES = {
    "entropy": "Entropy of the attention\n(% of that of an even spread)",
    "coverage": f"Patches that get at least\n{EVEN:g} of an even share (%)",
}
GROUPS = {"all": "{}", "partial": "{}: partial tokens", "global": "{}: global tokens"}
ROW = 0.24  # inches


def coverage_figure(settings: ReportSettings, groups: Groups) -> Drawn:
    """A box for the tokens of each arm together, and for ParGo's partial and global ones.

    The box holds the middle half of the images, the line is their median, the whiskers hold 90 %.
    """
    names, colors = words.projectors(settings), arm_colors(settings)
    lines = [(arm, group, values) for arm, found in groups.items() for group, values in found.items()]
    if not lines:
        return Drawn(message("No arm of this configuration attends to patches."), [])
    figure = Figure(figsize=(WIDTH, 1.1 + ROW * len(lines)), layout="constrained")
    number, name = len(lines[0][2]["entropy"]), words.benchmark(settings, next(iter(settings.benchmarks)))
    heading(figure, f"Where tokens look in the {number:,} images of {name}")
    axes, rows = figure.subplots(1, len(MEASURES), sharey=True), list[dict[str, object]]()
    for axis, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        for place, (arm, group, values) in enumerate(lines):
            low, first, median, third, high = np.quantile(values[measure], (0.05, 0.25, 0.5, 0.75, 0.95)) * 100
            axis.plot([low, high], [place, place], color=colors[arm], linewidth=1.2, solid_capstyle="butt")
            axis.barh(place, third - first, left=first, height=0.55, color=colors[arm], alpha=0.45)
            axis.plot([median, median], [place - 0.3, place + 0.3], color=colors[arm], linewidth=2)
            rows.append(
                {"measure": measure, "arm": arm, "tokens": group, "images": len(values[measure])}
                | {"p5": low, "p25": first, "median": median, "p75": third, "p95": high}
            )
        axis.set_xlabel(title)
        axis.set_xlim(0, 102)
        axis.set_ylim(len(lines) - 0.4, -0.6)
        axis.set_yticks(range(len(lines)), [GROUPS[group].format(names[arm]) for arm, group, _ in lines])
        axis.tick_params(axis="y", length=0)
        plain(axis, "x", left=False)
    return Drawn(figure, rows)
