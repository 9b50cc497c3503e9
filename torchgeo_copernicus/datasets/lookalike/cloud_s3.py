"""Make a look-alike of Cloud-S3: Sentinel-3 scenes with clouds, shadows and snow, and masks.

The masks are exact: they are read off the optical thickness that was painted. Snow is as bright as
a cloud, but fades towards 1020 nm and has all the oxygen above it.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.cloud_s3 import CLOUD_S3
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    SPLIT_CYCLE,
    Place,
    grid_around,
    random_place,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.olci import (
    COVERS,
    PIXEL_DEG,
    WGS84,
    Sky,
    mix,
    overpass,
    radiance,
    swath_edge,
    to_counts,
)
from torchgeo_copernicus.datasets.lookalike.spectra import overlay
from torchgeo_copernicus.datasets.lookalike.terrain import (
    hillshade,
    parcels,
    ribbon,
    shares,
    smooth_field,
)

#: Codes of the mask of five classes.
CLEAR, SURE, AMBIGUOUS, SHADOW, SNOW = CLOUD_S3.codes
(INVALID,) = CLOUD_S3.ignored_codes
#: Codes of the mask of two classes.
BINARY_CLEAR, BINARY_CLOUD = 1, 2

# Share of the ground that a cloud must hide to be one, and to be certain.
_AMBIGUOUS_FROM, _SURE_FROM = 0.12, 0.6
# Islands of Fiji, whose longitude goes on beyond 180 degrees in one raster.
_DATE_LINE = Place(lon=180.05, lat=-16.8)


def _land(
    rng: np.random.Generator, size: int, *, snowy: bool, coastal: bool
) -> dict[str, NDArray[np.float64]]:
    """Share of each cover, `[H, W]`."""
    wild = map(
        str, rng.choice(['conifer', 'grass', 'dry_grass', 'shrub', 'sand'], 2, replace=False)
    )
    covers = shares(rng, size, ('farm', 'forest', *wild), 30, 5)
    number, _ = parcels(rng, size, 9, 5)
    green = rng.beta(0.8, 0.8, int(number.max()) + 1)[number]
    farm = covers.pop('farm')
    covers |= {'crop': farm * green, 'soil': farm * (1 - green)}
    covers = overlay({'built': np.clip(1.5 * smooth_field(rng, size, 5) - 3.5, 0, 0.7)}, covers)
    covers = overlay({'water': ribbon(rng, size, rng.uniform(1, 3), 12)}, covers)
    sea = smooth_field(rng, size, size / 4, 3) - rng.uniform(-0.3, 0.6)
    if coastal:
        covers = overlay({'ocean': np.clip(8 * sea + 0.5, 0, 1)}, covers)
    height = smooth_field(rng, size, 25, 2) - sea
    if snowy:
        covers = overlay(
            {'snow': np.clip(2 * (height - np.quantile(height, 0.7)), 0, 0.95)}, covers
        )
    return covers


def _opacity(field: NDArray[np.float64], sure: float, ambiguous: float) -> NDArray[np.float64]:
    """Share of light hidden, `[H, W]`, so that about these shares are sure or ambiguous."""
    low, high = np.quantile(field, [1 - sure - ambiguous, 1 - sure])
    level = (field - low) / (high - low)
    return np.asarray(np.clip(_AMBIGUOUS_FROM + (_SURE_FROM - _AMBIGUOUS_FROM) * level, 0, 0.97))


def _scene(
    rng: np.random.Generator, size: int, index: int, sun: float, sun_rad: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Paint one scene and its mask, `[21, H, W]` and `[H, W]`."""
    covers = _land(rng, size, snowy=index % 3 == 0, coastal=index % 3 == 2)
    light = hillshade(rng, size, 12, rng.uniform(0.02, 0.1), sun_rad)
    light *= 1 + 0.05 * smooth_field(rng, size, 2, 1.5)
    sky = Sky(sun, haze=rng.uniform(0.05, 0.35), vapour=rng.uniform(0.6, 1.6))

    puffs = smooth_field(rng, size, size / rng.uniform(8, 14), 2.2)
    low = _opacity(puffs, rng.uniform(0.15, 0.28), rng.uniform(0.08, 0.14))
    # The field wraps around, so a shadow that comes in at one edge has its cloud outside.
    reach = rng.uniform(0.05, 0.08) * size / sun
    step = round(reach * np.cos(sun_rad)), round(-reach * np.sin(sun_rad))
    dark = np.clip((np.roll(low, step, axis=(0, 1)) - 0.4) / (_SURE_FROM - 0.4), 0, 1)
    image = radiance(mix(covers), sky, light * (1 - rng.uniform(0.7, 0.9) * dark))

    # Brighter where thicker and on the side of the sun.
    down, right = np.gradient(smooth_field(rng, size, size / 30, 2.2) + 2 * puffs)
    facing = down * np.cos(sun_rad) - right * np.sin(sun_rad)
    shine = 0.7 + 0.35 * low + 0.07 * np.clip(facing / facing.std(), -2.5, 2.5)
    cloud = COVERS['cloud'][:, None, None] * shine * rng.uniform(0.8, 1.1)
    image = (1 - low) * image + low * radiance(cloud, sky, above=rng.uniform(0.4, 0.8))

    veil = np.zeros_like(low)
    if rng.random() < 0.7:
        streaks = smooth_field(rng, size, size / 12, 2.2, 4.0, rng.uniform(0, np.pi))
        veil = np.minimum(_opacity(streaks, 0.03, rng.uniform(0.1, 0.25)), 0.5)
        cirrus = COVERS['cloud'][:, None, None] * np.full_like(low, 0.7)
        image = (1 - veil) * image + veil * radiance(cirrus, sky, above=0.25)

    opacity = 1 - (1 - low) * (1 - veil)
    mask = (
        np.where(covers['snow'] > 0.4, SNOW, CLEAR)
        if 'snow' in covers
        else np.full_like(low, CLEAR)
    )
    mask = np.where(dark >= 0.5, SHADOW, mask)
    mask = np.where(opacity >= _AMBIGUOUS_FROM, AMBIGUOUS, mask)
    mask = np.where(opacity >= _SURE_FROM, SURE, mask)
    counts = to_counts(image, rng)
    if index % 4 == 1:
        outside = swath_edge(rng, size)
        counts[:, outside], mask[outside] = np.nan, INVALID
    return counts, mask.astype(np.uint8)


