"""Writes a map to a file that `open_map`, GDAL and xarray read: whole, or not at all.

Only some rows of it are in memory at a time.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.windows import Window

from torchgeo_copernicus.datasets.embed.map_dataset import map_dataset, spatial_reference, window_of
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.embed.npz_array import ARRAY
from torchgeo_copernicus.datasets.embed.row_blocks import RowBlock, row_blocks

#: Cells of a side of the blocks of GeoTIFF and Zarr. GDAL wants 16 or more; a block of 768 channels has 0.8 MB, and
#: a region of 20 degrees reads 1.4 times its bytes with them.
BLOCK_CELLS = 16
#: Endings of files that can be written.
SUFFIXES = ('.npz', '.tif', '.zarr')


def write_map(ds: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a map, or a region of one.

    | file | layout |
    |---|---|
    | `.npz` | `arr_0`, float32 `[721, 1440, channels]`, not compressed, as published; whole maps only |
    | `.tif` | a float32 band for each channel, tiles of 16 x 16 with all bands together, deflate, empty tiles left \
out, EPSG:4326, and a mask of the cells with data |
    | `.zarr` | Zarr v2 with CF coordinates, chunks of 16 x 16 cells with all channels |

    Args:
        ds: From `open_map`, or made alike. Cells that are not valid are written as 0.
        path: File or folder to make; its ending says which.
        overwrite: Replace what is there.

    Returns:
        The path.

    Raises:
        ValueError: If it is no map, the ending is unknown, the map cannot be written so, a cell with data is not
            finite, or is 0 in all channels (and would be read as one without data).
        FileExistsError: If it is there and not to be replaced.
        OSError: If it cannot be written.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise ValueError(f'{target} ends with {target.suffix!r}; a map is written as {SUFFIXES}.')
    window = window_of(ds)
    if target.suffix == '.npz' and window != MapWindow():
        raise ValueError(
            f'The map has {window}; .npz keeps no place, and so only whole maps from -180 on. Write .tif or .zarr.'
        )
    if target.exists() and not overwrite:
        raise FileExistsError(f'{target} exists; give overwrite=True to replace it.')
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(dir=target.parent, prefix=f'.{target.name}.'))
    try:
        made = scratch / target.name
        if target.suffix == '.npz':
            _write_npz(ds, made)
        elif target.suffix == '.tif':
            _write_geotiff(ds, window, made)
        else:
            _write_zarr(ds, window, made)
        _put(made, target, scratch / 'old')
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _put(made: Path, target: Path, old: Path) -> None:
    """Rename what was made into place, once it is on the disk."""
    for file in [made] if made.is_file() else [p for p in made.rglob('*') if p.is_file()]:
        with file.open('rb') as opened:
            os.fsync(opened.fileno())
    if target.is_dir():
        target.rename(old)
    os.replace(made, target)


def _filled(block: RowBlock) -> NDArray[np.float32]:
    """Return the numbers of a block, 0 where there is no data."""
    vectors = block.vectors
    if not np.isfinite(vectors).all():
        raise ValueError('A cell with data has numbers that are not finite; mark it as not valid.')
    if not (vectors != 0).any(axis=1).all():
        raise ValueError('A cell with data is 0 in all channels; a file takes that for no data.')
    return np.where(block.valid[..., None], block.embedding, np.float32(0))


def _write_npz(ds: xr.Dataset, path: Path) -> None:
    header = {
        'descr': np.lib.format.dtype_to_descr(np.dtype('<f4')),
        'fortran_order': False,
        'shape': ds['embedding'].shape,
    }
    with (
        zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive,
        archive.open(f'{ARRAY}.npy', 'w', force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for block in row_blocks(ds):
            file.write(np.ascontiguousarray(_filled(block), '<f4').data.cast('B'))


def _write_geotiff(ds: xr.Dataset, window: MapWindow, path: Path) -> None:
    profile = {
        'driver': 'GTiff',
        'height': window.rows,
        'width': window.columns,
        'count': ds.sizes['channel'],
        'dtype': 'float32',
        'crs': 'EPSG:4326',
        'transform': rasterio.Affine(*window.geotransform),
        'tiled': True,
        'blockxsize': BLOCK_CELLS,
        'blockysize': BLOCK_CELLS,
        'interleave': 'pixel',
        'compress': 'deflate',
        'predictor': 3,
        'sparse_ok': True,
        'bigtiff': 'if_safer',
    }
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, 'w', **profile) as file:
        file.update_tags(source=str(ds.attrs.get('source', '')))
        for block in row_blocks(ds, BLOCK_CELLS):
            place = Window(0, block.row, window.columns, len(block.valid))
            file.write(_filled(block).transpose(2, 0, 1), window=place)
            file.write_mask(block.valid.astype(np.uint8) * 255, window=place)


def _write_zarr(ds: xr.Dataset, window: MapWindow, path: Path) -> None:
    chunks = tuple(min(BLOCK_CELLS, length) for length in (window.rows, window.columns))
    encoding = {
        # Without a fill value of xarray, which would turn zeros into NaN when read.
        'embedding': {'chunks': (*chunks, ds.sizes['channel']), '_FillValue': None},
        # Small: rows of chunks in one, for every file takes its time.
        'valid': {'chunks': (chunks[0], window.columns)},
        # Else as many files as there are rows of chunks, which all are read to open the map.
        'lat': {'chunks': (window.rows,)},
    }
    source = str(ds.attrs.get('source', ''))
    for block in row_blocks(ds, BLOCK_CELLS):
        here = window.part(slice(block.row, block.row + len(block.valid)), slice(0, window.columns))
        part = map_dataset(_filled(block), here, block.valid, source=source)
        # Attributes of the whole map, not of these rows.
        part.attrs['geotransform'] = list(window.geotransform)
        part['spatial_ref'].attrs = spatial_reference(window)
        if block.row:
            part.to_zarr(path, append_dim='lat', zarr_format=2, consolidated=True)
        else:
            part.to_zarr(path, encoding=encoding, zarr_format=2, consolidated=True)
