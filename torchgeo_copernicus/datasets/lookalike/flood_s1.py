"""Make a look-alike of Flood-S1: Sentinel-1 twice before a flood and once after it.

The label is exact: a flood is what became water between the images, and all of that.
"""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from torchgeo_copernicus.datasets.bench.flood_s1 import FLOOD_S1
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    SPLIT_CYCLE,
    Grid,
    grid_around,
    random_place,
    write_geotiff,
)
from torchgeo_copernicus.datasets.lookalike.land import Covers, patchwork, sample_rng
from torchgeo_copernicus.datasets.lookalike.radar import backscatter, echo, speckle
from torchgeo_copernicus.datasets.lookalike.spectra import overlay
from torchgeo_copernicus.datasets.lookalike.terrain import ribbon, shares, smooth_field

#: Polarisations, each in its own file.
BANDS = FLOOD_S1.stored_bands
#: Codes of the mask.
DRY, PERMANENT, FLOOD = (
    FLOOD_S1.classes.index(n) for n in ('No Water', 'Permanent Water', 'Flood')
)
(OUTSIDE,) = FLOOD_S1.ignored_codes
#: Images by date: two before the flood and one after it.
DATES = ('SL2', 'SL1', 'MS1')

# Both lengths of the numbers of events, in every split that has two samples.
_EVENTS = (118, 1111013, 205, 1111004)
_MERCATOR = CRS.from_epsg(3857)


def _land(rng: np.random.Generator, size: int) -> Covers:
    """Paint fields, woods and a village, without water."""
    fields = {'crop': 0.6, 'grass': 0.5, 'soil': 0.4, 'dry_grass': 0.2}
    woods = shares(rng, size, ('forest', 'gap'), 20, 4)['forest']
    village = np.clip(2 * smooth_field(rng, size, 12) - 3, 0, 0.9)
    farmland = patchwork(rng, size, fields, 28, 14)[0]
    return overlay({'built': village}, overlay({'forest': 0.9 * woods}, farmland))


def _water(rng: np.random.Generator, size: int, *, flooded: bool) -> NDArray[np.uint8]:
    """Draw a river and what it floods in its valley, `[H, W]`."""
    bed = int(rng.integers(2**32))  # the same river twice: its bed, and its valley
    width, meander = rng.uniform(0.03, 0.08) * size, rng.uniform(0.04, 0.1) * size
    river = ribbon(np.random.default_rng(bed), size, width, meander) > 0.5
    valley = ribbon(np.random.default_rng(bed), size, rng.uniform(4, 7) * width, meander)
    height = smooth_field(rng, size, size / 8, 3.0) - 2.5 * valley
    low = height < np.quantile(height, rng.uniform(0.15, 0.35))
    label = np.where(low & ~river & flooded, FLOOD, DRY)
    return np.where(river, PERMANENT, label).astype(np.uint8)


def _cut(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Draw a slanting border near the left edge; True left of it, `[H, W]`."""
    row, column = np.mgrid[:size, :size] / size
    return np.asarray(column + rng.uniform(-0.2, 0.2) * (row - 0.5) < rng.uniform(0.12, 0.25))


def _sample(
    rng: np.random.Generator, size: int, index: int
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.uint8]]:
    """Paint the images, linear power `[2, H, W]` by date with NaN for no data, and the mask."""
    # Nearly all have a flood; those without are of the training split.
    label = _water(rng, size, flooded=index % 10 != 4)
    land = backscatter(_land(rng, size), BANDS, rng, rng.uniform(0.02, 0.15))
    water = echo('water', BANDS)[:, None, None]
    images = {}
    for name in DATES:
        wet = (label == PERMANENT) | ((label == FLOOD) & (name == 'MS1'))
        # The ground is moister or drier, and wind roughens water.
        ground, wind = rng.lognormal(0, 0.08), rng.lognormal(0, 0.3)
        images[name] = speckle(np.where(wet, wind * water, ground * land), rng)
    if index % 3 == 0:
        label[_cut(rng, size)] = OUTSIDE
    elif index % 3 == 1:
        gap = _cut(rng, size)  # beyond the swath
        label[gap] = OUTSIDE
        for image in images.values():
            image[:, gap] = np.nan
    return images, label


def _write(
    folder: Path,
    grid: Grid,
    ending: str,
    days: dict[str, date],
    images: dict[str, NDArray[np.float32]],
    label: NDArray[np.uint8],
) -> None:
    """Write the files of one sample into a new folder."""
    folder.mkdir(parents=True)
    for name, image in images.items():
        for band, pixels in zip(BANDS, image, strict=True):
            path = folder / f'{name}_I{band}_{ending}_{days[name]:%Y%m%d}.tif'
            write_geotiff(path, pixels, grid)
    masks = {'MLU': label, 'MNA': (label != OUTSIDE).astype(np.uint8)}
    for kind, mask in masks.items():
        write_geotiff(folder / f'MK0_{kind}_{ending}_{days["MS1"]:%Y%m%d}.tif', mask, grid)


def make_flood_s1(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `flood_s1/` as it lies in the real archive, 60/20/20 in the splits.

    Args:
        directory: Existing folder to write into.
        n: Number of places.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of an image in pixels of 10 m in Web Mercator.

    Returns:
        The folder `<directory>/flood_s1`.

    Raises:
        ValueError: If there are fewer places than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'flood_s1 needs n >= 3 places, one per split, got n={n}')
    root = Path(directory) / FLOOD_S1.folder
    root.mkdir()
    splits: dict[str, dict[str, object]] = {split: {} for split in SPLIT_CYCLE}
    for index in range(n):
        rng = sample_rng(seed, index)
        event, area = _EVENTS[index % len(_EVENTS)], index // len(_EVENTS) + 1
        key = rng.bytes(16).hex()
        path = f'{event}/{area:02d}/{key}'
        after = date(2015, 1, 1) + timedelta(days=int(rng.integers(2500)))
        before = after - timedelta(days=int(rng.choice([6, 12, 18])))
        earlier = before - timedelta(days=int(rng.choice([6, 12, 24])))
        days = dict(zip(DATES, (earlier, before, after), strict=True))
        grid = grid_around(random_place(rng), size, crs=_MERCATOR)
        images, label = _sample(rng, size, index)
        _write(root / 'data' / path, grid, f'{event}_{area:02d}', days, images, label)
        info = {'actid': event, 'aoiid': area, 'flood_date': after.isoformat()}
        splits[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]][key] = {'path': path, 'info': info}
    for split, entries in splits.items():
        # Keys of real files are in no order; that of the file is the order of the samples.
        unsorted = dict(sorted(entries.items(), reverse=True))
        text = json.dumps(unsorted, indent=1)
        (root / FLOOD_S1.split_file.format(split)).write_text(text, encoding='utf-8')
    return root
