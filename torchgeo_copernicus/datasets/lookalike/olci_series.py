"""Photograph a place with Sentinel-3 at one to four dates of a year, as LC100 and Biomass have it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.geotiff import Place, grid_around, write_geotiff
from torchgeo_copernicus.datasets.lookalike.olci import (
    PIXEL_DEG,
    WGS84,
    Sky,
    mix,
    overpass,
    radiance,
    swath_edge,
    to_counts,
)
from torchgeo_copernicus.datasets.lookalike.spectra import Shares
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade, smooth_field
from torchgeo_copernicus.sensors import S3_OLCI

# Number of images of successive places, over and over; the same for every seed.
_DATES = (2, 4, 1, 3)
# What each cover is in the season without leaves.
_BARE = {'forest': 'twigs', 'larch': 'twigs', 'grass': 'dry_grass', 'crop': 'soil'}


def place_name(index: int, place: Place) -> str:
    """Name a place by its number, longitude and latitude (degrees)."""
    return f'{index:05d}_{place.lon:.2f}_{place.lat:.2f}'


def smaller_place(index: int, size: int) -> int:
    """Return the side of a place's images (px of 300 m): 2 less for the first, as some have."""
    return size - 2 if index == 0 else size


def _in_season(covers: Shares, place: Place, day: int) -> dict[str, NDArray[np.float64]]:
    """Take off leaves: all but a tenth in winter from 45 degrees on, none at the equator."""
    late = np.cos(2 * np.pi * (day - 195) / 365) * (1 if place.lat > 0 else -1)
    lost = 0.9 * min(abs(place.lat) / 45, 1) * (0.5 - 0.5 * late)
    now = {cover: share * (1 - lost if cover in _BARE else 1) for cover, share in covers.items()}
    for cover, bare in _BARE.items():
        if cover in covers:
            now[bare] = now.get(bare, 0) + lost * covers[cover]
    return now


def write_series(
    folder: Path, index: int, place: Place, covers: Shares, rng: np.random.Generator
) -> list[str]:
    """Photograph a place with OLCI at one to four dates of 2019; some images end at a swath's edge.

    Args:
        folder: Folder to make.
        index: Number of the place, which decides how many dates there are.
        place: Centre of the images.
        covers: Shares of the covers in full leaf on a grid of 100 m, `[3 * H, 3 * H]`.
        rng: Source of dates, relief, air and noise.

    Returns:
        Names of the files by date. Of every other place the satellites alternate, B first, so that
        the alphabetical order is another.
    """
    folder.mkdir(parents=True)
    size = len(next(iter(covers.values()))) // 3
    coarse = {
        cover: share.reshape(size, 3, size, 3).mean(axis=(1, 3)) for cover, share in covers.items()
    }
    sun_rad = np.deg2rad(140 if place.lat > 0 else 40)
    light = hillshade(rng, size, 12, rng.uniform(0.01, 0.08), sun_rad)
    light *= 1 + 0.03 * smooth_field(rng, size, 2, 1.5)
    # Not in the darkest months.
    count = _DATES[index % len(_DATES)]
    days = np.sort(rng.choice(np.arange(60, 300, 20), count, replace=False))
    days += rng.integers(15, size=count)
    names = []
    for number, day in enumerate(map(int, days)):
        time, sun = overpass(place, day, 2019, rng)
        sky = Sky(sun, haze=rng.uniform(0.05, 0.35), vapour=rng.uniform(0.6, 1.5))
        image = to_counts(radiance(mix(_in_season(coarse, place, day)), sky, light), rng)
        if number == 0 and index % len(_DATES) > 1:
            image[:, swath_edge(rng, size)] = np.nan
        satellite = 'BA'[number % 2] if index % 2 else 'A'
        names.append(f'S3{satellite}_{time:%Y%m%dT%H%M%S}.tif')
        grid = grid_around(place, size, PIXEL_DEG, WGS84)
        write_geotiff(folder / names[-1], image, grid, S3_OLCI.band_names)
    return names
