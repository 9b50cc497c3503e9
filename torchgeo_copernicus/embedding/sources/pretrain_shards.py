"""Shards of Copernicus-Pretrain as a source: a cell an item, with all its patches and dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import OnError
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName, chosen_modalities
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import shard_names
from torchgeo_copernicus.datasets.pretrain.shards.shard_sample import ShardSample
from torchgeo_copernicus.datasets.pretrain.shards.shard_set import ShardSet
from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind
from torchgeo_copernicus.embedding.sources.pretrain_cell import (
    CellImage,
    Origin,
    cell_images,
    in_region,
    pretrain_kinds,
    sha256_of_parts,
    tell_faults,
)


class PretrainShardsSource:
    """Cells in the order of the shards; modalities that a cell lacks are absent."""

    def __init__(
        self,
        shards: str | list[str],
        modalities: list[ModalityName] | None = None,
        region: list[float] | None = None,
        grids: list[int] | None = None,
        on_error: OnError = 'raise',
        index_folder: str | None = None,
    ) -> None:
        """Find the cells.

        Args:
            shards: Published set, path, folder, address, pattern of these with braces, or a list; see
                `CopernicusPretrainStream`.
            modalities: Which modalities; all when None. Cells that have none of them are left out.
            region: West, south, east, north (deg) that the centre of a cell is in; everywhere when None.
            grids: Numbers of cells to keep; all when None.
            on_error: `raise` names an image that cannot be read, `skip` leaves it out and says so.
            index_folder: Where the indices of shards are kept; see `CopernicusPretrainStream`.

        Raises:
            UnsafePickleError: If a tensor is a program that does something else.
            ValueError: If an argument is impossible, a shard is not there, or no cell is left.
            OSError: If a shard cannot be read.
        """
        one_of('on_error', on_error, OnError)
        self._on_error = on_error
        self.modalities = chosen_modalities(modalities)
        paths: str | Sequence[str | Path] = shards
        self._shards = ShardSet(shard_names(paths), index_folder)
        tell_faults(self._shards.faults, on_error)
        there = np.any([self._shards.present(name) for name in self.modalities], axis=0)
        grid_ids = self._shards.cells['grid_id'].astype(np.int64)
        self._cells = np.flatnonzero(there & in_region(grid_ids, region, grids))
        if not len(self._cells):
            raise ValueError(f'No cell of {shards} has any of {list(self.modalities)}.')

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """See `EmbeddingSource`; shards are told by name and size."""
        names = [name.rpartition('/')[2] for name in self._shards.names]
        sizes = [size for size, _ in self._shards.stamps]
        grid_ids = self._shards.cells['grid_id'][self._cells].astype('<i8')
        return {
            'source': 'Copernicus-Pretrain shards',
            'modalities': list(self.modalities),
            'cells': len(self),
            'on_error': self._on_error,
            'sha256': sha256_of_parts(names, sizes, grid_ids),
        }

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """See `EmbeddingSource`."""
        return pretrain_kinds(self.modalities)

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self._cells)

    def items(self, index: int) -> list[EmbeddingImage]:
        """Return the images of a cell; see `EmbeddingSource`."""
        row = int(self._cells[index])
        shard, cell = int(self._shards.shard[row]), self._shards.cells[row]
        reader = ShardSample(self._shards.source(shard), cell, Selection(), 0, 0)
        sample = reader.read(self.modalities)
        tell_faults(reader.faults, self._on_error)
        if sample is None:
            return []
        name = self._shards.names[shard].rpartition('/')[2]
        source = f'{name}#{int(cell["key"]):07d}'
        return cell_images(sample, self.modalities, lambda image: Origin(source, _patch(image)))


def _patch(image: CellImage) -> str | None:
    # Shards have the place of a patch from its name, two decimals of it.
    longitude, latitude, _, _ = image.metadata
    return (
        None if image.local_id is None else f'{image.local_id:07d}_{longitude:.2f}_{latitude:.2f}'
    )
