"""Make a look-alike of LC100: Sentinel-3 images over a year, and land cover as a map and as a set.

Each class is painted as the mixture of covers it stands for; leaves fall with the seasons. One
archive serves both tasks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.lc100 import LC100CLS_S3, LC100SEG_S3
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    EUROPE,
    SPLIT_CYCLE,
    grid_around,
    random_place,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.olci import PIXEL_DEG, WGS84
from torchgeo_copernicus.datasets.lookalike.olci_series import (
    place_name,
    smaller_place,
    write_series,
)
from torchgeo_copernicus.datasets.lookalike.terrain import parcels, ribbon, smooth_field

#: Code of each class -> covers in full leaf and their shares. Fields are `crop` or `soil` one by
#: one, and pixels of the first code, `Unknown`, look like what lies below.
COVERS_OF: dict[int, dict[str, float]] = {
    0: {},
    20: {'shrub': 0.75, 'soil': 0.25},
    30: {'grass': 0.85, 'soil': 0.15},
    40: {'crop': 0.5, 'soil': 0.5},
    50: {'built': 0.8, 'grass': 0.2},
    60: {'sand': 0.75, 'soil': 0.25},
    70: {'snow': 1.0},
    80: {'water': 1.0},
    90: {'water': 0.4, 'grass': 0.6},
    100: {'lichen': 0.85, 'shrub': 0.15},
    111: {'conifer': 1.0},
    112: {'rainforest': 1.0},
    113: {'larch': 1.0},
    114: {'forest': 1.0},
    115: {'conifer': 0.5, 'forest': 0.5},
    116: {'rainforest': 0.5, 'shrub': 0.5},
    200: {'ocean': 1.0},
}
# Open forest is a third closed forest of the same trees, the rest grass.
COVERS_OF |= {
    code + 10: {'grass': 0.65} | {cover: 0.35 * share for cover, share in COVERS_OF[code].items()}
    for code in range(111, 117)
}
_CODE = dict(zip(LC100SEG_S3.classes, LC100SEG_S3.codes, strict=True))
_UNKNOWN, _CROPLAND, _BUILT = _CODE['Unknown'], _CODE['Cropland'], _CODE['Built-up']
_SNOW, _WATER, _OCEAN = _CODE['Snow and ice'], _CODE['Permanent water'], _CODE['Ocean']

#: Share of a map that a class must have to be among the labels of the place.
LABEL_FROM = 0.01

# Boxes where places lie and codes of their classes, the commonest first; over and over.
_REGIONS: tuple[tuple[Sequence[tuple[float, float, float, float]], tuple[int, ...]], ...] = (
    (EUROPE, (40, 114, 30, 115, 50, 80, 124, 125)),
    (((60.0, 59.0, 88.0, 63.0), (26.0, 61.0, 30.0, 64.0)), (111, 90, 121, 115, 80, 30)),
    (((14.0, -4.0, 27.0, 4.0), (-66.0, -9.0, -54.0, -3.0)), (112, 122, 80, 40, 116, 0)),
    (((15.0, -16.0, 28.0, -9.0),), (124, 20, 30, 126, 114, 40, 50)),
    (((3.0, 21.0, 22.0, 27.0), (119.0, -27.0, 128.0, -23.0)), (60, 20, 30)),
    (((-9.0, 38.0, -8.7, 42.0), (172.0, -42.0, 173.0, -41.0)), (200, 40, 126, 116, 50, 20)),
    (((7.0, 46.0, 12.0, 47.2), (77.0, 31.5, 80.0, 33.0)), (60, 70, 30, 111, 100, 115, 80)),
    (((112.0, 62.0, 126.0, 64.0),), (113, 123, 100, 90, 80, 60)),
)


def _map(rng: np.random.Generator, side: int, codes: Sequence[int]) -> NDArray[np.uint8]:
    """Draw a map of codes, `[H, W]`: patches of land, then water and towns."""
    patches = [code for code in codes if code not in (_UNKNOWN, _BUILT, _WATER, _OCEAN)]
    # Patches have ragged borders; the commoner a class, the higher it starts.
    fields = [smooth_field(rng, side, side / 10, 1.9) - 0.3 * rank for rank in range(len(patches))]
    drawn: NDArray[np.uint8] = np.array(patches, dtype=np.uint8)[np.argmax(fields, axis=0)]
    if _BUILT in codes:
        drawn[smooth_field(rng, side, 8) > 1.8] = _BUILT
    if _WATER in codes:
        lakes = smooth_field(rng, side, 12) > 2.2
        drawn[lakes | (ribbon(rng, side, rng.uniform(4, 9), 20) > 0.5)] = _WATER
    if _OCEAN in codes:
        sea = smooth_field(rng, side, side / 2, 3)
        drawn[sea > np.quantile(sea, rng.uniform(0.4, 0.7))] = _OCEAN
    return drawn


def _covers(rng: np.random.Generator, codes: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Share of each cover on the grid of a map, `[H, W]`."""
    side = len(codes)
    covers: dict[str, NDArray[np.float64]] = {}
    for code in map(int, np.unique(codes)):
        for cover, share in COVERS_OF[code].items():
            here = share * (codes == code)
            covers[cover] = covers[cover] + here if cover in covers else here
    # Nothing is as even as its class: plants are thinner here than there.
    thin = np.clip(0.1 + 0.1 * smooth_field(rng, side, 6, 1.5), 0, 0.4)
    land = ~np.isin(codes, (_SNOW, _WATER, _OCEAN))
    covers = {cover: share * np.where(land, 1 - thin, 1) for cover, share in covers.items()}
    covers['soil'] = covers.get('soil', np.zeros((side, side))) + thin * land
    if _CROPLAND in codes:
        number, _ = parcels(rng, side, 20, 12)
        green = rng.beta(0.6, 0.6, int(number.max()) + 1)[number]
        farm = codes == _CROPLAND
        covers['crop'], covers['soil'] = (
            np.where(farm, green, covers['crop']),
            np.where(farm, 1 - green, covers['soil']),
        )
    return covers


