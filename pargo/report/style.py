"""How all figures look, and how they are saved: same content, same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

from pargo.errors import PargoError
from pargo.report.settings import ReportSettings

WIDTH = 7.2  # inches: the text width of a page
GRAY = "0.35"
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES = ((0, (1, 1.5)), (0, (5, 2)), (0, (5, 2, 1, 2)), (0, (8, 2)))
PNG_DPI = 200

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
}


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib for the figures of the report; the old ones come back."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a person's matplotlibrc must not change the files
        with mpl.rc_context(sns.axes_style("ticks")), mpl.rc_context(_RC):
            yield


def arm_colors(settings: ReportSettings) -> dict[str, tuple[float, float, float]]:
    """A colour for each arm, from the palette of the config.

    Raises:
        PargoError: unknown palette.
    """
    try:
        palette = sns.color_palette(settings.report.palette, len(settings.projectors))
    except ValueError as error:
        raise PargoError(f"report.palette: {settings.report.palette!r} is not a palette of seaborn: {error}") from None
    return dict(zip(settings.projectors, palette, strict=True))


def arm_markers(settings: ReportSettings) -> dict[str, str]:
    """A marker for each arm, so that colour is not all that tells them apart."""
    return {arm: MARKERS[i % len(MARKERS)] for i, arm in enumerate(settings.projectors)}


def save(figure: Figure, output: Path, name: str) -> None:
    """Write `<name>.svg` and `<name>.png`, without dates and versions."""
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / f"{name}.svg", metadata={"Date": None, "Creator": None})
    figure.savefig(output / f"{name}.png", metadata={"Software": None})
