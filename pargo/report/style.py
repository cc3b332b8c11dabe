"""How all figures look, and how they are saved: same content, same bytes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pargo.report.cells import Cell
from pargo.report.settings import ReportSettings

WIDTH = 7.2  # inches: the text width of a page
GRAY = "0.35"
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "p", "d", "h", "8", "H")
# each is far from all before it for readers with and without colour blindness (greedily, by CIELAB, lightness 22 to 78)
COLORS = (
    *("#0173b2", "#de8f05", "#029e73", "#0000ff", "#622700", "#62144e", "#00279d", "#d8b1d8"),
    *("#c4c476", "#b14eff", "#c44e27", "#c49dff", "#3b4e3b", "#767689", "#b1c4b1"),
)
DASHES = ((0, (1, 1.5)), (0, (5, 2)), (0, (5, 2, 1, 2)), (0, (9, 2)), (0, (9, 2, 1, 2, 1, 2)), (0, (2, 3)))
PNG_DPI = 200
# the edge shows a pale marker on white paper, and which of two markers is in front
MARKER: dict[str, Any] = {"markersize": 5.5, "markeredgecolor": "0.2", "markeredgewidth": 0.5}

_RC = {
    "figure.dpi": 100,
    "savefig.dpi": PNG_DPI,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.title_fontsize": 8.5,
    "legend.frameon": False,
    "axes.linewidth": 0.8,
    "svg.fonttype": "path",  # no reader needs the font
    "svg.hashsalt": "pargo",  # else the ids in the file are random
    "pdf.fonttype": 42,  # letters that can be searched and edited
}


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib for the figures of the report; the old ones come back."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a person's matplotlibrc must not change the files
        with mpl.rc_context(sns.axes_style("ticks")), mpl.rc_context(_RC):
            yield


def arm_colors(settings: ReportSettings) -> dict[str, str]:
    """A colour for each arm. More arms than colours begin again, with other markers."""
    return {arm: COLORS[i % len(COLORS)] for i, arm in enumerate(settings.projectors)}


def arm_markers(settings: ReportSettings) -> dict[str, str]:
    """A marker for each arm, so that colour is not all that tells them apart."""
    return {arm: MARKERS[(i + i // len(COLORS)) % len(MARKERS)] for i, arm in enumerate(settings.projectors)}


def heading(figure: Figure, text: str) -> None:
    """What all panels of a figure are about, above them."""
    figure.suptitle(text, x=0.005, ha="left", fontsize=_RC["axes.titlesize"], fontweight="bold")


def plain(axis: Axes, grid: Literal["x", "y", "both"], *, left: bool = True) -> None:
    """Axes with a faint grid behind what they show, and no frame but the lower line and, unless told, the left one."""
    axis.grid(axis=grid, color="0.92", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", *(() if left else ("left",))):
        axis.spines[side].set_visible(False)


def errors(cell: Cell, scale: float) -> list[list[float]]:
    """Distances of the ends of a cell's interval from its value, for error bars; 0 without one."""
    low, high = cell.interval or (cell.known, cell.known)
    return [[max(cell.known - low, 0) * scale], [max(high - cell.known, 0) * scale]]


@dataclass(frozen=True)
class Drawn:
    """A figure, and the numbers that it draws: rows with the same keys."""

    figure: Figure
    rows: Sequence[Mapping[str, object]]


def message(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(4, 0.6))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


WITHOUT_TIME: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def save(figure: Figure, output: Path, name: str, formats: Sequence[str] = ("svg", "png")) -> None:
    """Write `<name>.svg` and so on, without dates and versions."""
    output.mkdir(parents=True, exist_ok=True)
    figure.draw_without_rendering()  # lays it out: once, and not for each format
    figure.set_layout_engine("none")
    for extension in formats:
        figure.savefig(output / f"{name}.{extension}", metadata=WITHOUT_TIME[extension])


def save_drawn(drawn: Drawn, output: Path, name: str) -> None:
    """Write a figure as svg, pdf and png, and its numbers as `<name>.csv`."""
    save(drawn.figure, output, name, tuple(WITHOUT_TIME))
    with (output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(drawn.rows[0]) if drawn.rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(drawn.rows)
