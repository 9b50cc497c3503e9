"""Reads one GeoTIFF of Copernicus-Pretrain into physical units, if it is what its place in the list says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import (
    S3_LISTED,
    S3_ON_DISK,
    ImageFile,
)
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.datasets.raster import read_raster
from torchgeo_copernicus.metadata import acquisition_metadata
from torchgeo_copernicus.sensors import OLCI_SCALE

#: Files of fewer bytes are damaged, and were not used for the shards either.
SMALLEST_FILE_BYTES = 1000
# Types of the numbers in the files: digital numbers are whole, all else is not.
_DTYPES: dict[ModalityName, tuple[str, ...]] = dict.fromkeys(MODALITIES, ('float32', 'float64'))
_DTYPES |= {'s2_toa': ('uint16', 'int16'), 'dem': ('float32', 'float64', 'int16')}
_OLCI = np.array(
    [OLCI_SCALE[band.name] for band in MODALITIES['s3_olci'].sensor.bands], np.float32
)[:, None, None]


class ImageReader:
    """Reads images below a root."""

    def __init__(self, root: Path) -> None:
        """Name the root."""
        self._root = root

    def path(self, image: ImageFile) -> Path:
        """Return where an image is: Sentinel-3 in either of its folders, if in any the one known on disk."""
        path = self._root / image.path
        if image.path.startswith(S3_LISTED):
            usual = self._root / (S3_ON_DISK + image.path.removeprefix(S3_LISTED))
            return usual if usual.exists() or not path.exists() else path
        if image.path.startswith(S3_ON_DISK) and not path.exists():
            other = self._root / (S3_LISTED + image.path.removeprefix(S3_ON_DISK))
            return other if other.exists() else path
        return path

    def read(
        self, name: ModalityName, image: ImageFile, cell: Cell, place: str
    ) -> tuple[Tensor, Tensor]:
        """Return an image, float32 `[C, h, w]` in physical units, and its metadata `[4]`.

        Args:
            name: Its modality.
            image: Which.
            cell: Its cell.
            place: Name of its local patch, empty where it is of the whole cell. It tells where an image
                without a georeference is.

        Raises:
            ValueError: If it is missing, cut off, of another shape or type, or lies elsewhere; names it.
        """
        path, sensor = self.path(image), MODALITIES[name].sensor
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ValueError(f'{path} is listed but cannot be found ({error}).') from error
        if size < SMALLEST_FILE_BYTES:
            raise ValueError(
                f'{path} has {size} bytes, which no image is as small as; it is cut off. Get it again.'
            )
        raster = read_raster(path, bands=len(sensor.bands))
        if raster.pixels.dtype.name not in _DTYPES[name]:
            raise ValueError(
                f'{path} is {raster.pixels.dtype}; images of {name} are {" or ".join(_DTYPES[name])}.'
            )
        pixels = raster.pixels.astype(np.float32)
        if name == 's3_olci':
            pixels *= _OLCI
        height, width = pixels.shape[1:]
        metadata = acquisition_metadata(raster.crs, raster.transform, (height, width), None)
        metadata[2] = image.days
        _, longitude, latitude = split_name(place or cell.name)
        if bool(metadata[:2].isnan().any()):
            metadata[:2] = torch.tensor([longitude, latitude])
            metadata[3] = MODALITIES[name].gsd_m(latitude)
        elif _degrees_apart(metadata[:2].tolist(), (longitude, latitude)) > CELL_DEG:
            raise ValueError(
                f'{path} lies at {metadata[0]:.2f}, {metadata[1]:.2f} degrees, but is listed as of '
                f'{place or cell.name}.'
            )
        return torch.from_numpy(pixels), metadata


def _degrees_apart(found: list[float], wanted: tuple[float, float]) -> float:
    """Return how far two places near each other are apart, in degrees of latitude."""
    east = (found[0] - wanted[0] + 180) % 360 - 180
    return math.hypot(east * math.cos(math.radians(wanted[1])), found[1] - wanted[1])