def make_lc100(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `lc100_s3/` as it lies in the real archive, 60/20/20 in train, val and test.

    The first place is 2 px smaller, as some of the real ones are. The lists of labels and of images
    name the places in different orders.

    Args:
        directory: Existing folder to write into.
        n: Number of places.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of an image in pixels of 300 m; the map has three times as many, of 100 m.

    Returns:
        The folder `<directory>/lc100_s3`.

    Raises:
        ValueError: If there are fewer places than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'lc100_s3 needs n >= 3 places, one per split, got n={n}')
    root = Path(directory) / LC100SEG_S3.folder
    root.mkdir()
    (root / 'lc100').mkdir()
    chosen: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    labels: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        boxes, codes = _REGIONS[index % len(_REGIONS)]
        place = random_place(rng, boxes)
        name, side = place_name(index, place), 3 * smaller_place(index, size)
        stored = _map(rng, side, codes)
        covers = _covers(rng, stored)
        if _UNKNOWN in codes:
            stored[smooth_field(rng, side, 10) > 1.8] = _UNKNOWN
        files = write_series(root / 's3_olci' / name, index, place, covers, rng)
        grid = grid_around(place, side, PIXEL_DEG / 3, WGS84, step=PIXEL_DEG)
        write_geotiff(root / 'lc100' / f'{name}.tif', stored, grid)
        split = SPLIT_CYCLE[index % len(SPLIT_CYCLE)]
        chosen[split].append(f'{name},{files[int(rng.integers(len(files)))]}')
        present = [int((stored == code).mean() >= LABEL_FROM) for code in LC100SEG_S3.codes]
        labels[split].append(','.join([name, *map(str, present)]))
    header = ','.join(['PID', *map(str, LC100SEG_S3.codes)])
    for split, rows in chosen.items():
        write_list(root / LC100SEG_S3.split_file.format(split), rows)
        write_list(root / LC100CLS_S3.split_file.format(split), [header, *labels[split][::-1]])
    return root
