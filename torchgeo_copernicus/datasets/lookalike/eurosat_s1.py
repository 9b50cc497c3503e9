"""Make a look-alike of EuroSAT-S1: small Sentinel-1 chips of ten land uses."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.eurosat import EUROSAT_S1
from torchgeo_copernicus.datasets.lookalike.eurosat_s2 import write_chips
from torchgeo_copernicus.datasets.lookalike.landuse import LAND_USES
from torchgeo_copernicus.datasets.lookalike.radar import backscatter, speckle, to_db

#: Band order of the files.
BANDS = EUROSAT_S1.stored_bands


def _chip(rng: np.random.Generator, size: int, label: str) -> NDArray[np.float32]:
    """Paint one chip of a class, moister or drier than others; dB, `[B, H, W]`."""
    power = backscatter(LAND_USES[label](rng, size), BANDS, rng, rng.uniform(0.02, 0.2))
    return to_db(speckle(power * 10 ** (rng.normal(0, 0.7) / 10), rng))


def make_eurosat_s1(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `eurosat_s1/` as it lies in the real archive, each class 60/20/20 in the splits.

    Args:
        directory: Existing folder to write into.
        n: Number of chips in all.
        seed: Seed, not negative; a chip depends on the seed, its class, number and size only.
        size: Side of a chip in pixels of 10 m.

    Returns:
        The folder `<directory>/eurosat_s1`.

    Raises:
        ValueError: If there are fewer chips than one per class and split.
        FileExistsError: If the folder is there already.
    """
    return write_chips(EUROSAT_S1, _chip, Path(directory), n, seed, size)
