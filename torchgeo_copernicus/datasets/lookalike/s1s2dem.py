"""Make places seen by Sentinel-1, Sentinel-2 and an elevation model, with their land cover per pixel.

The layout is one that TerraTorch's `GenericMultiModalDataModule` reads: a folder for each modality.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.dfc2020 import CODES, SAVANNA, SNOW, paint_tile
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    SPLIT_CYCLE,
    grid_around,
    random_place,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.land import sample_rng
from torchgeo_copernicus.datasets.lookalike.terrain import smooth_field
from torchgeo_copernicus.metadata import days_since_epoch
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

#: Land cover classes by code; 0 is not labelled.
CLASSES = (
    'Unknown',
    'Water',
    'Trees',
    'Flooded vegetation',
    'Crops',
    'Built area',
    'Bare ground',
    'Snow or ice',
    'Clouds',
    'Rangeland',
)
_COVER = {
    CODES['Forest']: 'Trees',
    CODES['Shrubland']: 'Rangeland',
    CODES['Grassland']: 'Rangeland',
    CODES['Wetlands']: 'Flooded vegetation',
    CODES['Croplands']: 'Crops',
    CODES['Urban/Built-up']: 'Built area',
    CODES['Barren']: 'Bare ground',
    CODES['Water']: 'Water',
    SAVANNA: 'Rangeland',
    SNOW: 'Snow or ice',
}


def _elevation(
    rng: np.random.Generator, size: int, cover: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Draw heights (m) `[H, W]`: hills, with flat water below and snow on top."""
    height = rng.uniform(150, 600) + 40 * smooth_field(rng, size, size / 2, 3.0)
    height = np.where(cover == CLASSES.index('Snow or ice'), height + 900, height)
    water = cover == CLASSES.index('Water')
    return np.where(water, height.min() - 5, height).astype(np.float32)


def make_s1s2dem(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `s1s2dem/{S1,S2,DEM,LULC}/<place>.tif`, lists of the splits (60/20/20) and `metadata.csv`.

    The table has a row for each place: longitude and latitude (deg), days since 1970-01-01, ground
    sampling distance (m).

    Args:
        directory: Existing folder to write into.
        n: Number of places.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of an image in pixels of 10 m.

    Returns:
        The folder `<directory>/s1s2dem`.

    Raises:
        ValueError: If there are fewer places than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f's1s2dem needs n >= 3 places, one per split, got n={n}')
    root = Path(directory) / 's1s2dem'
    root.mkdir()
    for folder in ('S1', 'S2', 'DEM', 'LULC'):
        (root / folder).mkdir()
    table = np.zeros(256, dtype=np.uint8)
    for code, name in _COVER.items():
        table[code] = CLASSES.index(name)
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    rows = ['place,longitude,latitude,days,gsd_m']
    for index in range(n):
        rng = sample_rng(seed, index)
        radar, optical, mask = paint_tile(rng, size, index)
        cover = table[mask]
        place = random_place(rng)
        grid = grid_around(place, size)
        name = f'place_{index:04d}'
        write_geotiff(root / 'S1' / f'{name}.tif', radar, grid, S1_GRD.band_names)
        write_geotiff(root / 'S2' / f'{name}.tif', optical, grid, S2_TOA.band_names)
        write_geotiff(root / 'DEM' / f'{name}.tif', _elevation(rng, size, cover), grid, ('DEM',))
        write_geotiff(root / 'LULC' / f'{name}.tif', cover, grid)
        days = days_since_epoch(f'2021-{int(rng.integers(1, 13)):02d}-15')
        rows.append(f'{name},{place.lon:.5f},{place.lat:.5f},{days:.0f},10')
        splits[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append(name)
    for split, names in splits.items():
        write_list(root / f'{split}.txt', names)
    write_list(root / 'metadata.csv', rows)
    return root
