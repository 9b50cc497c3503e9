"""Make a look-alike of EuroSAT-S2: small Sentinel-2 chips of ten land uses.

The files store B8A last, as the real ones do; most other places have it after B08.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.eurosat import EUROSAT_S2
from torchgeo_copernicus.datasets.bench.task import BenchTask
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    EUROPE,
    SPLIT_CYCLE,
    grid_around,
    random_place,
    write_geotiff,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.land import sample_rng
from torchgeo_copernicus.datasets.lookalike.landuse import LAND_USES
from torchgeo_copernicus.datasets.lookalike.spectra import mix, relight, spectrum, to_dn
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade, smooth_field

#: Band order of the files.
BANDS = EUROSAT_S2.stored_bands

#: Class names in alphabetical order; the index is the label.
CLASSES = EUROSAT_S2.classes

#: Paints a chip `[B, H, W]` of a class.
Chip = Callable[[np.random.Generator, int, str], NDArray[np.uint16] | NDArray[np.float32]]


def _chip(rng: np.random.Generator, size: int, label: str) -> NDArray[np.uint16]:
    """Paint one chip of a class under its own air and sun, `[B, H, W]`."""
    image = mix(LAND_USES[label](rng, size), BANDS)
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
    return write_chips(EUROSAT_S2, _chip, Path(directory), n, seed, size)


def write_chips(task: BenchTask, chip: Chip, directory: Path, n: int, seed: int, size: int) -> Path:
    """Write the chips of one sensor, laid out as in both archives of EuroSAT.

    Args:
        task: Declaration that names the archive, its bands and classes.
        chip: Paints a chip `[B, H, W]` of a size in pixels and a class.
        directory: Existing folder to write into.
        n: Number of chips in all.
        seed: Seed, not negative.
        size: Side of a chip in pixels of 10 m.

    Returns:
        The folder of the archive.

    Raises:
        ValueError: If there are fewer chips than one per class and split.
        FileExistsError: If the folder is there already.
    """
    if n < 3 * len(task.classes):
        raise ValueError(
            f'{task.name} needs n >= {3 * len(task.classes)} chips, '
            f'{len(task.classes)} classes x 3 splits, got n={n}'
        )
    root = directory / task.folder
    root.mkdir()
    for label in task.classes:
        (root / 'all_imgs' / label).mkdir(parents=True)
    splits: dict[str, list[str]] = {split: [] for split in SPLIT_CYCLE}
    for index in range(n):
        number, label = index // len(task.classes), task.classes[index % len(task.classes)]
        name = f'{label}_{number + 1}'
        rng = sample_rng(seed, index)
        path = root / 'all_imgs' / label / f'{name}.tif'
        pixels = chip(rng, size, label)
        grid = grid_around(random_place(rng, EUROPE), size)
        write_geotiff(path, pixels, grid, task.stored_bands)
        splits[SPLIT_CYCLE[number % len(SPLIT_CYCLE)]].append(f'{name}.jpg')
    for split, names in splits.items():
        write_list(root / task.split_file.format(split), names)
    return root
