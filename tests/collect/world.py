"""Scenes of all products around one place, for a stand-in of Earth Engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from tests.collect.fake_earth_engine import FakeEarthEngine, Pixels, Scene
from torchgeo_copernicus.collect.place import Place
from torchgeo_copernicus.collect.products import product_of
from torchgeo_copernicus.collect.seasons import SEASON_DATES

#: South of the equator, where the lattice of tiles is not a multiple of 60 m from the false northing's zero.
PLACE = Place(865831, 174.55, -38.95)
#: UTM zone 60, as Sentinel-2 has its tiles.
TILE_CRS, TILE = 'EPSG:32760', Affine(10, 0, 199_980, 0, -10, 5_700_040)
AROUND = (173.0, -40.0, 176.5, -37.5)


def tile_pixels(size: int, band: int) -> Pixels:
    """Return pixels of a band whose own pixels are *size* times as large: all of one have one value."""

    def at(column: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 + (column // size * 131 + row // size * 17 + band * 1000) % 60_000

    return at


def constant(value: float) -> Pixels:
    return lambda column, row: np.full(column.shape, value)


def cut_off(value: float, column_from: float) -> Pixels:
    """Return pixels that are masked in the west."""
    return lambda column, row: np.where(column < column_from, np.nan, value)


SIZES = {'B1': 6, 'B9': 6, 'B10': 6, 'B2': 1, 'B3': 1, 'B4': 1, 'B8': 1}


def s2_scene(day: date, tile: str = 'T60HTB', **changes: object) -> Scene:
    stamp = day.strftime('%Y%m%dT221611')
    bands = {
        name: tile_pixels(SIZES.get(name, 2), number)
        for number, name in enumerate(product_of('s2_toa').bands)
    }
    values: dict[str, object] = {
        'crs': TILE_CRS,
        'transform': TILE,
        'footprint': AROUND,
        'properties': {'CLOUDY_PIXEL_PERCENTAGE': 5.0},
        **changes,
    }
    return Scene(f'{stamp}_{stamp}_{tile}', day, bands, **values)  # type: ignore[arg-type]


def s1_scene(day: date, mode: str = 'IW', bands: tuple[str, ...] = ('VV', 'VH')) -> Scene:
    stamp = day.strftime('%Y%m%dT170000')
    return Scene(
        f'S1A_{mode}_GRDH_1SDV_{stamp}_{stamp}_030639_0382F1_ABCD',
        day,
        {band: constant(-10.0 - number) for number, band in enumerate(bands)},
        TILE_CRS,
        Affine(10, 0, 199_983, 0, -10, 5_700_037),
        AROUND,
        {'instrumentMode': mode, 'transmitterReceiverPolarisation': list(bands)},
    )


def s3_scene(day: date, bright: float = 5.0, pixels: Callable[[int], Pixels] = constant) -> Scene:
    stamp = day.strftime('%Y%m%dT215500')
    bands = {name: pixels(100 + number) for number, name in enumerate(product_of('s3_olci').bands)}
    return Scene(
        f'S3A_{stamp}_{stamp}',
        day,
        bands,
        footprint=(170.0, -42.0, 179.0, -35.0),
        properties={'brightPixelsPercent': bright},
    )


def s5p_scene(day: date, modality: str, pixels: Pixels) -> Scene:
    band = product_of(modality).bands[0]  # type: ignore[arg-type]
    return Scene(f'{day:%Y%m%d}T000000', day, {band: pixels})


def world() -> FakeEarthEngine:
    """Return a client with images of all eight modalities around the place."""
    days = [day + timedelta(days=3) for day in SEASON_DATES]
    scenes = {
        'COPERNICUS/S2_HARMONIZED': [s2_scene(day) for day in days],
        'COPERNICUS/S1_GRD': [s1_scene(day) for day in days],
        'COPERNICUS/S3/OLCI': [
            s3_scene(date(2021, 1, 1) + timedelta(days=11 * k)) for k in range(20)
        ],
        'COPERNICUS/DEM/GLO30': [
            Scene('tile', date(2015, 1, 1), {'DEM': tile_pixels(1, 0)}, footprint=AROUND)
        ],
    }
    for gas, modality in (
        ('CO', 's5p_co'),
        ('NO2', 's5p_no2'),
        ('O3', 's5p_o3'),
        ('SO2', 's5p_so2'),
    ):
        scenes[f'COPERNICUS/S5P/OFFL/L3_{gas}'] = [
            s5p_scene(date(2021, month, day), modality, constant(0.01 * month + 0.001 * day))
            for month in range(1, 13)
            for day in (1, 28)
        ]
    return FakeEarthEngine(scenes)
