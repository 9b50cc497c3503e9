"""Draws a place of SSL4EO-S12: a row for each modality, a column for each date."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.composite import MISSING, limits, stretch
from torchgeo_copernicus.datasets.bench.panels import show_picture
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.sensors import S2_TOA

# Side of a panel and height of the title (inches).
_PANEL, _TITLE = 2.6, 0.5
# Land is dark beside clouds.
_GAMMA = 0.6
_COLOURS = {
    'S1GRD': 'Sentinel-1 (dB): red VV, green VH, blue VV - VH',
    'S2L1C': 'Sentinel-2 L1C, natural colours',
    'S2L2A': 'Sentinel-2 L2A, natural colours',
    'S2RGB': 'Sentinel-2 L1C, 8-bit natural colours',
}


def draw_seasons(
    modalities: Sequence[Modality],
    bands: Mapping[Modality, Sequence[str]],
    sample: Sample,
    show_titles: bool,
    suptitle: str | None,
) -> Figure:
    """Draw a sample; all dates of a modality have one stretch.

    Args:
        modalities: Of the sample, from top to bottom.
        bands: Names of the channels of each.
        sample: With `image` (`[T, C, H, W]` or `[C, H, W]`, or a dict of these by modality) and perhaps
            `metadata` and `sample_id`.
        show_titles: Write modality and date above each panel.
        suptitle: Title of the figure; number and place when None.

    Raises:
        RGBBandsMissingError: If red, green and blue of Sentinel-2 were not read.
    """
    rows = [
        (
            modality,
            _of(sample['image'], modality, 4),
            _of(sample['metadata'], modality, 2) if 'metadata' in sample else None,
        )
        for modality in modalities
    ]
    pictures = [_picture(modality, bands[modality], image) for modality, image, _ in rows]
    columns = max(len(picture) for picture in pictures)
    size = (max(columns, 2) * _PANEL, len(rows) * _PANEL + _TITLE)
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, picture, (modality, _, metadata) in zip(axes, pictures, rows, strict=True):
        for position, axis in enumerate(line):
            if position >= len(picture):
                axis.set_axis_off()
                continue
            show_picture(axis, picture[position])
            if show_titles:
                day = '' if metadata is None else _day(metadata[position])
                axis.set_title(day or f'date {position}', fontsize=9)
        if show_titles:
            line[0].set_xlabel(_COLOURS[modality], fontsize=8, loc='left')
    figure.suptitle(_caption(sample, rows[0][2]) if suptitle is None else suptitle, fontsize=11)
    return figure


def _of(entry: Tensor | Mapping[Modality, Tensor], modality: Modality, ndim: int) -> Tensor:
    """Return the tensor of a modality, with a dimension of dates."""
    tensor = entry[modality] if isinstance(entry, Mapping) else entry
    tensor = tensor.detach().cpu().float()
    return tensor if tensor.ndim == ndim else tensor[None]


def _picture(modality: Modality, bands: Sequence[str], image: Tensor) -> NDArray[np.float32]:
    """Return `[T, H, W, 3]`, 0 to 1; grey where data is missing."""
    values: NDArray[np.float32] = np.asarray(image.numpy())
    channel = {name: values[:, row] for row, name in enumerate(bands)}
    if modality == 'S1GRD':
        picture = _radar([channel[name] for name in ('VV', 'VH') if name in channel])
    elif set(S2_TOA.rgb) <= set(bands):
        picture = _natural(np.stack([channel[name] for name in S2_TOA.rgb], axis=-1))
    else:
        raise RGBBandsMissingError
    gaps = ~np.isfinite(picture).all(axis=-1, keepdims=True)
    return np.where(gaps, np.array(to_rgb(MISSING)), picture).astype(np.float32)


def _radar(backscatter: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(backscatter) == 1:
        return np.repeat(stretch(backscatter[0], gamma=1)[..., None], 3, axis=-1)
    vv, vh = backscatter
    return np.stack([stretch(layer, gamma=1) for layer in (vv, vh, vv - vh)], axis=-1)


def _natural(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return colours with one range for all dates, the darkest of each taken away: that is the air.

    The range is that of the middle date, so that clouds at one of them do not darken the others.
    """
    ends = np.median(
        [[limits(picture[..., colour]) for colour in range(3)] for picture in rgb], axis=0
    )
    low = ends[:, 0]
    span = float((ends[:, 1] - low).max()) or 1.0
    return np.asarray(np.clip((rgb - low) / span, 0, 1) ** _GAMMA, dtype=np.float32)


def _day(metadata: Tensor) -> str:
    days = float(metadata[2])
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat() if math.isfinite(days) else ''


def _caption(sample: Sample, metadata: Tensor | None) -> str:
    parts = [f'SSL4EO-S12 v1.0 {sample.get("sample_id", "")}'.strip()]
    if metadata is not None and bool(metadata[0, :2].isfinite().all()):
        longitude, latitude = metadata[0, :2].tolist()
        north, east = 'N' if latitude >= 0 else 'S', 'E' if longitude >= 0 else 'W'
        parts.append(f'{abs(latitude):.2f} {north}, {abs(longitude):.2f} {east}')
    return ', '.join(parts)
