"""Make a look-alike of EuroSAT-S2: small Sentinel-2 chips of ten land uses.

The files store B8A last, as the real ones do; most other places have it after B08.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.eurosat_s2 import EUROSAT_S2
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    EUROPE,
    SPLIT_CYCLE,
    random_place,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.spectra import mix, overlay, relight, spectrum, to_dn
from torchgeo_copernicus.datasets.lookalike.terrain import (
    hillshade,
    parcels,
    ribbon,
    shares,
    smooth_field,
)

#: Band order of the files.
BANDS = EUROSAT_S2.stored_bands

_Covers = dict[str, NDArray[np.float64]]


def _patchwork(
    rng: np.random.Generator, size: int, odds: dict[str, float], length_px: float, width_px: float
) -> tuple[_Covers, NDArray[np.float64]]:
    """Give each parcel its own covers, drawn by the odds; also distances to borders in pixels."""
    number, edge = parcels(rng, size, length_px, width_px)
    drawn = rng.dirichlet(list(odds.values()), int(number.max()) + 1)
    return {cover: drawn[number, i] for i, cover in enumerate(odds)}, edge


def _annual_crop(rng: np.random.Generator, size: int) -> _Covers:
    green = rng.uniform(0.2, 0.8)
    return _patchwork(rng, size, {'crop': green, 'soil': 1 - green, 'dry_grass': 0.1}, 45, 26)[0]


def _forest(rng: np.random.Generator, size: int) -> _Covers:
    return shares(rng, size, ('forest', 'conifer'), 5, rng.uniform(0.3, 1.5))


def _herbaceous_vegetation(rng: np.random.Generator, size: int) -> _Covers:
    odds = {'dry_grass': 2.5, 'grass': rng.uniform(0.3, 1.5), 'soil': 0.5, 'forest': 0.4}
    wild = shares(rng, size, list(odds), 5, 1.2)
    return {cover: odds[cover] * share for cover, share in wild.items()}


def _highway(rng: np.random.Generator, size: int) -> _Covers:
    odds = {'crop': 0.4, 'grass': 0.5, 'soil': 0.4, 'forest': 0.3, 'built': 0.1}
    road = {'road': ribbon(rng, size, rng.uniform(2.5, 5), 3)}
    return overlay(road, _patchwork(rng, size, odds, 26, 16)[0])


def _industrial(rng: np.random.Generator, size: int) -> _Covers:
    odds = {'roof': 0.35, 'built': 0.5, 'road': 0.4, 'grass': 0.15}
    halls, edge = _patchwork(rng, size, odds, 15, 10)
    return overlay({'road': 0.8 * np.clip(2 - edge, 0, 1)}, halls)


def _pasture(rng: np.random.Generator, size: int) -> _Covers:
    meadows, edge = _patchwork(rng, size, {'grass': 3, 'crop': 1.2, 'dry_grass': 0.1}, 60, 40)
    hedges = np.clip(1.8 - edge, 0, 1) * (smooth_field(rng, size, 8) > -0.3)
    return overlay({'forest': hedges}, meadows)


def _permanent_crop(rng: np.random.Generator, size: int) -> _Covers:
    orchards, _ = _patchwork(rng, size, {'soil': 2, 'dry_grass': 1.5, 'crop': 0.5}, 24, 14)
    rows, _ = _patchwork(rng, size, {'forest': 0.8, 'soil': 1}, 3 * size, 2.2)
    return overlay({cover: 0.35 * share for cover, share in rows.items()}, orchards)


def _residential(rng: np.random.Generator, size: int) -> _Covers:
    odds = {'built': 0.4, 'roof': 0.08, 'grass': 0.35, 'forest': 0.3}
    gardens, _ = _patchwork(rng, size, odds, 3, 2.5)
    street = np.clip(1.3 - parcels(rng, size, 22, 9)[1], 0, 1)
    return overlay({'road': 0.7 * street}, gardens)


def _river(rng: np.random.Generator, size: int) -> _Covers:
    woods = {'forest': 0.5 * shares(rng, size, ('forest', 'grass'), 10, 2)['forest']}
    odds = {'crop': 0.5, 'grass': 0.5, 'soil': 0.3, 'forest': 0.4}
    valley = overlay(woods, _patchwork(rng, size, odds, 24, 14)[0])
    return overlay({'water': ribbon(rng, size, rng.uniform(9, 20), rng.uniform(5, 10))}, valley)


def _sea_lake(rng: np.random.Generator, size: int) -> _Covers:
    # Sediment makes the water brighter; most lakes have little.
    sediment = 0.08 * rng.random() ** 3 * (1 + 0.1 * smooth_field(rng, size, 20))
    return {'sand': np.clip(sediment, 0, 1), 'water': np.ones((size, size))}


_PAINTERS: dict[str, Callable[[np.random.Generator, int], _Covers]] = {
    'AnnualCrop': _annual_crop,
    'Forest': _forest,
    'HerbaceousVegetation': _herbaceous_vegetation,
    'Highway': _highway,
    'Industrial': _industrial,
    'Pasture': _pasture,
    'PermanentCrop': _permanent_crop,
    'Residential': _residential,
    'River': _river,
    'SeaLake': _sea_lake,
}
#: Class names in alphabetical order; the index is the label.
CLASSES = EUROSAT_S2.classes


def _chip(rng: np.random.Generator, size: int, label: str) -> NDArray[np.uint16]:
    """Paint one chip of a class under its own air and sun, `[B, H, W]`."""
    image = mix(_PAINTERS[label](rng, size), BANDS)
    light = hillshade(rng, size, 30, rng.uniform(0, 0.06), rng.uniform(2.2, 2.9))
    grain = 0.04 * smooth_field(rng, size, 1.5, 1.5) + rng.normal(0, 0.12)
    image = relight(image, np.clip(light + grain, 0.5, 1.5), BANDS)
    image += rng.uniform(-0.15, 0.2) * spectrum('path', BANDS)[:, None, None]  # haze
    image[BANDS.index('B09')] *= rng.uniform(0.6, 1.4)  # water vapour
    return to_dn(image, BANDS, rng)


def make_eurosat_s2(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `eurosat_s2/` as it lies in the real archive, each class 60/20/20 in the splits.

    Args:
        directory: Existing folder to write into.
        n: Number of chips in all.
        seed: Seed, not negative; a chip depends on the seed, its class, number and size only.
        size: Side of a chip in pixels of 10 m.

    Returns:
        The folder `<directory>/eurosat_s2`.

    Raises:
        ValueError: If there are fewer chips than one per class and split.
        FileExistsError: If the folder is there already.
    """
    if n < 3 * len(CLASSES):
        raise ValueError(f'eurosat_s2 needs n >= 30 chips, 10 classes x 3 splits, got n={n}')
    root = Path(directory) / 'eurosat_s2'
    root.mkdir()
    for label in CLASSES:
        (root / 'all_imgs' / label).mkdir(parents=True)
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        number, label = index // len(CLASSES), CLASSES[index % len(CLASSES)]
        name = f'{label}_{number + 1}'
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        path = root / 'all_imgs' / label / f'{name}.tif'
        write_geotiff(path, _chip(rng, size, label), random_place(rng, EUROPE), BANDS)
        splits[SPLIT_CYCLE[number % len(SPLIT_CYCLE)]].append(f'{name}.jpg')
    for split, names in splits.items():
        write_list(root / f'eurosat-{split}.txt', names)
    return root
