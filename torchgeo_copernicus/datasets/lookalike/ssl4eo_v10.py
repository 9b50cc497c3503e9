"""Make a look-alike of SSL4EO-S12 v1.0: places seen by both sensors in four seasons.

As in the release, a band has one file on its native grid, its georeference is off by half a pixel, and names
of Sentinel-1 do not sort by date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS

from torchgeo_copernicus.datasets.lookalike.geotiff import Grid, Place, random_place, write_geotiff
from torchgeo_copernicus.datasets.lookalike.land import mosaic, sample_rng
from torchgeo_copernicus.datasets.lookalike.radar import backscatter, speckle, to_db
from torchgeo_copernicus.datasets.lookalike.spectra import mix, spectrum, to_dn
from torchgeo_copernicus.datasets.ssl4eo.statistics import (
    EIGHT_BIT_STATISTICS,
    MODALITY_BANDS,
    Modality,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS
from torchgeo_copernicus.datasets.ssl4eo.v10.place import DATES, folder_name
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import GSD_M, file_name, native_px
from torchgeo_copernicus.datasets.ssl4eo.v10.void_ids import LAST_ID, released_ids
from torchgeo_copernicus.metadata import METRES_PER_DEGREE

Variant = Literal['raw', '8bit', 'rgb']

# The smallest grid on which every band has whole pixels, an even number of them.
_STEP_PX = 12

_JPEG_QUALITY = 75
# Cover -> how much of it there is in winter, spring, summer and autumn.
_SEASONS = {
    'water': (0.5, 0.6, 0.4, 0.5),
    'forest': (0.5, 0.9, 1.2, 0.9),
    'crop': (0.1, 0.8, 0.9, 0.2),
    'soil': (1.2, 0.5, 0.3, 1.0),
    'built': (0.3, 0.3, 0.3, 0.3),
}
_FOLDER = {'raw': 'ssl4eo_s12', '8bit': 'ssl4eo_s12_8bit', 'rgb': 'ssl4eo_s12_rgb'}


@dataclass(frozen=True)
class _Visit:
    """One scene: what is written of it."""

    modality: Modality
    name: str
    image: NDArray[np.uint16] | NDArray[np.float32]


def make_ssl4eo_v10(
    directory: Path, n: int, seed: int, size: int, variant: Variant = 'raw'
) -> Path:
    """Write `ssl4eo_s12/{s1,s2c,s2a}` as in the release, or an 8-bit variant as far as that is known.

    Args:
        directory: Existing folder to write into.
        n: Number of places; the last of several has the largest number in the release, which TorchGeo's
            class does not reach.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of the 10 m grid (px), a multiple of 12 (264 in the release).
        variant: `raw`; `8bit` for one uint8 JPEG file per band; `rgb` for pictures of B04, B03, B02.

    Returns:
        The folder, to be used as `root`: `<directory>/ssl4eo_s12`, `ssl4eo_s12_8bit` or `ssl4eo_s12_rgb`.

    Raises:
        ValueError: If *n*, *size* or *variant* is not allowed.
    """
    if n < 1:
        raise ValueError(f'n must be at least 1, got {n}')
    if size < _STEP_PX or size % _STEP_PX:
        raise ValueError(f'size must be a multiple of {_STEP_PX}, such as 264, got {size}')
    if variant not in _FOLDER:
        raise ValueError(f'unknown variant {variant!r}; allowed: {list(_FOLDER)}')
    root = directory / _FOLDER[variant]
    for index, place_id in enumerate(_ids(n, seed)):
        rng = sample_rng(seed, index)
        place = random_place(rng)
        for visit in _visits(rng, place, size):
            if variant != 'rgb':
                _write(root, place_id, visit, place, size, variant)
            elif visit.modality == 'S2L1C':
                _write(root, place_id, _picture(visit), place, size, variant)
    return root


def _ids(n: int, seed: int) -> list[int]:
    drawn = sample_rng(seed, LAST_ID).choice(np.array(released_ids()[:-1]), n, replace=False)
    ids = sorted(int(place_id) for place_id in drawn)
    return ids if n == 1 else [*ids[:-1], LAST_ID]


def _visits(rng: np.random.Generator, place: Place, size: int) -> list[_Visit]:
    """See a place four times, from the earliest on, with both sensors some days apart."""
    first = datetime(2019, 12, 22, 10) + timedelta(days=int(rng.integers(364)))
    # The layout stays, its colours change.
    layout = int(rng.integers(2**31))
    tile = f'T{place.utm_zone:02d}{"NH"[place.lat < 0]}AB'
    visits = []
    for turn in range(DATES):
        day = first + timedelta(days=91 * turn + int(rng.integers(-5, 6)), minutes=51 * turn)
        odds = {cover: amount[day.month % 12 // 3] for cover, amount in _SEASONS.items()}
        covers = mosaic(np.random.default_rng(layout), size, odds, sharpness=2)
        top = mix(covers, MODALITY_BANDS['S2L1C'])
        # Level-2A: what the air adds is taken off, and B09 is no longer dark from vapour.
        order = MODALITY_BANDS['S2L2A']
        bottom = mix(covers, order) - spectrum('path', order)[:, None, None]
        bottom[order.index('B09')] = bottom[order.index('B8A')]
        radar = to_db(speckle(backscatter(covers, MODALITY_BANDS['S1GRD'], rng), rng))
        radar[radar == 0] = 0.01  # 0 would mean "no data"
        name = f'{day:%Y%m%dT%H%M%S}_{day + timedelta(minutes=9):%Y%m%dT%H%M%S}_{tile}'
        pass_ = day + timedelta(days=int(rng.integers(-12, 13)), hours=7)
        # B, A, B, A: in the order of names both dates of Sentinel-1A come first.
        platform = 'BA'[turn % 2]
        echo = (
            f'S1{platform}_IW_GRDH_1SDV_{pass_:%Y%m%dT%H%M%S}_'
            f'{pass_ + timedelta(seconds=25):%Y%m%dT%H%M%S}_{30000 + turn:06d}_03CFBA_D4{turn:02d}'
        )
        visits += [
            _Visit('S1GRD', echo, radar),
            _Visit('S2L1C', name, to_dn(top, MODALITY_BANDS['S2L1C'], rng)),
            _Visit('S2L2A', name, to_dn(bottom, order, rng)),
        ]
    return visits


def _picture(visit: _Visit) -> _Visit:
    rows = [MODALITY_BANDS['S2L1C'].index(band) for band in MODALITY_BANDS['S2RGB']]
    return _Visit('S2RGB', visit.name, visit.image[rows])


def _write(
    root: Path, place_id: int, visit: _Visit, place: Place, size: int, variant: Variant
) -> None:
    folder = root / FOLDERS[visit.modality] / folder_name(place_id) / visit.name
    folder.mkdir(parents=True)
    (folder / 'metadata.json').write_text(json.dumps(_record(visit)), encoding='utf-8')
    bands = MODALITY_BANDS[visit.modality]
    counts = stretch_to_8bit(visit.image, visit.modality)
    if variant == 'rgb':
        _write_jpeg(folder / 'RGB.tif', counts, _grid(place, size, size))
        return
    for row, band in enumerate(bands):
        side = native_px(band, size)
        step, grid = size // side, _grid(place, size, side)
        path = folder / file_name(band)
        if variant == 'raw':
            write_geotiff(path, visit.image[row, ::step, ::step], grid)
        else:
            _write_jpeg(path, counts[row : row + 1, ::step, ::step], grid)


def _grid(place: Place, size: int, side: int) -> Grid:
    """Lay a grid of degrees around a place; half a pixel too far northwest, as in the release."""
    height = size * GSD_M / METRES_PER_DEGREE
    width = height / np.cos(np.radians(place.lat))
    x, y = width / side, height / side
    west, north = place.lon - width / 2 - x / 2, place.lat + height / 2 + y / 2
    return Grid(CRS.from_epsg(4326), Affine(x, 0.0, west, 0.0, -y, north))


def _record(visit: _Visit) -> dict[str, str | float]:
    """Return some entries of Earth Engine's record of a scene."""
    if visit.modality == 'S1GRD':
        return {
            'familyName': 'SENTINEL-1',
            'instrumentMode': 'IW',
            'platform_number': visit.name[2],
        }
    return {'CLOUDY_PIXEL_PERCENTAGE': 0.8438, 'MGRS_TILE': visit.name.split('_T')[-1]}


