"""Statistics of whole modalities from those of their images: as if all pixels had been in one array.

Counts, means and squared deviations of images are combined exactly, by the formula of Chan, Golub and LeVeque
(1979, STAN-CS-79-773, equation 2.1), not averaged: images differ in size and in how much of them is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import yaml
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.pretrain.index.index_table import index_parts, read_part
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    ModalityName,
    chosen_modalities,
)

_WANTED = ('fault', 'void', 'zero_share', 'count', 'min', 'max', 'mean', 'std')
_SUFFIXES = ('.json', '.yaml', '.yml')


@dataclass(frozen=True)
class BandStatistics:
    """Numbers of a band over images, in the unit of samples.

    Attributes:
        images: Images that were counted.
        pixels: Their pixels with a value.
        mean: Mean of these, as the others NaN where there is none.
        std: Standard deviation.
        min: Smallest value.
        max: Largest value.
    """

    images: int
    pixels: int
    mean: float
    std: float
    min: float
    max: float


#: By modality, then by band.
Combined = Mapping[ModalityName, Mapping[str, BandStatistics]]


def index_statistics(
    index: Path | str | gpd.GeoDataFrame,
    modalities: Sequence[ModalityName] | None = None,
    *,
    void: bool = False,
    max_zero_share: float = 1.0,
) -> dict[ModalityName, dict[str, BandStatistics]]:
    """Return the statistics of each band over all pixels with a value.

    Args:
        index: Folder that `convert_index` wrote into, read file by file; or what `read_index` returned.
        modalities: Which; all that are there when None.
        void: Count images without a single value among `images`, too. No other number changes.
        max_zero_share: Leave out images of which a larger share of values is exactly 0, as Sentinel-2 has
            where Earth Engine had no data; 0 to 1.

    Raises:
        ValueError: If an argument is impossible, there is no index, it is incomplete or damaged, lacks
            columns, or has no image of a modality that is asked for.
    """
    wanted = chosen_modalities(modalities)
    if not isinstance(void, bool):
        raise ValueError(f'void must be True or False, got {void!r}.')
    if isinstance(max_zero_share, bool) or not (
        isinstance(max_zero_share, int | float) and 0 <= max_zero_share <= 1
    ):
        raise ValueError(f'max_zero_share must be 0 to 1, got {max_zero_share!r}.')
    sums: dict[ModalityName, _Sum] = {}
    for table in _tables(index):
        keep = table['fault'].isna() & (table['zero_share'] <= max_zero_share)
        if not void:
            keep &= ~table['void']
        for name, rows in table[keep].groupby('modality', observed=True):
            if name in wanted:
                found = _Sum.of(name, rows)
                sums[name] = sums[name] + found if name in sums else found
    if modalities is not None and (absent := [name for name in wanted if name not in sums]):
        raise ValueError(f'The index has no image of {absent} that is to be counted.')
    if not sums:
        raise ValueError('The index has no image that is to be counted.')
    return {name: sums[name].by_band(name) for name in wanted if name in sums}


def write_statistics(statistics: Combined, path: Path | str) -> None:
    """Write mean and standard deviation as `CopernicusPretrainDataModule(statistics=...)` takes them.

    Args:
        statistics: From `index_statistics`.
        path: A `.json`, `.yaml` or `.yml` that must not exist: a mapping of modality -> band -> [mean,
            standard deviation].

    Raises:
        ValueError: If the name ends otherwise, the file exists, or a band has no value or never changes.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f'{path} must end in one of {list(_SUFFIXES)}.')
    if path.exists():
        raise ValueError(f'{path} exists; choose another name, or delete it.')
    for name, bands in statistics.items():
        for band, numbers in bands.items():
            if not numbers.std > 0:
                raise ValueError(
                    f'{name}, band {band}, has {numbers.pixels} pixels with a value and the standard '
                    f'deviation {numbers.std}; nothing can be normalised by that. Leave {name} out of '
                    'modalities.'
                )
    document = {
        name: {band: [numbers.mean, numbers.std] for band, numbers in bands.items()}
        for name, bands in statistics.items()
    }
    if path.suffix == '.json':
        text = json.dumps(document, indent=1) + '\n'
    else:
        text = yaml.safe_dump(document, sort_keys=False)
    path.write_text(text, encoding='utf-8')


def describe_statistics(statistics: Combined) -> str:
    """Return a table for people."""
    numbers = '  '.join(f'{name:>12}' for name in ('mean', 'std', 'min', 'max'))
    lines = [f'{"modality":8}  {"band":13}  {"images":>9}  {"pixels":>15}  {numbers}  unit']
    for name, bands in statistics.items():
        unit = 'mW m-2 sr-1 nm-1' if name == 's3_olci' else MODALITIES[name].sensor.statistics.unit
        lines += [
            f'{name:8}  {band:13}  {n.images:9}  {n.pixels:15}  {n.mean:12.6g}  {n.std:12.6g}  '
            f'{n.min:12.6g}  {n.max:12.6g}  {unit}'
            for band, n in bands.items()
        ]
    return '\n'.join(lines)


@dataclass(frozen=True)
class _Sum:
    """Numbers of many images of C bands, each `[C]`."""

    images: int
    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]

    @classmethod
    def of(cls, name: ModalityName, rows: gpd.GeoDataFrame) -> _Sum:
        bands = len(MODALITIES[name].sensor.bands)
        if any(len(counts) != bands for counts in rows['count']):
            raise ValueError(f'{name} has other than {bands} bands in the index; it is damaged.')
        count, low, high, mean, std = (
            np.stack(rows[column].tolist()) for column in ('count', 'min', 'max', 'mean', 'std')
        )
        known = count > 0
        # What is not known of an image is NaN.
        mean, squares = np.where(known, mean, 0), np.where(known, count * std**2, 0)
        total = count.sum(0)
        whole = (count * mean).sum(0) / np.maximum(total, 1)
        squares = (squares + count * (mean - whole) ** 2).sum(0)
        low, high = np.where(known, low, np.inf).min(0), np.where(known, high, -np.inf).max(0)
        return cls(len(rows), total, whole, squares, low, high)

    def __add__(self, other: _Sum) -> _Sum:
        count = self.count + other.count
        step, among = other.mean - self.mean, np.maximum(count, 1)
        return _Sum(
            self.images + other.images,
            count,
            self.mean + step * other.count / among,
            self.squares + other.squares + step**2 * self.count * other.count / among,
            np.minimum(self.min, other.min),
            np.maximum(self.max, other.max),
        )

    def by_band(self, name: ModalityName) -> dict[str, BandStatistics]:
        found = {}
        for i, band in enumerate(MODALITIES[name].sensor.band_names):
            count = int(self.count[i])
            numbers = [
                self.mean[i],
                (self.squares[i] / max(count, 1)) ** 0.5,
                self.min[i],
                self.max[i],
            ]
            mean, std, low, high = (float(n) if count else np.nan for n in numbers)
            found[band] = BandStatistics(self.images, count, mean, std, low, high)
        return found


def _tables(index: Path | str | gpd.GeoDataFrame) -> Iterator[gpd.GeoDataFrame]:
    if not isinstance(index, gpd.GeoDataFrame):
        for path in index_parts(index):
            yield read_part(path, _WANTED)
        return
    if lacking := [name for name in ('modality', *_WANTED) if name not in index]:
        raise ValueError(f'The index lacks the columns {lacking}; read them with read_index.')
    yield index
