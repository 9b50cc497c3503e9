"""Make a look-alike of DFC2020-S1 and -S2: one land seen by both sensors, and its cover per pixel.

The mask is exact: it is the map of zones that was painted.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.dfc2020 import (
    DFC2020_S1,
    DFC2020_S2,
    CopernicusBenchDFC2020S1,
    CopernicusBenchDFC2020S2,
)
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    NOWHERE,
    SPLIT_CYCLE,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.land import Covers, join, mosaic, sample_rng, zones
from torchgeo_copernicus.datasets.lookalike.landuse import (
    LAND_USES,
    Painter,
    pure,
    savanna,
    shrubs,
    wetland,
)
from torchgeo_copernicus.datasets.lookalike.radar import backscatter, speckle, to_db
from torchgeo_copernicus.datasets.lookalike.spectra import mix, relight, to_dn
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade, smooth_field

#: Codes of what no metric counts.
BACKGROUND, SAVANNA, SNOW = DFC2020_S2.ignored_codes
#: Code of each class.
CODES = dict(zip(DFC2020_S2.classes, DFC2020_S2.codes, strict=True))

_S1_BANDS, _S2_BANDS = DFC2020_S1.stored_bands, DFC2020_S2.stored_bands
_SWIR = [_S2_BANDS.index(band) for band in ('B11', 'B12')]


def _grassland(rng: np.random.Generator, size: int) -> Covers:
    return mosaic(rng, size, {'grass': 1.4, 'dry_grass': 0.7, 'soil': 0.1}, 15)


def _barren(rng: np.random.Generator, size: int) -> Covers:
    return mosaic(rng, size, {'soil': 0.8, 'sand': 1.0, 'road': 0.3}, 15)


_PAINTERS: dict[int, Painter] = {
    SAVANNA: savanna,
    SNOW: pure('snow'),
    CODES['Forest']: LAND_USES['Forest'],
    CODES['Shrubland']: shrubs,
    CODES['Grassland']: _grassland,
    CODES['Wetlands']: wetland,
    CODES['Croplands']: LAND_USES['AnnualCrop'],
    CODES['Urban/Built-up']: LAND_USES['Residential'],
    CODES['Barren']: _barren,
    CODES['Water']: pure('water'),
}
# Every tile has the four, and one of the pairs: two tiles have all classes.
_PAIRS = (('Shrubland', 'Grassland'), ('Wetlands', 'Barren'))
_ALWAYS = ('Forest', 'Croplands', 'Urban/Built-up', 'Water')


def _codes(index: int) -> list[int]:
    """Choose the zones of a tile."""
    names = (*_ALWAYS, *_PAIRS[index % len(_PAIRS)])
    return [CODES[name] for name in names] + [[], [SAVANNA], [SNOW]][index % 3]


def paint_tile(
    rng: np.random.Generator, size: int, index: int
) -> tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint8]]:
    """Paint a tile: dB `[2, H, W]`, digital numbers `[13, H, W]`, and the mask `[H, W]`."""
    codes = _codes(index)
    parts = 0.04 + (1 - 0.04 * len(codes)) * rng.dirichlet([2.0] * len(codes))
    number = zones(rng, size, list(parts), size / 5)
    mask = np.array(codes, dtype=np.uint8)[number]
    covers = join(number, [_PAINTERS[code](rng, size) for code in codes])

    echo = backscatter(covers, _S1_BANDS, rng, rng.uniform(0.02, 0.2))
    radar = to_db(speckle(echo, rng))

    # Snow is as bright as a cloud, but dark in short-wave infrared.
    snow = covers.pop('snow', np.zeros((size, size)))
    image = mix({**covers, 'cloud': snow}, _S2_BANDS)
    image[_SWIR] *= 1 - 0.75 * snow
    light = hillshade(rng, size, 40, rng.uniform(0.02, 0.1), rng.uniform(2.2, 2.9))
    grain = 0.05 * smooth_field(rng, size, 2, 1.5) + rng.normal(0, 0.08)
    optical = to_dn(relight(image, np.clip(light + grain, 0.5, 1.5), _S2_BANDS), _S2_BANDS, rng)

    if index % 3 == 0:  # some of the map was never labelled
        field = smooth_field(rng, size, size / 3, 3.0)
        mask[field > np.quantile(field, rng.uniform(0.94, 0.98))] = BACKGROUND
    return radar, optical, mask


def make_dfc2020(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `dfc2020_s1s2/` as it lies in the real archive, 60/20/20 in the splits.

    Args:
        directory: Existing folder to write into.
        n: Number of tiles, each with an image of both sensors; from 4 on, train has every class.
        seed: Seed, not negative; tile i depends on the seed, i and the size only.
        size: Side of a tile in pixels of 10 m.

    Returns:
        The folder `<directory>/dfc2020_s1s2`.

    Raises:
        ValueError: If there are fewer tiles than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'dfc2020_s1s2 needs n >= 3 tiles, one per split, got n={n}')
    root = Path(directory) / DFC2020_S2.folder
    root.mkdir()
    s1, s2 = CopernicusBenchDFC2020S1.images, CopernicusBenchDFC2020S2.images
    for folder in (s1, s2, 'dfc'):
        (root / folder).mkdir()
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        radar, optical, mask = paint_tile(sample_rng(seed, index), size, index)
        name = f'ROIs0000_test_dfc_0_p{index}.tif'
        write_geotiff(root / s1 / name.replace('dfc', s1), radar, NOWHERE, _S1_BANDS)
        write_geotiff(root / s2 / name.replace('dfc', s2), optical, NOWHERE, _S2_BANDS)
        write_geotiff(root / 'dfc' / name, mask, NOWHERE)
        splits[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append(name)
    for split, names in splits.items():
        write_list(root / DFC2020_S2.split_file.format(split), names)
    return root
