"""A map of embeddings as a TorchGeo `RasterDataset`, to be combined with images of any place and system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, RasterDataset
from torchgeo.datasets.utils import GeoSlice

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.embed.embed_files import FILES, download_embed
from torchgeo_copernicus.datasets.embed.embed_map import SUFFIXES, open_array
from torchgeo_copernicus.datasets.embed.embed_picture import draw_embedding
from torchgeo_copernicus.datasets.embed.lazy_map import LazyMap
from torchgeo_copernicus.datasets.embed.map_array import MapArray
from torchgeo_copernicus.datasets.embed.map_footprint import footprints
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS

_WGS84 = CRS.from_epsg(4326)


class CopernicusEmbedMap(RasterDataset):
    """Copernicus-Embed-025deg, or an own map: the vector of the cell that each pixel is in.

    Over TorchGeo's `CopernicusEmbed` this one reads all formats of `open_map`, can be the second dataset of an
    intersection (`images & map`, where the outline of a map of the world is infinite in UTM), goes on across the date
    line, takes vectors as they are (bilinear resampling would mix those of coasts with the 0 of the sea), and
    draws windows of sea or of one cell.

    Sample: `image`, float32 `[channels, h, w]`, 0 where there is no data, and what else the samples of the
    installed TorchGeo have.

    Sources: arXiv:2503.11849; licence of the data CC-BY-4.0.
    """

    filename_glob = 'embed_map_*'

    def __init__(
        self,
        paths: Path | str | Iterable[Path | str] = 'data',
        crs: CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Open maps; only the place of their numbers is read.

        Args:
            paths: A map, several (such as regions; where they overlap, the first with data counts), or a folder with
                one `embed_map_*`.
            crs: Coordinate reference system of the samples; EPSG:4326 when None.
            res: Size of a pixel in its units; 0.25 degrees when None. Needed where they are no degrees.
            transforms: Applied to each sample.
            download: Download the GeoTIFF that TorchGeo published (3.2 GB before compression) into the folder
                *paths* when it has no map.
            checksum: With *download*: check the SHA-256 of one that is there already, too, which takes a while.

        Raises:
            DatasetNotFoundError: If there is no map, and *download* is False.
            ValueError: If an argument is not allowed, a map is damaged, or maps have other channels.
            ConnectionError: If it could not be downloaded.
        """
        self.paths = paths
        self.bands, self.band_indexes, self.cache = (), None, False
        self.time_series = False
        self.transforms = transforms
        self.download, self.checksum = download, checksum
        self._arrays = {path: open_array(path) for path in self._found()}
        channels = {array.channels for array in self._arrays.values()}
        if len(channels) > 1:
            raise ValueError(f'The maps have {sorted(channels)} channels; wanted the same of all.')
        (self._channels,) = channels
        system = _WGS84 if crs is None else CRS.from_user_input(crs)
        if res is None and not system.is_geographic:
            raise ValueError(f'res is needed: the size of a pixel in units of {system.name}.')
        step = (CELL_DEG, CELL_DEG) if res is None else res
        self._res = _resolution(step)
        self._place(system)

    @property
    def crs(self) -> CRS:
        """Coordinate reference system of the samples."""
        found: CRS = self.index.crs
        return found

    @crs.setter
    def crs(self, new_crs: CRS) -> None:
        """Change it. The outline is found anew, for that of the world is infinite in most systems.

        Raises:
            ValueError: If there is no outline of the map in it.
        """
        if new_crs != self.crs:
            self._place(CRS.from_user_input(new_crs))

    def plot(self, sample: Sample, show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw a sample, coloured by the three directions of its own largest variance.

        Colours of two pictures cannot be compared. Cells without data are white.

        Args:
            sample: An item of this dataset.
            show_titles: Write above it what is shown.
            suptitle: Title of the figure; none when None.
        """
        return draw_embedding(sample['image'].numpy(), show_titles, suptitle)

    def _found(self) -> list[str]:
        """Return the files of the maps."""
        several = not isinstance(self.paths, str | os.PathLike)
        listed = [self.paths] if isinstance(self.paths, str | os.PathLike) else self.paths
        given = [str(path) for path in listed]
        if several or not Path(given[0]).is_dir() or given[0].endswith('.zarr'):
            if not given or not all('://' in path or Path(path).exists() for path in given):
                raise DatasetNotFoundError(self)
            return given
        found = [p for p in sorted(Path(given[0]).glob(self.filename_glob)) if p.suffix in SUFFIXES]
        if len(found) > 1:
            names = [path.name for path in found]
            raise ValueError(f'{given[0]} has several maps {names}; give the path of one.')
        published = not found or found[0].name == FILES['map_tif'].name
        if self.download and published:
            return [str(download_embed('map_tif', given[0], checksum=self.checksum))]
        if not found:
            raise DatasetNotFoundError(self)
        return [str(found[0])]

    def _place(self, crs: CRS) -> None:
        """Lay out the index in a coordinate reference system."""
        outlines = [
            (path, outline)
            for path, array in self._arrays.items()
            for outline in footprints(array.window, crs)
        ]
        # As of TorchGeo's rasters without a date.
        days = [(pd.Timestamp.min, pd.Timestamp.max)] * len(outlines)
        self.index = gpd.GeoDataFrame(
            {'filepath': [path for path, _ in outlines]},
            index=pd.IntervalIndex.from_tuples(days, closed='both', name='datetime'),
            geometry=[outline for _, outline in outlines],
            crs=crs,
        )
        self._to_lonlat = Transformer.from_crs(crs, _WGS84, always_xy=True)

    # What TorchGeo calls to read the pixels of a sample: this one up to 0.8, the other one from 0.9 on.
    def _merge_files(
        self, filepaths: Sequence[str], query: GeoSlice, *_: object, **__: object
    ) -> Tensor:
        x, y, _t = self._disambiguate_slice(query)
        width = max(1, round((x.stop - x.start) / x.step))
        height = max(1, round((y.stop - y.start) / y.step))
        east = x.start + (np.arange(width) + 0.5) * x.step
        north = y.stop - (np.arange(height) + 0.5) * y.step
        lon, lat = self._to_lonlat.transform(*np.meshgrid(east, north))
        found = np.zeros((self._channels, height, width), np.float32)
        for path in dict.fromkeys(filepaths):
            _fill(found, self._arrays[path], np.asarray(lon), np.asarray(lat))
        return torch.from_numpy(found)

    _merge_or_stack = _merge_files


def _fill(
    target: NDArray[np.float32], array: MapArray, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> None:
    """Write the vectors of places (deg, `[h, w]`) into those that are 0 in `[channels, h, w]`."""
    half = CELL_DEG / 2
    inside = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) < 90 + half)
    inside &= ~(target != 0).any(axis=0)
    rows, columns = MapWindow().positions(np.where(inside, lon, 0), np.where(inside, lat, 0))
    own = array.window
    inside &= (rows >= own.row) & (rows < own.row + own.rows)
    inside &= (columns - own.column) % COLUMNS < own.columns
    if not inside.any():
        return
    rows, columns = rows[inside], columns[inside]
    box = _around(rows, columns)
    cells = LazyMap(array, box).cells(slice(0, box.rows), slice(0, box.columns))
    target[:, inside] = cells[rows - box.row, (columns - box.column) % COLUMNS].T


def _around(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> MapWindow:
    """Return the smallest rectangle around cells, across the date line where that is shorter."""
    distinct = np.unique(columns)
    gaps = np.diff(distinct, append=distinct[0] + COLUMNS)
    last = int(gaps.argmax())
    first = int(distinct[(last + 1) % len(distinct)])
    width = (int(distinct[last]) - first) % COLUMNS + 1
    top = int(rows.min())
    return MapWindow(top, first, int(rows.max()) - top + 1, width)


def _resolution(res: object) -> tuple[float, float]:
    sides = res if isinstance(res, tuple | list) else (res, res)
    right = len(sides) == 2 and all(
        isinstance(side, int | float) and not isinstance(side, bool) and 0 < side < np.inf
        for side in sides
    )
    if not right:
        raise ValueError(f'res is {res!r}; give the size of a pixel, or (width, height), above 0.')
    return float(sides[0]), float(sides[1])
