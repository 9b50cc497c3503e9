"""Who opens a region of a map of full size needs little memory, and waits for no package that reads no maps."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from torchgeo_copernicus.datasets import embed

REGION = (0.0, 40.0, 20.0, 60.0)
# A cell of this one: 8.25 degrees east, 50 degrees north.
ROW, COLUMN = 160, 753
PROGRAM = """
import re, sys
from torchgeo_copernicus.datasets.embed import nearest, open_map, project, sample, to_era5, write_map
late = sorted({'torch', 'torchgeo', 'lightning', 'timm'} & set(sys.modules))
part = open_map(sys.argv[1], region=(0.0, 40.0, 20.0, 60.0)).load()
values = part['embedding']
# Not getrusage, which starts with that of the process that started this one.
kib = int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])
print(late, values.shape, int(part['valid'].sum()), float(values.sel(lat=50, lon=8.25).sum()), kib)
"""


@pytest.fixture(scope='module', params=['npz', 'tif'])
def full_map(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map with 768 channels and data in one cell: 3.2 GB of numbers in a file of few blocks."""
    path = tmp_path_factory.mktemp('full') / f'embed_map_310k.{request.param}'
    if request.param == 'tif':
        profile = {
            'driver': 'GTiff',
            'height': 721,
            'width': 1440,
            'count': 768,
            'dtype': 'float32',
        }
        profile |= {'tiled': True, 'blockxsize': 16, 'blockysize': 16, 'interleave': 'pixel'}
        profile |= {'sparse_ok': True, 'compress': 'deflate', 'crs': 'EPSG:4326', 'bigtiff': 'yes'}
        grid = rasterio.Affine(0.25, 0, -180.125, 0, -0.25, 90.125)
        with rasterio.open(path, 'w', **profile, transform=grid) as file:
            cell = np.ones((768, 1, 1), np.float32)
            file.write(cell, window=rasterio.windows.Window(COLUMN, ROW, 1, 1))
        return path
    # A zip archive of one member, written by hand: zipfile would write all of its zeros.
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {'descr': '<f4', 'fortran_order': False, 'shape': (721, 1440, 768)}
    )
    name, header = b'arr_0.npy', head.getvalue()
    size = len(header) + 4 * 721 * 1440 * 768
    sizes = (0, size, size, len(name))
    local = struct.pack('<4s5H3I2H', b'PK\3\4', 20, 0, 0, 0, 33, *sizes, 0) + name
    central = struct.pack('<4s6H3I5H2I', b'PK\1\2', 20, 20, 0, 0, 0, 33, *sizes, *[0] * 6) + name
    first = len(local) + len(header)
    with path.open('wb') as written:
        written.write(local + header)
        written.seek(first + 4 * 768 * (ROW * 1440 + COLUMN))
        written.write(np.ones(768, '<f4').tobytes())
        written.seek(len(local) + size)
        end = written.tell()
        written.write(central)
        written.write(struct.pack('<4s4H2IH', b'PK\5\6', 0, 0, 1, 1, len(central), end, 0))
    return path


def test_a_region_of_a_full_map_needs_less_than_half_a_gigabyte(full_map: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(full_map)], check=True, capture_output=True, text=True
    )
    told, kib = done.stdout.strip().rsplit(' ', 1)
    # Nothing that trains models was imported, which alone would take 0.7 GB.
    assert told == '[] (81, 81, 768) 1 768.0'
    assert int(kib) < 512 * 1024
    assert full_map.stat().st_blocks * 512 < 1 << 28


def test_what_is_imported_late_is_listed_and_unknown_names_are_refused() -> None:
    assert 'CopernicusEmbedMap' in dir(embed)
    assert embed.CopernicusEmbedMap.__name__ == 'CopernicusEmbedMap'
    with pytest.raises(AttributeError, match=r"embed' has no attribute 'Map'"):
        embed.Map  # noqa: B018
