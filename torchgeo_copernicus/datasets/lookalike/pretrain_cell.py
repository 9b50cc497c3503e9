"""Paint a cell of Copernicus-Pretrain: one land seen by eight modalities, as both formats have it.

Units, types and numbers of dates are those of the shards, also where dates there are too few and come again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.dfc2020 import paint_tile
from torchgeo_copernicus.datasets.lookalike.geotiff import LAND, Place
from torchgeo_copernicus.datasets.lookalike.land import sample_rng
from torchgeo_copernicus.datasets.lookalike.olci import (
    Sky,
    mix,
    overpass,
    radiance,
    swath_edge,
    to_counts,
)
from torchgeo_copernicus.datasets.lookalike.spectra import spectrum
from torchgeo_copernicus.datasets.lookalike.terrain import smooth_field
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.sensors import S2_TOA

#: Modalities that cells lack, in turns: every other cell has all.
LACKING: tuple[tuple[ModalityName, ...], ...] = (
    (),
    ('s1_grd', 's2_toa', 's5p_so2'),
    (),
    ('s3_olci', 's5p_no2', 'dem'),
)
#: Of so many successive cells the last is polar: HH and HV instead of VV and VH, images that are wider.
POLAR_TURN = 4
_NORTH = (110.0, 66.5, 135.0, 68.5)
_SMALLEST_PX = 4
# Winter, spring, summer and autumn, as the collection asked for them.
_SEASONS = (date(2020, 12, 21), date(2021, 3, 20), date(2021, 6, 21), date(2021, 9, 22))
# Column (mol m-2): of clean air, of smog over a town, and how much of its month's mean varies.
_COLUMNS: dict[ModalityName, tuple[float, float, float]] = {
    's5p_co': (0.032, 0.004, 0.002),
    's5p_no2': (1.5e-5, 9e-5, 4e-6),
    's5p_o3': (0.135, 0.0, 0.006),
    's5p_so2': (1e-5, 3e-4, 1.5e-4),
}

_Pixels = TypeVar('_Pixels', bound=np.generic)


@dataclass(frozen=True)
class PaintedCell:
    """A cell.

    Attributes:
        cell: Where.
        images: Images of the modalities it has: `[N, T, C, H, W]` of Sentinel-1 and -2, `[H, W]` of
            elevation, `[T, C, H, W]` of the others. Sentinel-1 in dB (float32), Sentinel-2 in DN (int16),
            Sentinel-3 in counts (float32, NaN beyond the swath), Sentinel-5P in mol/m2 and elevation in m
            (float32).
        dates: Day of each image as `YYYYMMDD`: a list of T for each of the N patches, or a list of one
            such list. Behind those there are, some come again to make up T, as in the shards. Elevation
            has none.
        patches: Names of the N local patches of Sentinel-1 and -2.
    """

    cell: Cell
    images: Mapping[ModalityName, NDArray[np.float32] | NDArray[np.int16]]
    dates: Mapping[ModalityName, list[list[str]]]
    patches: Mapping[ModalityName, list[str]]

    @property
    def is_polar(self) -> bool:
        """Whether Sentinel-1 sends and receives HH and HV here."""
        return self.cell.latitude > 60


def paint_cell(seed: int, number: int, size_divisor: int = 1) -> PaintedCell:
    """Paint a cell; it depends on the arguments only; the first 2,000 numbers are of different cells.

    Args:
        seed: Seed, not negative.
        number: Number of the cell, not negative; it decides what the cell lacks (`LACKING`).
        size_divisor: Images are so many times smaller than the real ones, and at least 4 px.

    Raises:
        ValueError: If a number is too small.
    """
    if min(seed, number) < 0 or size_divisor < 1:
        raise ValueError(
            f'seed {seed} and number {number} must not be negative, size_divisor {size_divisor} not below 1.'
        )
    rng = sample_rng(seed, number)
    cell = _place(seed, number)
    land = _Land(rng, side_px('dem', size_divisor))
    images: dict[ModalityName, NDArray[np.float32] | NDArray[np.int16]] = {}
    dates: dict[ModalityName, list[list[str]]] = {}
    patches: dict[ModalityName, list[str]] = {}
    names = _patches(rng, cell, number)
    scenes = [
        _local(rng, side_px('s2_toa', size_divisor), number + i, cell) for i in range(len(names))
    ]
    # Most patches are of both; here and there Sentinel-1 lacks one.
    radars = scenes[: -1 if number % 4 == 2 else None]
    echoes = [_filled(rng, scene.radar, scene.radar_days) for scene in radars]
    optical = [_filled(rng, scene.optical, scene.optical_days) for scene in scenes]
    images['s1_grd'] = np.stack([pixels for pixels, _ in echoes])
    images['s2_toa'] = np.stack([pixels for pixels, _ in optical])
    dates['s1_grd'], dates['s2_toa'] = [d for _, d in echoes], [d for _, d in optical]
    patches['s1_grd'], patches['s2_toa'] = names[: len(radars)], names
    images['s3_olci'], dates['s3_olci'] = _ocean_colour(rng, land, cell, size_divisor)
    for name in _COLUMNS:
        images[name], dates[name] = _column(rng, land, name, size_divisor)
    images['dem'] = land.height_m.astype(np.float32)
    lacking = LACKING[number % len(LACKING)]
    return PaintedCell(
        cell,
        {name: images[name] for name in MODALITIES if name not in lacking},
        {name: dates[name] for name in MODALITIES if name in dates and name not in lacking},
        {name: patches[name] for name in MODALITIES if name in patches and name not in lacking},
    )


def side_px(name: ModalityName, size_divisor: int) -> int:
    """Return the side of an image (px)."""
    return max(_SMALLEST_PX, MODALITIES[name].size_px // size_divisor)


def _place(seed: int, number: int) -> Cell:
    """Return a cell on land."""
    turn, last = divmod(number, POLAR_TURN)
    polar = last == POLAR_TURN - 1
    boxes = (_NORTH,) if polar else LAND
    # The other cells are counted without the polar ones.
    lap, box = divmod(turn if polar else turn * (POLAR_TURN - 1) + last, len(boxes))
    west, south, east, north = boxes[box]
    columns, rows = int((east - west) / CELL_DEG), int((north - south) / CELL_DEG)
    # A prime step visits every cell of a box before it comes to one again.
    position = (sample_rng(seed, box).integers(columns * rows) + 7919 * lap) % (columns * rows)
    row, column = divmod(int(position), columns)
    return Cell.at(west + CELL_DEG * column, south + CELL_DEG * row)


class _Land:
    """What all modalities of a cell see: heights, water and towns, on the grid of the elevation."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        height = smooth_field(rng, size, size / 3, slope=3.0)
        shore = np.quantile(height, rng.uniform(0.05, 0.25))
        self.height_m = np.where(height < shore, 0.0, 20 + 150 * (height - shore))
        self.town = np.clip(smooth_field(rng, size, size / 6, slope=3.5) - 1.2, 0, 1)
        self.town[height < shore] = 0

    def on(self, field: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """Return a field on a coarser grid, `[size, size]`."""
        at = (np.arange(size) + 0.5) * len(field) // size
        return field[np.ix_(at.astype(np.intp), at.astype(np.intp))]


def _patches(rng: np.random.Generator, cell: Cell, number: int) -> list[str]:
    """Name two or three patches inside of a cell."""
    names = []
    for position in range(3 if number % 4 == 2 else 2):
        east, north = rng.uniform(-0.1, 0.1, 2)
        patch = 1000 * number + 7 * position + int(rng.integers(7))
        names.append(f'{patch:07d}_{cell.longitude + east:.2f}_{cell.latitude + north:.2f}')
    return names


@dataclass(frozen=True)
class _Patch:
    """Images of both sensors, `[T, C, H, W]`, and their days."""

    radar: NDArray[np.float32]
    optical: NDArray[np.int16]
    radar_days: list[str]
    optical_days: list[str]


def _local(rng: np.random.Generator, size: int, index: int, cell: Cell) -> _Patch:
    """Paint a patch: Sentinel-1 and -2 at four dates of their own."""
    radar, optical, _ = paint_tile(rng, size, index)
    bands = S2_TOA.band_names
    green = optical[bands.index('B08')] > 2 * optical[bands.index('B04')]
    cloud = 1e4 * spectrum('cloud', bands)[:, None, None]
    scenes, echoes = [], []
    for season in range(len(_SEASONS)):
        # Plants are darker in winter, and lighter in red and short-wave infrared.
        phase = 0.25 * np.cos(2 * np.pi * (season + 2 * (cell.latitude < 0)) / len(_SEASONS))
        scene = optical * np.where(green, 1 - phase, 1 + phase / 3)
        thick = smooth_field(rng, size, size / 3) > (1.2 if rng.random() < 0.3 else 9)
        scene = np.where(thick, cloud, scene + rng.normal(0, 12, scene.shape))
        scenes.append(np.rint(np.clip(scene, 1, 28_000)).astype(np.int16))
        # Cross-polar echoes of HV are those of VH; HH is a little stronger than VV over ice.
        gain = 1.5 if cell.latitude > 60 else 0.0
        echoes.append((radar + gain + rng.normal(0, 0.8, radar.shape)).astype(np.float32))
    optical_days = [day + timedelta(days=int(rng.integers(-15, 15))) for day in _SEASONS]
    radar_days = [day + timedelta(days=int(rng.integers(-6, 6))) for day in optical_days]
    return _Patch(
        np.stack(echoes),
        np.stack(scenes),
        [f'{day:%Y%m%d}' for day in radar_days],
        [f'{day:%Y%m%d}' for day in optical_days],
    )


def _filled(
    rng: np.random.Generator, images: NDArray[_Pixels], days: Sequence[str]
) -> tuple[NDArray[_Pixels], list[str]]:
    """Take some of the dates away and repeat others in their place, as the published converter did."""
    there = len(days) - int(rng.integers(2))
    again = rng.integers(there, size=len(days) - there)
    order = [*range(there), *again.tolist()]
    return images[order], [days[i] for i in order]


def _ocean_colour(
    rng: np.random.Generator, land: _Land, cell: Cell, divisor: int
) -> tuple[NDArray[np.float32], list[list[str]]]:
    """Paint Sentinel-3, `[T, 21, H, W]` in counts, at the dates of one year."""
    modality = MODALITIES['s3_olci']
    size = side_px('s3_olci', divisor)
    place = Place(cell.longitude, cell.latitude)
    town, height = land.on(land.town, size), land.on(land.height_m, size)
    wet = height == 0
    trees = np.clip(0.5 + 0.3 * smooth_field(rng, size, size / 8), 0, 1)
    images, days = [], []
    for day in sorted(rng.choice(np.arange(20, 340, 5), modality.dates, replace=False).tolist()):
        time, sun = overpass(place, day, 2021, rng)
        late = np.cos(2 * np.pi * (day - 195) / 365) * (1 if cell.latitude > 0 else -1)
        green = (1 - trees) * (0.6 + 0.4 * late)
        covers = {
            'water': wet * 1.0,
            'built': ~wet * town,
            'forest': ~wet * (1 - town) * trees,
            'crop': ~wet * (1 - town) * green,
            'soil': ~wet * (1 - town) * np.clip(1 - trees - green, 0, 1) + 1e-6,
        }
        sky = Sky(sun, haze=rng.uniform(0.05, 0.35), vapour=rng.uniform(0.6, 1.5))
        images.append(to_counts(radiance(mix(covers), sky), rng))
        days.append(f'{time:%Y%m%d}')
    # One of the images ends within the cell.
    images[1][:, swath_edge(rng, size)] = np.nan
    found, filled = _filled(rng, np.stack(images), days)
    return found, [filled]


def _column(
    rng: np.random.Generator, land: _Land, name: ModalityName, divisor: int
) -> tuple[NDArray[np.float32], list[list[str]]]:
    """Paint a gas, `[T, 1, H, W]` in mol/m2, month by month."""
    size = side_px(name, divisor)
    clean, smog, spread = _COLUMNS[name]
    town = land.on(land.town, size)
    months = range(1, MODALITIES[name].dates + 1)
    images = [
        clean
        + spread * np.cos(2 * np.pi * (month - 1) / 12)
        + smog * town
        + spread * 0.5 * smooth_field(rng, size, size / 2)
        for month in months
    ]
    found = np.stack(images)[:, None].astype(np.float32)
    filled, days = _filled(rng, found, [f'2021{month:02d}01' for month in months])
    return filled, [days]
