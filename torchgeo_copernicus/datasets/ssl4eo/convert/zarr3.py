"""Converts SSL4EO-S12 v1.1 into one Zarr 3 store for each modality, with sharding.

`xarray.open_zarr('train/S2L2A.zarr')` then gives the whole split, and one place and date is read without
its 63 neighbours: an inner chunk is an image, a shard, which is a file, holds those of some places.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import zarr
from tqdm import tqdm

from torchgeo_copernicus.datasets.conversion.conversion import (
    ConversionReport,
    Job,
    Stamps,
    convert,
)
from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import Split
from torchgeo_copernicus.datasets.ssl4eo.v11.parts import Codec, SplitPart, parts_of
from torchgeo_copernicus.datasets.ssl4eo.v11.variables import PlaceRecord, record_arrays

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer
    from zarr.core.common import JSON
    from zarr.storage import MemoryStore
    from zarr.types import AnyArray

#: Places of a shard: about 50 MB of a file with 12 bands.
PLACES_PER_SHARD = 16
# Places of a chunk of the small variables.
_PLACES_PER_CHUNK = 4096


def convert_zarr3(
    root: Path | str,
    output: Path | str,
    split: Split = 'train',
    modalities: Sequence[Modality] = ('S2L1C', 'S2L2A', 'S1GRD'),
    *,
    edition: Edition | None = None,
    files: Sequence[str] | None = None,
    places_per_shard: int = PLACES_PER_SHARD,
    codec: Codec = 'zstd',
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Write `<output>/<split>/<modality>.zarr`; needs zarr 3 to write and to read.

    Values are those of the source: from the Zarr edition Sentinel-2 has the offset of 1000 DN, which the
    attribute `offset_dn` of `bands` tells. Dates are in chronological order, of Sentinel-1 too. A store
    can be opened when all of it is there, because `zarr.json` is written last.

    Args:
        root: Folder or address with `train` and `val`.
        output: Folder to write into.
        split: `train` or `val`.
        modalities: Which images; converted at once, they have the places in the same order.
        edition: Edition of the source; told by what is there when None.
        files: Names of files to take; those of the split's list that are there when None.
        places_per_shard: Places of a shard.
        codec: `zstd` is smaller, `lz4` faster.
        scheduler: Of Dask; see `conversion.convert`.
        workers: How many shards are made at once; each takes 300 MB of memory,
            for 16 places of 12 bands.
        progress: Show a bar.

    Raises:
        ValueError: If zarr is older than 3, an argument is impossible, a source is damaged, or the folder
            holds something else.
    """
    if not hasattr(zarr, 'create_group'):
        raise ValueError(
            'A Zarr 3 store needs zarr 3, an older one is installed: pip install "zarr>=3".'
        )
    parts = parts_of(root, split, modalities, edition, files, places_per_shard, codec)
    options = {'format': 'zarr3', 'places_per_shard': places_per_shard, 'codec': codec}
    shards: list[Job] = []
    variables: list[Job] = []
    roots: list[Job] = []
    for modality, group in groupby(parts, lambda part: part.modality):
        mine = list(group)
        store = f'{split}/{modality}.zarr/'
        grids = _grids(mine[0], places_per_shard, codec)
        for part in mine:
            number = part.first // places_per_shard
            chosen = {**options, 'places': part.ids}
            for name, grid in grids.items():
                key = f'c/{number}' + '/0' * (len(grid.shape) - 1)
                write = partial(_write_shard, part, grid, name, key)
                shards.append(
                    Job(f'{store}{name}/{key}', store, chosen, partial(_stamps, [part]), write)
                )
        every = json.dumps([part.ids for part in mine])
        # Their hash: the list would be longer than some of the files.
        whole = {**options, 'places': hashlib.sha256(every.encode()).hexdigest()}
        for key, content in _frame(mine, grids, progress).items():
            target = roots if key == 'zarr.json' else variables
            write = partial(_write_bytes, content)
            target.append(Job(f'{store}{key}', store, whole, partial(_stamps, mine), write))
    return convert(
        [shards, variables, roots], output, scheduler=scheduler, workers=workers, progress=progress
    )


