"""Make a look-alike of the air quality archive: columns seen by Sentinel-5P, and air at the ground.

Towns make nitrogen dioxide, which stays low and near them; ozone is a smooth layer far above, and
at the ground there is more of it in the south and on mountains, and less in towns.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from torchgeo_copernicus.datasets.bench.air_quality import AQ_NO2_S5P, AQ_O3_S5P
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    EUROPE,
    SPLIT_CYCLE,
    Place,
    grid_around,
    random_place,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.terrain import smooth_field

_PIXEL_M = 1000.0
_LAEA_EUROPE = CRS.from_epsg(3035)
_ANNUAL = '2021-01-01_2021-12-31.tif'
_SEASONS = (
    '2021-01-01_2021-04-01.tif',
    '2021-04-01_2021-07-01.tif',
    '2021-07-01_2021-10-01.tif',
    '2021-10-01_2021-12-31.tif',
)
# What stands in the label where nothing was measured, in turns.
_MISSING = -np.inf, 1e38


@dataclass(frozen=True)
class _World:
    """What decides about the air of a place, `[H, W]` each.

    Attributes:
        lat: Latitude in degrees.
        height: Height in km.
        town: How much of a town each pixel is, about 0..1.
        smog: The same, carried off by the wind.
        unknown: Where no label is: the sea, or another country.
    """

    lat: float
    height: NDArray[np.float64]
    town: NDArray[np.float64]
    smog: NDArray[np.float64]
    unknown: NDArray[np.bool_]


def _world(rng: np.random.Generator, size: int, index: int, place: Place) -> _World:
    unknown = np.zeros((size, size), dtype=np.bool_)
    if index % 3:
        # A coast winds, a border is nearly straight.
        y, x = np.mgrid[:size, :size] / size
        side = np.cos(angle := rng.uniform(0, 2 * np.pi)) * x + np.sin(angle) * y
        side += (0.2 if index % 3 == 1 else 0.02) * smooth_field(rng, size, 8)
        unknown = side > np.quantile(side, rng.uniform(0.6, 0.85))
    height = np.clip(rng.uniform(0.1, 0.7) * (0.5 + smooth_field(rng, size, size / 5)), 0, None)
    town, smog = np.zeros((size, size)), np.zeros((size, size))
    y, x = np.mgrid[:size, :size]
    for _ in range(rng.integers(3, 8)):
        row, column = rng.uniform(0, size, 2)
        strength, width = rng.lognormal(-1.0, 0.6), rng.uniform(1.5, 3.0)
        squared = (y - row) ** 2 + (x - column) ** 2
        town += strength * np.exp(-squared / (2 * width**2))
        smog += strength * np.exp(-np.sqrt(squared + 9) / (2 * width))
    sea = index % 3 == 1
    height, town = (np.where(unknown & sea, 0, field) for field in (height, town))
    return _World(place.lat, height, np.minimum(town, 1.5), smog, unknown)


def _no2(
    rng: np.random.Generator, world: _World
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column (mol m-2) and annual mean at the ground (ug m-3), `[H, W]` each."""
    region = rng.lognormal(0.0, 0.5)
    size = len(world.town)
    background = region * np.exp(-0.8 * world.height) * (1 + 0.08 * smooth_field(rng, size, 10))
    column = 1.2e-5 + 2.4e-5 * background + 1e-4 * world.smog
    ground = 5 * background + 16 * world.smog * np.exp(-0.8 * world.height) + 14 * world.town
    return column, ground * (1 + 0.03 * smooth_field(rng, size, 3))


def _o3(rng: np.random.Generator, world: _World) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column (mol m-2) and SOMO35 at the ground (ug m-3 day), `[H, W]` each."""
    size = len(world.town)
    north = world.lat - 47 - np.linspace(0, size * _PIXEL_M / 111_000, size)[:, None]
    column = 0.149 + 8e-4 * north - 1.5e-3 * world.height + 4e-4 * smooth_field(rng, size, 25, 3)
    ground = 4700 - 420 * north + 3200 * (world.height - 0.3) - 2500 * np.sqrt(world.smog / 2)
    return column, np.clip(ground + 200 * smooth_field(rng, size, 8), 100, None)


# Task, formula, and column of each season relative to that of the year: the sun breaks NO2 up, and
# there is most O3 in spring.
_POLLUTANTS = (
    (AQ_NO2_S5P, _no2, (1.25, 0.85, 0.75, 1.15)),
    (AQ_O3_S5P, _o3, (1.02, 1.05, 0.98, 0.95)),
)


def make_air_quality(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `airquality_s5p/` as it lies in the real archive, 60/20/20 in train, val and test.

    Both pollutants have the same places. The first is 1 px smaller and the second lacks a season,
    as some of the real ones do; every fourth place has gaps in its images, and two in three have a
    coast or a border where the label ends.

    Args:
        directory: Existing folder to write into.
        n: Number of places.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of an image and a label in pixels of 1 km.

    Returns:
        The folder `<directory>/airquality_s5p`.

    Raises:
        ValueError: If there are fewer places than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'airquality_s5p needs n >= 3 places, one per split, got n={n}')
    root = Path(directory) / AQ_NO2_S5P.folder
    root.mkdir()
    for task, _, _ in _POLLUTANTS:
        (root / task.split_file).parent.mkdir()
        ((root / task.split_file).parent / 'label_annual').mkdir()
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        place, side = random_place(rng, EUROPE), size - 1 if index == 0 else size
        name = f'{index:05d}_{place.lon:.2f}_{place.lat:.2f}'
        grid = grid_around(place, side, _PIXEL_M, _LAEA_EUROPE)
        world = _world(rng, side, index, place)
        for task, formula, factors in _POLLUTANTS:
            folder = (root / task.split_file).parent
            column, ground = formula(rng, world)
            label = np.where(world.unknown, _MISSING[index % 2], ground).astype(np.float32)
            write_geotiff(folder / 'label_annual' / f'{name}.tif', label, grid)
            noise = 0.06 * column.std() * rng.standard_normal((len(factors), side, side))
            seasons = column * np.array(factors)[:, None, None] + noise
            if index % 4 == 2:
                seasons[:, smooth_field(rng, side, 2) > 2] = np.nan
            means = {
                f's5p_seasonal/{name}/{file}': s for file, s in zip(_SEASONS, seasons, strict=True)
            }
            if index == 1:
                del means[f's5p_seasonal/{name}/{_SEASONS[2]}']
            means[f's5p_annual/{name}/{_ANNUAL}'] = seasons.mean(axis=0)
            for path, mean in means.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                write_geotiff(folder / path, mean.astype(np.float32), grid, task.stored_bands)
        splits[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append(name)
    for task, _, _ in _POLLUTANTS:
        for split, names in splits.items():
            write_list(root / task.split_file.format(split), names)
    return root