def stretch_to_8bit(
    image: NDArray[np.uint16] | NDArray[np.float32], modality: Modality
) -> NDArray[np.uint8]:
    """Stretch to 0..255 as the 8-bit release: two deviations to either side of the mean.

    Args:
        image: `[C, H, W]` with all bands of the modality, DN or dB.
        modality: Of the image.

    Returns:
        The same shape; fractions are cut off.
    """
    statistics = EIGHT_BIT_STATISTICS[modality]
    names = MODALITY_BANDS[modality]
    mean = np.array([statistics.mean[name] for name in names])[:, None, None]
    std = np.array([statistics.std[name] for name in names])[:, None, None]
    share = np.clip((image - mean + 2 * std) / (4 * std), 0, 1)
    return np.asarray((share * 255).astype(np.uint8))


def _write_jpeg(path: Path, counts: NDArray[np.uint8], grid: Grid) -> None:
    count, height, width = counts.shape
    colours = {'photometric': 'YCBCR', 'interleave': 'pixel'} if count == 3 else {}
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=count,
        height=height,
        width=width,
        dtype='uint8',
        crs=grid.crs,
        transform=grid.transform,
        compress='jpeg',
        jpeg_quality=_JPEG_QUALITY,
        **colours,
    ) as file:
        file.write(counts)
