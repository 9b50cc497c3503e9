"""Make a look-alike of Cloud-S2: Sentinel-2 scenes with clouds, and masks of them.

The mask is exact: it is read off the optical thickness that was painted.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.cloud_s2 import CLOUD_S2
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    SPLIT_CYCLE,
    Place,
    grid_around,
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
BANDS = CLOUD_S2.stored_bands

#: Codes of the mask.
CLEAR, THICK, THIN, SHADOW = 0, 1, 2, 3

# Share of the ground's light that a cloud must hide to be called thin or thick.
_THIN_FROM, _THICK_FROM = 0.1, 0.65


def _land(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Paint farmland, woods and wild land, a town, perhaps a river; reflectance `[B, H, W]`."""
    wild = rng.choice(['conifer', 'grass', 'dry_grass', 'sand'], 2, replace=False)
    covers = shares(rng, size, ('farm', 'forest', *map(str, wild)), 50, 6)
    number, _ = parcels(rng, size, 28, 14)
    green = rng.beta(0.7, 0.7, int(number.max()) + 1)[number]
    farm = covers.pop('farm')
    covers |= {'crop': farm * green, 'soil': farm * (1 - green)}
    covers = overlay({'built': np.clip(2 * smooth_field(rng, size, 20) - 4, 0, 0.8)}, covers)
    if rng.random() < 0.5:
        covers = overlay({'water': ribbon(rng, size, rng.uniform(3, 12), 20)}, covers)
    texture = 1 + 0.06 * smooth_field(rng, size, 3, 1.5) + 0.05 * smooth_field(rng, size, 30)
    path = spectrum('path', BANDS)[:, None, None]
    return np.asarray(path + (mix(covers, BANDS) - path) * np.clip(texture, 0.6, 1.4))


def _opacity(field: NDArray[np.float64], thick: float, thin: float) -> NDArray[np.float64]:
    """Share of light hidden, `[H, W]`, so that about these shares of pixels are thick and thin."""
    low, high = np.quantile(field, [1 - thick - thin, 1 - thick])
    level = (field - low) / (high - low)
    return np.asarray(np.clip(_THIN_FROM + (_THICK_FROM - _THIN_FROM) * level, 0, 0.97))


def _scene(
    rng: np.random.Generator, size: int, sun_rad: float
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Paint one scene and its mask, `[B, H, W]` and `[H, W]`."""
    land = _land(rng, size)
    light = hillshade(rng, size, 40, rng.uniform(0.03, 0.15), sun_rad)

    puffs = smooth_field(rng, size, size / rng.uniform(8, 14), 2.2)
    low = _opacity(puffs, rng.uniform(0.14, 0.26), rng.uniform(0.05, 0.12))
    # The field wraps around, so a shadow that comes in at one edge has its cloud outside.
    reach = size * rng.uniform(0.14, 0.22)
    step = round(reach * np.cos(sun_rad)), round(-reach * np.sin(sun_rad))
    dark = np.clip((np.roll(low, step, axis=(0, 1)) - 0.5) / (_THICK_FROM - 0.5), 0, 1)
    image = relight(land, light * (1 - rng.uniform(0.65, 0.85) * dark), BANDS)

    # Brighter where thicker and on the side of the sun.
    down, right = np.gradient(smooth_field(rng, size, size / 30, 2.2) + 2 * puffs)
    facing = down * np.cos(sun_rad) - right * np.sin(sun_rad)
    shine = 0.75 + 0.35 * low + 0.08 * np.clip(facing / facing.std(), -2.5, 2.5)
    cloud = spectrum('cloud', BANDS)[:, None, None] * shine * rng.uniform(0.8, 1.2)
    cloud[BANDS.index('B10')] *= rng.uniform(0.5, 4)  # higher tops have less vapour above them
    image = (1 - low) * image + low * cloud

    veil = np.zeros_like(low)
    if rng.random() < 0.7:
        streaks = smooth_field(rng, size, size / 12, 2.2, 4.0, rng.uniform(0, np.pi))
        veil = np.minimum(_opacity(streaks, 0.04, rng.uniform(0.12, 0.3)), 0.55)
        image = (1 - veil) * image + veil * spectrum('cirrus', BANDS)[:, None, None]

    opacity = 1 - (1 - low) * (1 - veil)
    mask = np.where(dark >= 0.5, SHADOW, CLEAR)
    mask = np.where(opacity >= _THIN_FROM, np.where(opacity >= _THICK_FROM, THICK, THIN), mask)
    return to_dn(image, BANDS, rng), mask.astype(np.uint8)


def _name(rng: np.random.Generator, index: int, place: Place) -> str:
    """Name a scene as CloudSEN12 does: region, sensing time, processing time, tile."""
    local = datetime(2018, 1, 1, 10, 30) + timedelta(days=int(rng.integers(1096)))
    start = local - timedelta(hours=place.lon / 15) + timedelta(seconds=int(rng.integers(1200)))
    times = '_'.join(f'{t:%Y%m%dT%H%M%S}' for t in (start, start + timedelta(seconds=3)))
    belt = 'CDEFGHJKLMNPQRSTUVWX'[int((place.lat + 80) // 8)]
    square = ''.join(rng.choice(list('ABCDEFGHJKLMNPQRSTUV'), 2))
    return f'ROI_{index:05d}__{times}_T{place.utm_zone:02d}{belt}{square}'


def make_cloud_s2(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `cloud_s2/` as it lies in the real archive, 60/20/20 in train, val and test.

    Args:
        directory: Existing folder to write into.
        n: Number of scenes.
        seed: Seed, not negative; scene i depends on the seed, i and the size only.
        size: Side of a scene in pixels of 10 m.

    Returns:
        The folder `<directory>/cloud_s2`.

    Raises:
        ValueError: If there are fewer scenes than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'cloud_s2 needs n >= 3 scenes, one per split, got n={n}')
    root = Path(directory) / 'cloud_s2'
    root.mkdir()
    for folder in ('s2_toa', 'cloud'):
        (root / folder).mkdir()
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        place = random_place(rng)
        # Sentinel-2 passes at half past ten: the sun stands south-east, or north-east down under.
        azimuth_deg = rng.uniform(125, 165) if place.lat > 0 else rng.uniform(25, 65)
        name = _name(rng, index, place)
        image, mask = _scene(rng, size, float(np.deg2rad(azimuth_deg)))
        grid = grid_around(place, size)
        write_geotiff(root / 's2_toa' / f'{name}.tif', image, grid, BANDS)
        write_geotiff(root / 'cloud' / f'{name}.tif', mask, grid)
        splits[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append(name)
    for split, names in splits.items():
        write_list(root / f'{split}.csv', names)
    return root
