"""Make a look-alike of Biomass-S3: Sentinel-3 images over a year, and the wood that stands there.

Where more wood stands the forest is denser and, with tall trees that shade each other, darker.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.biomass_s3 import BIOMASS_S3
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
from torchgeo_copernicus.datasets.lookalike.spectra import overlay
from torchgeo_copernicus.datasets.lookalike.terrain import parcels, ribbon, smooth_field

# Trees, the most that they weigh (Mg/ha), and boxes where they grow, over and over.
_WOODS = (
    ('forest', 300.0, EUROPE),
    ('rainforest', 420.0, ((14.0, -4.0, 27.0, 4.0), (-66.0, -9.0, -54.0, -3.0))),
    ('conifer', 220.0, ((60.0, 59.0, 88.0, 63.0), (26.0, 61.0, 30.0, 64.0))),
)


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
