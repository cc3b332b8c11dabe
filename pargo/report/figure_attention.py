"""Where the tokens of a trained ParGo look: a partial token in its own patches, global tokens everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from pargo.report.attention_files import AttentionMaps
from pargo.report.style import WIDTH, heading

MIN_HEIGHT = 2.3  # inches, for the words beside the colour bar
SHOWN_PARTIAL = 3
COLOR, OPACITY = "#d55e00", 0.9
# from nothing to the full colour: what is not attended to stays visible
COLORS = LinearSegmentedColormap.from_list("attention", [to_rgba(COLOR, 0), to_rgba(COLOR, OPACITY)])
OUTLINE = "#0072b2"


def relative(weights: np.ndarray, visible: int) -> np.ndarray:
    """Attention relative to an even spread over the visible patches: 1 is even, `visible` is all on one patch."""
    return weights * visible


@dataclass(frozen=True)
class _Panel:
    """A column of the figure: `values` [images, patches], drawn where `seen` [patches]."""

    title: str
    values: np.ndarray
    seen: np.ndarray


def _panels(attention: AttentionMaps, num_patches: int) -> list[_Panel]:
    panels = []
    if count := attention.num_partial:
        partial = relative(attention.maps[:, :count], num_patches // count)
        for token in sorted({(2 * i + 1) * count // (2 * SHOWN_PARTIAL) for i in range(SHOWN_PARTIAL)}):
            values = partial[:, token]
            panels.append(_Panel(f"Partial token {token + 1}", values, np.any(values > 0, axis=0)))
        panels.append(_Panel(f"All {count}\npartial tokens", partial.sum(1), np.ones(num_patches, bool)))
    if attention.num_global:
        mean = relative(attention.maps[:, attention.num_partial :].mean(1), num_patches)
        panels.append(_Panel(f"Mean of {attention.num_global}\nglobal tokens", mean, np.ones(num_patches, bool)))
    return panels


def attention_figure(attention: AttentionMaps, num_patches: int, title: str = "") -> Figure:
    """A row an image: the image, a few partial tokens, all partial tokens together, the mean of the global tokens.

    Partial tokens see disjoint groups of patches, so all of them fit into one picture.

    Args:
        title: above it: whose tokens they are, and whose images.
    """
    panels = _panels(attention, num_patches)
    side, titles = isqrt(num_patches), ["Image", *(panel.title for panel in panels)]
    sums = np.concatenate([panel.values.ravel() for panel in panels if panel.seen.all()])
    norm = Normalize(0, max(2.0, float(np.ceil(np.quantile(sums, 0.99)))))

    rows, columns = len(attention.images), len(titles)
    height = (WIDTH - 0.9) / columns
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=(WIDTH, max(height * rows + 0.7, MIN_HEIGHT)), layout=layout)
    if title:
        heading(figure, title)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, image in enumerate(attention.images):
        _show(axes[row, 0], image, None, None, norm)
        axes[row, 0].set_ylabel(attention.names[row].removesuffix(".png"), fontsize=8)
        for axis, panel in zip(axes[row, 1:], panels, strict=True):
            _show(axis, image, panel.values[row].reshape(side, side), panel.seen.reshape(side, side), norm)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8.5, fontweight="normal", loc="center")
    bar = figure.colorbar(ScalarMappable(norm, COLORS), ax=axes, shrink=0.75, aspect=28, pad=0.015, extend="max")
    bar.set_label("Attention (1 = spread evenly over\nthe patches that the token sees)")
    bar.outline.set_visible(False)
    return figure


def _show(axis: Axes, image: Image.Image, values: np.ndarray | None, seen: np.ndarray | None, norm: Normalize) -> None:
    """The image alone, or faded under a map [side, side] that is drawn where `seen`; the seen part is outlined."""
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color="0.6", linewidth=0.6)
    size = image.width
    if values is None or seen is None:
        axis.imshow(image, extent=(0, size, size, 0), interpolation="none")
        return
    faded = (np.asarray(image.convert("L")) * 0.35 + 255 * 0.65).astype(np.uint8)
    axis.imshow(Image.fromarray(faded).convert("RGB"), extent=(0, size, size, 0), interpolation="none")
    colors = COLORS(norm(values))
    colors[~seen] = 0
    axis.imshow(colors, extent=(0, size, size, 0), interpolation="none")
    if not seen.all():
        _outline(axis, seen, size / seen.shape[0])


def _outline(axis: Axes, seen: np.ndarray, step: float) -> None:
    """The border of the seen patches."""
    padded = np.pad(seen, 1)
    edges = [((x - 1, x), (y, y)) for y, x in np.argwhere(padded[:-1] != padded[1:])]
    edges += [((x, x), (y - 1, y)) for y, x in np.argwhere(padded[:, :-1] != padded[:, 1:])]
    for xs, ys in edges:
        across, down = (np.array(ends) * step for ends in (xs, ys))
        axis.plot(across, down, color=OUTLINE, linewidth=1.3, solid_capstyle="projecting")
