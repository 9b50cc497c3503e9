"""Make a look-alike of Biomass-S3: Sentinel-3 images over a year, and the wood that stands there.

Where more wood stands the forest is denser and, with tall trees that shade each other, darker. How
a place is photographed (`write_series`) serves LC100 too.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.biomass_s3 import BIOMASS_S3
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    EUROPE,
    SPLIT_CYCLE,
    Place,
    grid_around,
    random_place,
    write_geotiff,
    write_list,
)
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
from torchgeo_copernicus.datasets.lookalike.spectra import Shares, overlay
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade, parcels, ribbon, smooth_field
from torchgeo_copernicus.sensors import S3_OLCI

# Number of images of successive places, over and over; the same for every seed.
_DATES = (2, 4, 1, 3)
# What each cover is in the season without leaves.
_BARE = {'forest': 'twigs', 'larch': 'twigs', 'grass': 'dry_grass', 'crop': 'soil'}
# Trees, the most that they weigh (Mg/ha), and boxes where they grow, over and over.
_WOODS = (
    ('forest', 300.0, EUROPE),
    ('rainforest', 420.0, ((14.0, -4.0, 27.0, 4.0), (-66.0, -9.0, -54.0, -3.0))),
    ('conifer', 220.0, ((60.0, 59.0, 88.0, 63.0), (26.0, 61.0, 30.0, 64.0))),
)


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


def _land(
    rng: np.random.Generator, side: int, tree: str, heaviest: float
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Share of each cover (1) and biomass (Mg/ha), `[H, W]`."""
    number, _ = parcels(rng, side, 20, 12)
    kind = rng.dirichlet((1.0, 1.0, 0.5), int(number.max()) + 1)[number]
    farms = np.clip(2 * smooth_field(rng, side, 30) - 0.5, 0, 1)
    density = np.clip(0.45 + 0.5 * smooth_field(rng, side, 35, 1.8), 0, 1) * (1 - 0.9 * farms)
    water = ribbon(rng, side, rng.uniform(4, 10), 20)
    biomass = heaviest * density**1.5 * (1 - water)
    biomass *= np.clip(1 + 0.08 * smooth_field(rng, side, 2, 1.5), 0.6, 1.4)
    shade = density * 0.5 * biomass / heaviest
    open_land = {'grass': 1 - farms, 'crop': farms * kind[..., 0], 'soil': farms * kind[..., 1]}
    open_land['dry_grass'] = farms * kind[..., 2]
    covers = overlay({tree: density - shade, 'shade': shade}, open_land)
    return overlay({'water': water}, covers), biomass


def make_biomass_s3(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `biomass_s3/` as it lies in the real archive, 60/20/20 in train, val and test.

    The first place is 2 px smaller, as some of the real ones are.

    Args:
        directory: Existing folder to write into.
        n: Number of places.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of an image in pixels of 300 m; biomass has three times as many, of 100 m.

    Returns:
        The folder `<directory>/biomass_s3`.

    Raises:
        ValueError: If there are fewer places than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'biomass_s3 needs n >= 3 places, one per split, got n={n}')
    root = Path(directory) / BIOMASS_S3.folder
    root.mkdir()
    (root / 'biomass').mkdir()
    lines: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        tree, heaviest, boxes = _WOODS[index % len(_WOODS)]
        place = random_place(rng, boxes)
        name, side = place_name(index, place), 3 * smaller_place(index, size)
        covers, biomass = _land(rng, side, tree, heaviest)
        files = write_series(root / 's3_olci' / name, index, place, covers, rng)
        grid = grid_around(place, side, PIXEL_DEG / 3, WGS84, step=PIXEL_DEG)
        stored = np.clip(np.rint(biomass), 0, 400).astype(np.uint16)
        write_geotiff(root / 'biomass' / f'{name}.tif', stored, grid)
        chosen = files[int(rng.integers(len(files)))]
        lines[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append(f'{name},{chosen}')
    for split, rows in lines.items():
        write_list(root / BIOMASS_S3.split_file.format(split), rows)
    return root