def _name(rng: np.random.Generator, index: int, start: datetime) -> str:
    """Name a scene as ESA does: satellite, start, end, making, duration, cycle, orbit, frame."""
    times = start, start + timedelta(minutes=3), start + timedelta(hours=int(rng.integers(20, 40)))
    satellite, cycle, orbit = rng.choice(['A', 'B']), rng.integers(20, 60), rng.integers(1, 386)
    stamps = '_'.join(f'{time:%Y%m%dT%H%M%S}' for time in times)
    return (
        f'S3{satellite}_OL_1_EFR____{stamps}_0179_{cycle:03d}_{orbit:03d}_{index:04d}'
        '_LN1_O_NT_002.tif'
    )


def make_cloud_s3(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `cloud_s3/` as it lies in the real archive, 60/20/20 in train, val and test.

    Of every twelve scenes four have snow, four have sea and three end at the edge of a swath. The
    third lies across the date line.

    Args:
        directory: Existing folder to write into.
        n: Number of scenes.
        seed: Seed, not negative; scene i depends on the seed, i and the size only.
        size: Side of a scene in pixels of 300 m.

    Returns:
        The folder `<directory>/cloud_s3`.

    Raises:
        ValueError: If there are fewer scenes than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'cloud_s3 needs n >= 3 scenes, one per split, got n={n}')
    root = Path(directory) / CLOUD_S3.folder
    root.mkdir()
    for folder in ('s3_olci', 'cloud_multi', 'cloud_binary'):
        (root / folder).mkdir()
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        place = _DATE_LINE if index == 2 else random_place(rng)
        start, sun = overpass(place, int(rng.integers(365)), 2019, rng)
        name = _name(rng, index, start)
        # The sun stands south-east in the morning, or north-east down under.
        azimuth_deg = rng.uniform(125, 165) if place.lat > 0 else rng.uniform(25, 65)
        image, multi = _scene(rng, size, index, sun, float(np.deg2rad(azimuth_deg)))
        cloudy = np.isin(multi, (SURE, AMBIGUOUS))
        binary = np.where(cloudy, BINARY_CLOUD, BINARY_CLEAR) * (multi != INVALID)
        grid = grid_around(place, size, PIXEL_DEG, WGS84)
        write_geotiff(root / 's3_olci' / name, image, grid, CLOUD_S3.stored_bands)
        write_geotiff(root / 'cloud_multi' / name, multi, grid)
        write_geotiff(root / 'cloud_binary' / name, binary.astype(np.uint8), grid)
        splits[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append(name)
    for split, names in splits.items():
        write_list(root / CLOUD_S3.split_file.format(split), names)
    return root
