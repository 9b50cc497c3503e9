"""Draws where on Earth there are images: a map of cells for each modality."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, ROWS
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    MODALITY_NAMES,
    ModalityName,
    chosen_modalities,
)

# Fewer cells than this could not be seen as pixels, and are drawn as points.
_FEW = 3000
_WIDTH, _HEIGHT = 5.6, 3.0


def cell_counts(source: FileList | gpd.GeoDataFrame, modality: ModalityName) -> NDArray[np.int64]:
    """Return the number of images of each cell as a map, `[721, 1440]`, north up.

    Args:
        source: A list of files, or a table of images (`image_table`).
        modality: Which.

    Raises:
        ValueError: If *source* is neither.
    """
    if isinstance(source, FileList):
        ids, counts = source.grid_ids, source.counts[:, MODALITY_NAMES.index(modality)]
    elif isinstance(source, gpd.GeoDataFrame) and {'grid_id', 'modality'} <= set(source.columns):
        ids = np.asarray(source.loc[source['modality'] == modality, 'grid_id'], np.int64)
        counts = np.ones(len(ids), np.int32)
    else:
        raise ValueError(
            f'A {type(source).__name__} is no FileList, and no table with grid_id and modality.'
        )
    flat = np.bincount(ids, counts, ROWS * COLUMNS).astype(np.int64)
    return flat.reshape(ROWS, COLUMNS)[::-1]


def draw_world_map(
    source: FileList | gpd.GeoDataFrame,
    modalities: Sequence[ModalityName] | None = None,
    suptitle: str | None = None,
) -> Figure:
    """Draw a map for each modality, coloured by the number of images of a cell.

    Args:
        source: A list of files, or a table of images (`image_table`), filtered or not.
        modalities: Which; all when None.
        suptitle: Title of the figure; none when None.

    Raises:
        ValueError: If a modality is unknown, or *source* is neither.
    """
    names = chosen_modalities(modalities)
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(columns * _WIDTH, rows * _HEIGHT + 0.4), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    maps = [cell_counts(source, name) for name in names]
    # One scale for all maps; a single image is at its lower end.
    norm = LogNorm(1, max(2, *(int(counts.max()) for counts in maps)))
    for axis, name, counts in zip(axes, names, maps, strict=False):
        drawn = _draw(axis, counts, norm)
        cells, images = int((counts > 0).sum()), int(counts.sum())
        axis.set_title(
            f'{MODALITIES[name].sensor.title}: {cells:,} cells, {images:,} images', fontsize=9
        )
    bar = figure.colorbar(drawn, ax=axes.tolist(), location='bottom', shrink=0.5, aspect=40)
    bar.set_label('images of a cell')
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure


def _draw(axis: Axes, counts: NDArray[np.int64], norm: LogNorm) -> ScalarMappable:
    """Draw a map, and return what a colour bar is of."""
    half = CELL_DEG / 2
    axis.set_xlim(-180, 180)
    axis.set_ylim(-90, 90)
    axis.set_aspect('equal')
    axis.set_facecolor('#f4f6f8')
    axis.set_xticks(range(-180, 181, 60))
    axis.set_yticks(range(-90, 91, 30))
    axis.tick_params(labelsize=7)
    axis.grid(color='#d0d4d8', linewidth=0.4)
    axis.set_axisbelow(True)
    row, column = np.nonzero(counts)
    if len(row) < _FEW:
        longitude, latitude = column * CELL_DEG - 180, 90 - row * CELL_DEG
        return axis.scatter(longitude, latitude, 12, counts[row, column], norm=norm, marker='s')
    shown = np.ma.masked_equal(counts, 0)
    extent = (-180 - half, 180 - half, -90 - half, 90 + half)
    return axis.imshow(shown, norm=norm, extent=extent, interpolation='none')
