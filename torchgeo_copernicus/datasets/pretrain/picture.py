"""Draws a cell of Copernicus-Pretrain: a row for each modality and place, a column for each date."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.composite import COLUMN_COLORMAP, MISSING, limits
from torchgeo_copernicus.datasets.bench.panels import (
    frame,
    show_picture,
    show_values,
    value_bar,
    value_scale,
)
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    ModalityName,
    chosen_modalities,
)

# Width of a panel, and height of the titles of a row (inches).
_WIDTH, _TITLE = 1.6, 0.55
# Land is dark beside clouds.
_GAMMA = 0.6
_TITLES: dict[ModalityName, str] = {
    's1_grd': 'Sentinel-1 (dB): red co-, green cross-polarised, blue their difference',
    's2_toa': 'Sentinel-2, natural colours',
    's3_olci': 'Sentinel-3 OLCI, natural colours',
    's5p_co': 'Sentinel-5P CO',
    's5p_no2': 'Sentinel-5P NO2, troposphere',
    's5p_o3': 'Sentinel-5P O3',
    's5p_so2': 'Sentinel-5P SO2',
    'dem': 'Copernicus DEM',
}


@dataclass(frozen=True)
class _Row:
    """Images of one modality and place; none where they are missing."""

    name: ModalityName
    images: list[NDArray[np.float32]]
    days: list[float]
    local_id: int | None = None

    @property
    def title(self) -> str:
        place = '' if self.local_id is None else f', patch {self.local_id:07d}'
        return f'{_TITLES[self.name]}{place}'

    @property
    def height(self) -> float:
        """Height of the row (inches): images of whole cells are wide in the north."""
        tallest = max((image.shape[1] / image.shape[2] for image in self.images), default=0.5)
        return _TITLE + _WIDTH * min(tallest, 1.0)


def draw_cell(
    sample: Sample, modalities: Sequence[ModalityName] | None = None, suptitle: str | None = None
) -> Figure:
    """Draw a sample; all dates of a row have one stretch.

    Args:
        sample: From the GeoTIFFs or from the shards, in physical units.
        modalities: Rows to draw, also of what the sample lacks; all when None.
        suptitle: Title of the figure; name of the cell when None.

    Raises:
        ValueError: If a modality is unknown.
    """
    rows = [row for name in chosen_modalities(modalities) for row in _rows(sample, name)]
    columns = max(4, *(len(row.images) for row in rows))
    heights = [row.height for row in rows]
    figure = Figure(figsize=(columns * _WIDTH + 0.9, sum(heights) + 0.4), layout='constrained')
    parts = np.atleast_1d(np.asarray(figure.subfigures(len(rows), 1, height_ratios=heights)))
    for part, row in zip(parts, rows, strict=True):
        _draw(part, row, columns)
    name = Cell(int(sample['grid_id'])).name
    figure.suptitle(f'Copernicus-Pretrain, cell {name}' if suptitle is None else suptitle)
    return figure


def _rows(sample: Sample, name: ModalityName) -> list[_Row]:
    found = sample['image'].get(name)
    if found is None:
        return [_Row(name, [], [])]
    single = isinstance(found, Tensor) and found.ndim == 3
    images = [one.detach().cpu().numpy() for one in ([found] if single else found)]
    days = sample['metadata'][name].reshape(-1, 4)[:, 2].tolist()
    numbers = sample['local_id'].get(name)
    if numbers is None:
        return [_Row(name, images, days)]
    places = [numbers] if isinstance(numbers, int) else numbers.tolist()
    return [
        _Row(
            name,
            [image for image, place in zip(images, places, strict=True) if place == local_id],
            [day for day, place in zip(days, places, strict=True) if place == local_id],
            local_id,
        )
        for local_id in dict.fromkeys(places)
    ]


def _draw(part: SubFigure, row: _Row, columns: int) -> None:
    part.suptitle(row.title, fontsize=9, x=0.01, ha='left')
    axes = part.subplots(1, columns, squeeze=False)[0]
    for axis in axes[max(1, len(row.images)) :]:
        axis.set_axis_off()
    if not row.images:
        axes[0].set_facecolor(MISSING)
        axes[0].set_box_aspect(0.5)
        frame(axes[0])
        axes[0].text(0.5, 0.5, 'missing', ha='center', va='center', transform=axes[0].transAxes)
        return
    one_band = len(row.images[0]) == 1
    pictures = [] if one_band else _pictures(row.name, row.images)
    values = [image[0] for image in row.images]
    scale = value_scale(values)
    for position, (image, day) in enumerate(zip(row.images, row.days, strict=True)):
        axis = axes[position]
        if one_band:
            colormap = 'terrain' if row.name == 'dem' else COLUMN_COLORMAP
            show_values(axis, image[0], scale, colormap)
        else:
            show_picture(axis, pictures[position])
        axis.set_title(_day(row.name, day), fontsize=8)
    if one_band:
        unit = 'm' if row.name == 'dem' else 'mol m$^{-2}$'
        # The bar is of the first panel's colours; it stands right of the last.
        last = axes[len(values) - 1]
        value_bar(last, values, scale, unit)


def _pictures(
    name: ModalityName, images: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Return `[H, W, 3]`, 0 to 1, of each date; grey where data is missing."""
    if name == 's1_grd':
        layers = [np.stack([vv, vh, vv - vh], axis=-1) for vv, vh in images]
        ends = [limits(*(layer[..., colour] for layer in layers)) for colour in range(3)]
        gamma = 1.0
    else:
        bands = MODALITIES[name].sensor.band_names
        colours = [bands.index(band) for band in MODALITIES[name].sensor.rgb]
        layers = [np.moveaxis(image[colours], 0, -1) for image in images]
        found = [[limits(layer[..., colour]) for colour in range(3)] for layer in layers]
        # What the darkest date has least of each colour is the air. The range is that of the middle date,
        # so that clouds at one of them do not darken the others.
        low = np.min(found, axis=0)[:, 0]
        span = float((np.median(found, axis=0)[:, 1] - low).max())
        ends = [(dark, dark + span) for dark in low.tolist()]
        gamma = _GAMMA
    return [_coloured(layer, ends, gamma) for layer in layers]


def _coloured(
    layer: NDArray[np.float32], ends: Sequence[tuple[float, float]], gamma: float
) -> NDArray[np.float32]:
    low = np.array([end[0] for end in ends])
    span = np.array([max(end[1] - end[0], 1e-12) for end in ends])
    gaps = ~np.isfinite(layer).all(axis=-1, keepdims=True)
    shown = np.clip((np.where(gaps, low, layer) - low) / span, 0, 1) ** gamma
    return np.where(gaps, np.array(to_rgb(MISSING)), shown).astype(np.float32)


def _day(name: ModalityName, days: float) -> str:
    if not math.isfinite(days):
        return 'no date'
    day = date(1970, 1, 1) + timedelta(days=days)
    # Images of Sentinel-5P are means of a month.
    return f'{day:%Y-%m}' if name.startswith('s5p') else day.isoformat()
