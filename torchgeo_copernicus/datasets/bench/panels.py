"""Parts of figures: maps of classes and of values, their legends, and lists of class names."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.composite import MISSING, limits
from torchgeo_copernicus.datasets.bench.task import Target

#: Colour of pixels that no loss or metric counts.
IGNORED = 'dimgrey'
#: Colour of what is wrong.
WRONG = 'crimson'
#: Size (points) of legends, lists and notes.
SMALL = 8
#: Height (inches) of a line of that size.
LINE = 0.16
# Width (inches) of a letter of that size, on average, and of what stands before a name in a legend.
_LETTER = 0.06
_SWATCH = 0.5


def frame(axis: Axes) -> None:
    """Draw a thin frame instead of an axis: a white cloud at the edge must not leak into the page."""
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color='dimgrey', linewidth=0.5)


def show_picture(axis: Axes, picture: NDArray[np.float32]) -> None:
    """Show `[H, W, 3]` as it is."""
    axis.imshow(picture)
    frame(axis)


def show_classes(axis: Axes, labels: NDArray[np.int64], colors: Sequence[str]) -> None:
    """Show a label map `[H, W]`; labels that are no class are grey."""
    cmap = ListedColormap(list(colors)).with_extremes(under=IGNORED, over=IGNORED)
    norm = BoundaryNorm(np.arange(-0.5, len(colors)), len(colors))
    axis.imshow(labels, cmap=cmap, norm=norm, interpolation='none')
    frame(axis)


def show_values(
    axis: Axes, values: NDArray[np.float32], scale: tuple[float, float], colormap: str
) -> AxesImage:
    """Show a map of values `[H, W]` from the lower to the upper end of a scale; NaN is grey."""
    cmap = colormaps[colormap].with_extremes(bad=MISSING)
    known = np.where(np.isfinite(values), values, np.nan)
    image = axis.imshow(known, cmap=cmap, vmin=scale[0], vmax=scale[1], interpolation='none')
    frame(axis)
    return image


def value_scale(maps: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Return one scale for maps of values, without their outliers."""
    low, high = limits(*maps)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def value_bar(
    axis: Axes, maps: Sequence[NDArray[np.float32]], scale: tuple[float, float], label: str
) -> None:
    """Draw a colour bar to the right of the last of several panels of values.

    Its ends are pointed where values of the maps lie beyond.
    """
    known = np.concatenate([values[np.isfinite(values)] for values in maps])
    below, above = bool((known < scale[0]).any()), bool((known > scale[1]).any())
    ends = {(True, True): 'both', (True, False): 'min', (False, True): 'max'}
    # As high as the picture, which is less high than its place in the figure.
    place = axis.inset_axes((1.04, 0.0, 0.05, 1.0))
    extend = ends.get((below, above), 'neither')
    bar = axis.figure.colorbar(axis.images[0], cax=place, extend=extend)
    bar.set_label(label, fontsize=SMALL)
    place.tick_params(labelsize=SMALL)
    place.ticklabel_format(axis='y', scilimits=(-2, 5))
    place.yaxis.get_offset_text().set_fontsize(SMALL)


def target_label(target: Target) -> str:
    """Return name and unit of what a regression predicts."""
    return f'{target.name} ({target.unit})'


def class_handles(
    maps: Sequence[NDArray[np.int64]], classes: Sequence[str], colors: Sequence[str]
) -> list[Patch]:
    """Return legend entries of the classes that label maps hold, and of ignored pixels."""
    present = np.unique(np.concatenate([labels.ravel() for labels in maps]))
    handles = [
        patch(color, name)
        for label, (name, color) in enumerate(zip(classes, colors, strict=True))
        if label in present
    ]
    outside = bool(((present < 0) | (present >= len(classes))).any())
    return [*handles, patch(IGNORED, 'ignored')] if outside else handles


def patch(color: str, name: str) -> Patch:
    """Return one legend entry."""
    return Patch(facecolor=color, edgecolor='black', linewidth=0.5, label=name)


def legend_shape(handles: Sequence[Patch], width: float) -> tuple[int, int]:
    """Return the rows and columns that a legend needs in a figure of a width (inches)."""
    if not handles:
        return 0, 1
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = min(max(int(width / (_LETTER * longest + _SWATCH)), 1), len(handles))
    rows = -(-len(handles) // columns)
    # As even as it gets: four entries in 2 x 2 rather than 3 + 1.
    return rows, -(-len(handles) // rows)


def legend(figure: Figure, handles: Sequence[Patch]) -> None:
    """Write a legend below all panels, in as many columns as fit."""
    if not handles:
        return
    _, columns = legend_shape(handles, figure.get_figwidth())
    figure.legend(
        handles=list(handles),
        loc='outside lower center',
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        columnspacing=1.2,
        handlelength=1.4,
    )


def wrapped(name: str, width: float) -> list[str]:
    """Return the lines of a name in a column of a width (inches), later ones indented."""
    # A tenth is left for names of wide letters.
    return textwrap.wrap(name, max(int(0.9 * width / _LETTER), 16), subsequent_indent='   ')


def show_lines(axis: Axes, lines: Sequence[tuple[str, str]]) -> None:
    """Write lines of (text, colour) from the upper left corner of a square, empty panel down.

    They may go on below it; the panel stands at the top of its place, as pictures beside it should.
    """
    axis.set_axis_off()
    axis.set_box_aspect(1)
    axis.set_anchor('N')
    for index, (text, color) in enumerate(lines):
        note = axis.annotate(
            text,
            xy=(0, 1),
            xycoords='axes fraction',
            xytext=(0, -72 * LINE * index),
            textcoords='offset points',
            color=color,
            fontsize=SMALL,
            va='top',
        )
        # A long list must not shrink the picture beside it.
        note.set_in_layout(False)