@dataclass(frozen=True)
class _Grid:
    """An array with a chunk for each image, and a shard for some places."""

    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    places_per_shard: int
    codec: Codec
    attributes: Mapping[str, str | float]

    def create(self, store: MemoryStore, name: str | None) -> AnyArray:
        """Make the array in a store, without images."""
        shuffled = import_module('zarr.codecs').BloscCodec(
            cname=self.codec, clevel=5, shuffle='shuffle', typesize=np.dtype(self.dtype).itemsize
        )
        return zarr.create_array(
            store,
            name=name,
            shape=self.shape,
            dtype=self.dtype,
            chunks=(1, 1, *self.shape[2:]),
            shards=(self.places_per_shard, *self.shape[1:]),
            compressors=shuffled,
            fill_value=np.nan if self.dtype == 'float16' else 0,
            dimension_names=self.dims,
            attributes=dict(self.attributes),
            zarr_format=3,
            # Else an image of zeros alone would be left out, and a shard of such images be no file.
            config={'write_empty_chunks': True},
        )


def _grids(part: SplitPart, places_per_shard: int, codec: Codec) -> dict[str, _Grid]:
    """Return the arrays of images of a modality."""
    image = next(part.source.images())
    dates, _, height, width = image.shape
    attributes: dict[str, str | float] = {'offset_dn': part.offset} if part.offset else {}
    dims = ('sample', 'time', 'band', 'y', 'x')
    shape = (part.total, *image.shape)
    grids = {'bands': _Grid(shape, image.dtype.name, dims, places_per_shard, codec, attributes)}
    if part.clouds:
        mask = (part.total, dates, height, width)
        flat = ('sample', 'time', 'y', 'x')
        grids['cloud_mask'] = _Grid(mask, 'uint8', flat, places_per_shard, codec, {})
    return grids


def _write_shard(
    part: SplitPart, grid: _Grid, name: str, key: str, path: Path
) -> Mapping[str, int]:
    content: dict[str, Buffer] = {}
    array = grid.create(zarr.storage.MemoryStore(store_dict=content), None)
    images = part.source.images() if name == 'bands' else part.source.clouds()
    block = np.empty((len(part.ids), *grid.shape[1:]), grid.dtype)
    for target, image in zip(block, images, strict=True):
        target[...] = image
    array[part.first : part.first + len(block)] = block
    path.write_bytes(content[key].to_bytes())
    return {}


def _stamps(parts: Sequence[SplitPart]) -> Stamps:
    return {name: stamp for part in parts for name, stamp in part.source.files.items()}


def _write_bytes(content: bytes, path: Path) -> Mapping[str, int]:
    path.write_bytes(content)
    return {}


def _frame(
    parts: Sequence[SplitPart], grids: Mapping[str, _Grid], progress: bool
) -> dict[str, bytes]:
    """Return all files of a store but the shards."""
    first = parts[0]
    records: list[PlaceRecord] = []
    title = f'Reading the places of {first.split}/{first.modality}'
    for part in tqdm(parts, title, disable=not progress):
        records += part.source.records()
    content: dict[str, Buffer] = {}
    store = zarr.storage.MemoryStore(store_dict=content)
    group = zarr.create_group(
        store,
        zarr_format=3,
        attributes={
            'source': f'SSL4EO-S12 v1.1, {first.edition} edition, CC-BY-4.0, arXiv:2503.00168',
            'modality': first.modality,
            'split': first.split,
        },
    )
    for name, array in record_arrays(records, first.modality).items():
        values = array.values
        lengths = (min(_PLACES_PER_CHUNK, values.shape[0]), *values.shape[1:])
        created = group.create_array(
            name,
            shape=values.shape,
            # Strings of fixed length have no specification in Zarr 3.
            dtype='string' if values.dtype.kind == 'U' else values.dtype,
            chunks=lengths,
            dimension_names=array.dims,
            attributes=cast('dict[str, JSON]', dict(array.attributes)),
            config={'write_empty_chunks': True},
        )
        created[...] = values.astype(object) if values.dtype.kind == 'U' else values
    for name, grid in grids.items():
        grid.create(store, name)
    with warnings.catch_warnings():
        # Not in the specification yet, but without it a store behind an address cannot be listed.
        warnings.simplefilter('ignore')
        zarr.consolidate_metadata(store)
    return {key: value.to_bytes() for key, value in content.items()}
