"""Draws the vectors of cells as colours: of one sample, by the three directions of its largest variance."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# As many cells tell the directions well enough.
_MOST_CELLS = 4096


def colours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return colours of cells: like vectors have like colours, within this picture alone.

    Args:
        values: `[channels, h, w]`; 0 or not finite where there is no data.

    Returns:
        Red, green and blue (0 to 1), float32 `[h, w, 3]`: white without data, grey where all vectors are the
        same or there are too few channels.
    """
    cells = np.moveaxis(values, 0, -1).astype(np.float64)
    valid = np.isfinite(cells).all(axis=-1) & (cells != 0).any(axis=-1)
    found = np.ones((*valid.shape, 3), np.float32)
    vectors = cells[valid]
    if not len(vectors):
        return found
    vectors -= vectors.mean(axis=0)
    some = vectors[:: -(-len(vectors) // _MOST_CELLS)]
    _, spread, directions = np.linalg.svd(some, full_matrices=False)
    # Directions without variance would be noise of rounding.
    count = int((spread[:3] > 1e-6 * max(float(np.abs(cells[valid]).max()), 1e-30)).sum())
    shown = np.full((len(vectors), 3), 0.5)
    for number, direction in enumerate(directions[:count]):
        seen = vectors @ (direction * np.sign(direction[np.abs(direction).argmax()]))
        low, high = np.percentile(seen, (2, 98))
        shown[:, number] = np.clip((seen - low) / (high - low), 0, 1) if high > low else 0.5
    found[valid] = shown
    return found


def draw_embedding(
    values: NDArray[np.float32], show_titles: bool = True, suptitle: str | None = None
) -> Figure:
    """Draw the vectors of one sample.

    Args:
        values: `[channels, h, w]`.
        show_titles: Write above it what is shown.
        suptitle: Title of the figure; none when None.
    """
    figure = Figure(figsize=(5, 5), layout='constrained')
    axis = figure.subplots()
    axis.imshow(colours(values), interpolation='nearest')
    axis.set_axis_off()
    if show_titles:
        axis.set_title(f'{len(values)} channels, PCA of this sample', fontsize=9)
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure
