"""Reads one scene of SSL4EO-S12 v1.0: its bands in physical units on one grid, and where and when it was.

The release has one file per band at 10, 20 or 60 m. The 8-bit release is known by its description only,
so both layouts that fit it are read: one file per band, and one file with all bands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from torch import Tensor

from torchgeo_copernicus.datasets.raster import Raster, read_raster, reading_several
from torchgeo_copernicus.datasets.ssl4eo.statistics import (
    EIGHT_BIT_STATISTICS,
    MODALITY_BANDS,
    Modality,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.place import Scene
from torchgeo_copernicus.metadata import acquisition_metadata

Variant = Literal['raw', '8bit', 'rgb']
Resampling = Literal['bilinear', 'nearest']
NoData = Literal['nan', 'stored']

#: Distance between pixels of the common grid (m).
GSD_M = 10.0
#: Native distance (m) of the bands that have another.
NATIVE_GSD_M = dict.fromkeys(('B05', 'B06', 'B07', 'B8A', 'B11', 'B12'), 20.0)
NATIVE_GSD_M |= dict.fromkeys(('B01', 'B09', 'B10'), 60.0)


def file_name(band: str) -> str:
    """Return the name of a band's file, such as `B1.tif` for B01."""
    return f'{band.replace("B0", "B")}.tif'


def stored_dtype(modality: Modality, variant: Variant) -> str:
    """Return the type of the pixels in the files."""
    if variant != 'raw':
        return 'uint8'
    return 'float32' if modality == 'S1GRD' else 'uint16'


def native_px(band: str, grid_px: int) -> int:
    """Return the side (px) of a band's image where the common grid has a side of *grid_px*."""
    return round(grid_px * GSD_M / NATIVE_GSD_M.get(band, GSD_M))


def decode_8bit(counts: Tensor, modality: Modality, bands: Sequence[str]) -> Tensor:
    """Undo the stretch of the 8-bit release as far as that goes.

    The stretch was `trunc(255 clip((x - (m - 2s)) / 4s, 0, 1))` with mean m and deviation s of a band, so
    a count stands for a range of s / 64 (about 18 DN in red), of which the middle is returned. What was
    beyond two deviations stays cut off, and the JPEG compression stays too.

    Args:
        counts: float32 `[C, ...]`, 0 to 255.
        modality: Of the images.
        bands: Names of the C bands.

    Returns:
        float32 of the same shape: DN for Sentinel-2, dB for Sentinel-1.
    """
    statistics = EIGHT_BIT_STATISTICS[modality]
    shape = (len(bands), *[1] * (counts.ndim - 1))
    mean = torch.tensor([statistics.mean[band] for band in bands]).reshape(shape)
    std = torch.tensor([statistics.std[band] for band in bands]).reshape(shape)
    # 255 is reached at the upper end only.
    share = (counts + 0.5 * (counts < 255)) / 255
    return mean + (4 * share - 2) * std


@dataclass(frozen=True)
class SceneReader:
    """Reads the scenes of one modality.

    Attributes:
        modality: Which.
        bands: Names of the bands in the order wanted.
        variant: `raw`, or `8bit` or `rgb` for counts of the 8-bit release.
        decode: Turn such counts into physical units.
        resampling: How bands of 20 and 60 m get to the grid of 10 m.
        nodata: `nan`: pixels stored as 0 become NaN (raw images only).
        size: Side of that grid (px).
    """

    modality: Modality
    bands: tuple[str, ...]
    variant: Variant
    decode: bool
    resampling: Resampling
    nodata: NoData
    size: int

    def read(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return an image (float32 `[C, size, size]`) and its metadata (float32 `[4]`).

        The place is the middle of the pixel beside the middle of the image, in the file's own
        coordinates turned into WGS 84. The files' origins are off by half a pixel of each band's own size,
        which this takes back: all bands of a scene give one place.

        Raises:
            ValueError: If a file is missing, damaged, or not of this modality and variant.
        """
        rasters = self._rasters(scene)
        planes = {band: self._pixels(raster.pixels) for band, (_, raster) in rasters.items()}
        image = torch.empty(len(self.bands), self.size, self.size)
        by_side: dict[int, list[str]] = defaultdict(list)
        for band, plane in planes.items():
            by_side[plane.shape[-1]].append(band)
        for side, names in by_side.items():
            rows = [self.bands.index(name) for name in names]
            stack = torch.stack([planes[name] for name in names])
            image[rows] = stack if side == self.size else self._resized(stack)
        if self.variant != 'raw' and self.decode:
            image = decode_8bit(image, self.modality, self.bands)
        path, first = next(iter(rasters.values()))
        return image, self._located(path, first, scene)

    def metadata(self, scene: Scene) -> Tensor:
        """Return the metadata (float32 `[4]`) of a scene without reading its pixels.

        Raises:
            ValueError: If its first file is missing or damaged.
        """
        path = scene.path / file_name(self.bands[0])
        if self.variant != 'raw' and not path.exists():
            path = _single_file(scene)
        return self._located(path, _header(path), scene)

    def _rasters(self, scene: Scene) -> dict[str, tuple[Path, Raster]]:
        """Return the file and the image (`[1, H, W]`) of each band."""
        stored = MODALITY_BANDS[self.modality]
        if self.variant == 'raw' or (scene.path / file_name(self.bands[0])).exists():
            paths = {band: scene.path / file_name(band) for band in self.bands}
            found = {band: (path, read_raster(path, bands=1)) for band, path in paths.items()}
        else:
            path = _single_file(scene)
            raster = read_raster(path, bands=len(stored))
            rows = {band: stored.index(band) for band in self.bands}
            found = {
                band: (path, Raster(raster.pixels[row : row + 1], raster.crs, raster.transform))
                for band, row in rows.items()
            }
        for band, (path, raster) in found.items():
            self._check(path, band, raster)
        return found

    def _check(self, path: Path, band: str, raster: Raster) -> None:
        wanted = stored_dtype(self.modality, self.variant)
        if raster.pixels.dtype != wanted:
            hint = "pass variant='8bit'" if raster.pixels.dtype == np.uint8 else 'check the variant'
            raise ValueError(
                f'{path} holds {raster.pixels.dtype}, where {self.modality} of '
                f'variant={self.variant!r} has {wanted}: {hint}.'
            )
        sides = {native_px(band, self.size)} | ({self.size} if self.variant != 'raw' else set())
        height, width = raster.pixels.shape[1:]
        if height != width or height not in sides:
            raise ValueError(
                f'{path} is {height} x {width} px, wanted {" or ".join(map(str, sorted(sides)))} px: '
                f'the grid of 10 m has {self.size} px in this copy.'
            )

    def _pixels(self, stored: NDArray[np.generic]) -> Tensor:
        values = torch.from_numpy(stored[0].astype(np.float32))
        if self.variant == 'raw' and self.nodata == 'nan':
            # Earth Engine wrote 0 where it had no pixel; among dB that would be a bright echo.
            values = values.masked_fill(values == 0, torch.nan)
        return values

    def _resized(self, planes: Tensor) -> Tensor:
        # Bilinear with the corners of the images aligned, as in the pretraining; no antialiasing.
        size = (self.size, self.size)
        if self.resampling == 'nearest':
            return F.interpolate(planes[None], size, mode='nearest-exact')[0]
        return F.interpolate(planes[None], size, mode='bilinear', align_corners=False)[0]

    def _located(self, path: Path, raster: Raster, scene: Scene) -> Tensor:
        try:
            return acquisition_metadata(
                raster.crs, raster.transform, raster.pixels.shape[1:], scene.time, gsd_m=GSD_M
            )
        except (ValueError, ProjError) as error:
            raise ValueError(f'{path}: {error}') from error


def grid_px(scene: Scene, modality: Modality) -> int:
    """Return the side (px) of the 10 m grid of a copy, from the largest band of one scene.

    Raises:
        ValueError: If the scene has no file of the modality, or one is damaged.
    """
    stored = MODALITY_BANDS[modality]
    paths = [scene.path / file_name(band) for band in stored]
    found = [path for path in paths if path.exists()]
    if found:
        return max(int(_header(path).pixels.shape[-1]) for path in found)
    return int(_header(_single_file(scene)).pixels.shape[-1])


def _header(path: Path) -> Raster:
    """Return size and place of a GeoTIFF, without pixels (`[0, H, W]`).

    Raises:
        ValueError: If the file is missing or damaged.
    """
    try:
        with reading_several(), DatasetReader(str(path), driver='GTiff') as file:
            crs = None if file.crs is None else str(file.crs.to_wkt())
            return Raster(np.empty((0, file.height, file.width)), crs, file.transform)
    except (RasterioError, OSError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}); it is cut off or no GeoTIFF.'
        ) from error


def _single_file(scene: Scene) -> Path:
    """Return the one file of a scene that holds all bands."""
    if scene.path.is_file():
        return scene.path
    files = [path for path in scene.path.glob('*.tif*') if not path.name.startswith('.')]
    if len(files) != 1:
        raise ValueError(
            f'{scene.path} holds {len(files)} images; wanted one file per band ({file_name("B02")}, '
            '...; VV.tif, VH.tif), or a single one with all bands (8-bit release).'
        )
    return files[0]
