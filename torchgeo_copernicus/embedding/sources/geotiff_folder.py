"""Any GeoTIFFs as a source: each cut into tiles, or all of a day as one mosaic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import RasterioError

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.embedding.footprint import raster_corners
from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind
from torchgeo_copernicus.embedding.sources.pretrain_cell import pretrain_kinds, sha256_of_parts
from torchgeo_copernicus.embedding.sources.raster_files import RasterFiles
from torchgeo_copernicus.embedding.sources.raster_tiles import (
    RasterTile,
    tiles_of_files,
    tiles_of_mosaics,
)
from torchgeo_copernicus.embedding.sources.tile_reading import read_mosaic, read_window
from torchgeo_copernicus.metadata import acquisition_metadata
from torchgeo_copernicus.sensors import get_sensor

#: How tiles are laid: over each file from its first pixel in its own grid, or over all files of a day.
Tiling = Literal['file', 'mosaic']


class GeoTIFFSource:
    """Tiles of GeoTIFFs, a tile an item; nothing at borders is lost, and tiles without data have no image.

    TorchGeo's `RasterDataset` finds days and the common grid of a mosaic. Tiles are laid here, because its
    grid sampler leaves out files that are smaller than a tile, and cuts what files share twice.
    """

    def __init__(
        self,
        paths: str | list[str],
        sensor: str,
        bands: list[str] | None = None,
        size_px: int | None = None,
        stride_px: int | None = None,
        tiling: Tiling = 'file',
        filename_regex: str | None = None,
        date_format: str = '%Y%m%d',
        day: str | None = None,
        nodata: float | None = None,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        """Read the heads of all files.

        Args:
            paths: Files, and folders that are searched for `.tif` and `.tiff`.
            sensor: What took the images, such as `s2_toa`.
            bands: Names of the channels of the files, in their order; all of the sensor when None.
            size_px: Side of a tile; that of a model's image when None.
            stride_px: From a tile to the next; *size_px* when None.
            tiling: `file` lays tiles over each file in its own grid. `mosaic` lays them over all files of a
                day, in the grid of the first; where files overlap, the first by name is taken.
            filename_regex: Expression that all file names match, with the group `date`, or `start` and `stop`.
            date_format: Of the groups, for `strptime`.
            day: When all files were taken (YYYY-MM-DD), instead of *filename_regex*.
            nodata: Stored value that means no data, besides what the files say.
            scale: What stored values are multiplied by, to be in the unit of the sensor's statistics.
            offset: What is added then.

        Raises:
            ValueError: If an argument is impossible, there is no file, or one is not as it should be.
        """
        one_of('tiling', tiling, Tiling)
        if day is not None and filename_regex is not None:
            raise ValueError('day and filename_regex both say when files were taken; give one.')
        if date_format != '%Y%m%d' and filename_regex is None:
            raise ValueError('date_format is of what filename_regex finds; give both.')
        name = get_sensor(sensor).name
        (kind,) = pretrain_kinds([modality for modality in MODALITIES if modality == name]).values()
        chosen = kind.bands if bands is None else kind.sensor.select(bands)
        self._size = kind.size_px if size_px is None else _positive('size_px', size_px)
        self._stride = self._size if stride_px is None else _positive('stride_px', stride_px)
        if self._stride > self._size:
            raise ValueError(
                f'stride_px {self._stride} is more than size_px {self._size}: pixels between tiles would be '
                'lost.'
            )
        self._scale, self._offset = _number('scale', scale), _number('offset', offset)
        if not scale:
            raise ValueError('scale is 0, which leaves nothing of the images.')
        self._tiling, self._nodata = tiling, nodata
        names = [band.name for band in chosen]
        self._found = RasterFiles.find(
            paths, names, filename_regex, date_format, None if day is None else _day(day)
        )
        others = [f for f in self._found.files if f.nodata is not None and f.nodata != nodata]
        if tiling == 'mosaic' and nodata is not None and others:
            raise ValueError(
                f'nodata is {nodata}, but {others[0].name} says {others[0].nodata}; a mosaic takes one of '
                'them. Leave nodata out, or change the files.'
            )
        if tiling == 'file':
            self._tiles = list(tiles_of_files(self._found.files, self._size, self._stride))
        else:
            self._tiles = list(tiles_of_mosaics(self._found, self._size, self._stride))
        self._kind = ImageKind(
            kind.name,
            kind.sensor,
            chosen,
            kind.statistics,
            kind.size_px,
            'degrees' if CRS.from_wkt(self._found.crs).is_geographic else 'metres',
        )

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """See `EmbeddingSource`; files are told by name, size and day."""
        files = [(file.name, file.bytes, str(file.day)) for file in self._found.files]
        return {
            'source': 'GeoTIFF',
            'tiling': self._tiling,
            'size_px': self._size,
            'stride_px': self._stride,
            'bands': self._kind.band_names,
            'nodata': None if self._nodata is None else repr(float(self._nodata)),
            'scale': self._scale,
            'offset': self._offset,
            'tiles': len(self),
            'sha256': sha256_of_parts(files),
        }

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """See `EmbeddingSource`."""
        return {self._kind.name: self._kind}

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self._tiles)

    def items(self, index: int) -> list[EmbeddingImage]:
        """Return the image of a tile, or nothing where it has no data; see `EmbeddingSource`."""
        tile = self._tiles[index]
        files = [self._found.files[number] for number in tile.files]
        names = ' '.join(file.name for file in files)
        try:
            with reading_several():
                pixels = self._read(tile)
        except RasterioError as error:
            raise ValueError(f'{names}: cannot be read: {error}') from error
        if not np.isfinite(pixels).any():
            return []
        crs = files[0].crs if self._tiling == 'file' else self._found.crs
        shape = self._size, self._size
        return [
            EmbeddingImage(
                tile.key,
                self._kind.name,
                torch.from_numpy(pixels * np.float32(self._scale) + np.float32(self._offset)),
                acquisition_metadata(crs, tile.transform, shape, files[0].day),
                names,
                raster_corners(CRS.from_wkt(crs), tile.transform, *shape),
            )
        ]

    def _read(self, tile: RasterTile) -> NDArray[np.float32]:
        paths = [self._found.files[number].path for number in tile.files]
        if self._tiling == 'file':
            return read_window(paths[0], tile.row, tile.column, self._size, self._nodata)
        return read_mosaic(paths, self._found.crs, tile.transform, self._size, self._nodata)


def _positive(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f'{name} is {value!r}; wanted a whole number of pixels, at least 1.')
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f'{name} is {value!r}; wanted a number.')
    return float(value)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise ValueError(f'day is {text!r}; wanted YYYY-MM-DD.') from error
