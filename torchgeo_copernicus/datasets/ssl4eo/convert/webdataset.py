"""Converts SSL4EO-S12 v1.1 into the layout of its WebDataset edition: tar archives, a member a place.

A network file system or a web server then gives whole archives as one stream. `SSL4EOS12v11` reads them
too, in any order.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport, Job, convert
from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import SUFFIX, Split
from torchgeo_copernicus.datasets.ssl4eo.v11.parts import Codec, SplitPart, parts_of
from torchgeo_copernicus.datasets.ssl4eo.v11.variables import member_arrays
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import write_zarr_zip

#: Places of an archive, as published.
PLACES_PER_TAR = 512


def convert_webdataset(
    root: Path | str,
    output: Path | str,
    split: Split = 'train',
    modalities: Sequence[Modality] = ('S2L1C', 'S2L2A', 'S1GRD'),
    *,
    edition: Edition | None = None,
    files: Sequence[str] | None = None,
    places_per_tar: int = PLACES_PER_TAR,
    codec: Codec = 'zstd',
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Write `<output>/<split>/<modality>/ssl4eos12_shard_NNNNNN.tar`.

    As in the published edition, Sentinel-2 has no offset of 1000 DN, and Sentinel-1 is in the order of its
    acquisition. Member n of one modality is the place of member n of every other one. A chunk is a date.

    Args:
        root: Folder or address with `train` and `val`.
        output: Folder to write into, the `root` of the new copy.
        split: `train` or `val`.
        modalities: Which images; converted at once, they have the places in the same order.
        edition: Edition of the source; told by what is there when None.
        files: Names of files to take; those of the split's list that are there when None.
        places_per_tar: Places of an archive.
        codec: `zstd` is smaller, `lz4` faster.
        scheduler: Of Dask; see `conversion.convert`.
        workers: How many files are made at once; each takes some 50 MB of memory.
        progress: Show a bar.

    Raises:
        ValueError: If an argument is impossible, a source is damaged, or the folder holds something else.
    """
    jobs = []
    for part in parts_of(root, split, modalities, edition, files, places_per_tar, codec):
        number = part.first // places_per_tar + 1
        folder = f'{split}/{part.modality}/'
        name = f'{folder}ssl4eos12_shard_{number:06d}{SUFFIX["webdataset"]}'
        options = {
            'format': 'webdataset',
            'places_per_tar': places_per_tar,
            'codec': codec,
            'places': part.ids,
        }
        write = partial(_write_tar, part, codec)
        jobs.append(Job(name, folder, options, partial(dict, part.source.files), write))
    return convert([jobs], output, scheduler=scheduler, workers=workers, progress=progress)


def _write_tar(part: SplitPart, codec: Codec, path: Path) -> Mapping[str, int]:
    offset = int(part.offset)
    compressor = Blosc(cname=codec, clevel=5, shuffle=Blosc.SHUFFLE)
    masks: Iterator[NDArray[np.generic] | None] = (
        part.source.clouds() if part.clouds else repeat(None)
    )
    places = zip(part.source.records(), part.source.images(), masks, strict=False)
    with TemporaryDirectory() as scratch, tarfile.open(path, 'w') as archive:
        for number, (record, image, clouds) in enumerate(places, part.first + 1):
            if offset:
                image = _without(image, offset, record.name)
            name = f'ssl4eos12_{part.split}_seasonal_data_{number:07d}{SUFFIX["zarr"]}'
            member = Path(scratch) / name
            write_zarr_zip(member, member_arrays(record, part.modality, image, clouds), compressor)
            archive.add(member, name, filter=_nameless)
            member.unlink()
    return {}


def _without(image: NDArray[np.generic], offset: int, name: str) -> NDArray[np.generic]:
    """Take off an offset.

    Raises:
        ValueError: If a value would wrap around.
    """
    values = np.asarray(image, np.int16)
    if int(values.min()) - offset < np.iinfo(np.int16).min:
        raise ValueError(f'Place {name} has a value of {values.min()}: it is damaged.')
    return values - np.int16(offset)


def _nameless(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who converted, and when."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ''
    info.mode = 0o644
    return info
