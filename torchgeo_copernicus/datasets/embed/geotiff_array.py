"""Opens a map in a GeoTIFF, such as TorchGeo's copy of the published one: a band for each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window

from torchgeo_copernicus.datasets.embed.map_array import Layout
from torchgeo_copernicus.datasets.embed.map_window import MapWindow

_WGS84 = CRS.from_epsg(4326)


def check_crs(name: str, wkt: str | None) -> None:
    """Check that a map is in longitude and latitude.

    Args:
        name: Of the file, for messages.
        wkt: Its coordinate reference system.

    Raises:
        ValueError: If it is not EPSG:4326.
    """
    found = None if not wkt else CRS.from_wkt(wkt)
    if found is None or not found.equals(_WGS84, ignore_axis_order=True):
        given = 'no coordinate reference system' if found is None else found.name
        raise ValueError(
            f'{name} has {given}, a map is in EPSG:4326. If its pixels are in longitude and latitude, declare '
            'it so (gdal_edit -a_srs EPSG:4326); do not warp it.'
        )


@dataclass(frozen=True)
class GeoTiffArray:
    """A map or a part of it in a GeoTIFF.

    Attributes:
        name: Path of the file.
        window: The cells it has.
        channels: Its bands.
        layout: Size of its blocks.
        nodata: Number that stands for no data, where that is not 0.
    """

    name: str
    window: MapWindow
    channels: int
    layout: Layout
    nodata: float | None

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a part; see `MapArray`."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        try:
            with rasterio.open(self.name) as file:
                bands = file.read(
                    window=Window(columns.start, rows.start, width, height), out_dtype=np.float32
                )
        except RasterioError as error:
            raise ValueError(f'{self.name} cannot be read ({error}); it is damaged.') from error
        found = np.ascontiguousarray(bands.transpose(1, 2, 0))
        if self.nodata is not None:
            found[(found == np.float32(self.nodata)).any(axis=2)] = 0
        return found


def open_geotiff(path: str) -> GeoTiffArray:
    """Open a GeoTIFF with pixels of 0.25 degrees, north up, in EPSG:4326.

    Args:
        path: Path of the file, or anything else that GDAL opens.

    Raises:
        ValueError: If it is damaged, lies elsewhere, or is not of real numbers.
    """
    try:
        with rasterio.open(path) as file:
            kinds = {np.dtype(kind).kind for kind in file.dtypes}
            if kinds != {'f'}:
                raise ValueError(f'{path} holds {sorted(set(file.dtypes))}; a map is of floats.')
            # First: pixels in metres are no degrees.
            check_crs(path, file.crs.to_wkt() if file.crs else None)
            window = MapWindow.of_geotransform(file.transform, file.height, file.width, path)
            height, width = file.block_shapes[0]
            nodata = None if file.nodata is None or file.nodata == 0 else float(file.nodata)
            return GeoTiffArray(path, window, int(file.count), Layout(height, width), nodata)
    except RasterioError as error:
        raise ValueError(
            f'{path} cannot be read ({error}); it is missing, cut off or not a GeoTIFF.'
        ) from error
