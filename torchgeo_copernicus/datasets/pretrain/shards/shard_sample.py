"""One sample of a shard: only the patches and dates that were drawn are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.buffers import Buffers
from torchgeo_copernicus.datasets.pretrain.faults import Fault, Kind
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.repetitions import distinct_dates
from torchgeo_copernicus.datasets.pretrain.shards.shard_meta import CellMeta, Series, read_meta
from torchgeo_copernicus.datasets.pretrain.shards.stored_images import StoredImages, void_images
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read


class ShardSample:
    """Reads a sample, and tells what was wrong with it."""

    def __init__(
        self,
        source: ByteSource,
        cell: np.void,
        selection: Selection,
        seed: int,
        epoch: int,
        buffers: Buffers | None = None,
    ) -> None:
        """Name a sample; nothing is read.

        Args:
            source: The shard.
            cell: Its entry in the index of the shard, of type `CELL`.
            selection: What to take.
            seed: Seed of what is drawn.
            epoch: Epoch.
            buffers: Memory for images; fresh memory when None.
        """
        #: What was found wrong.
        self.faults: list[Fault] = []
        self._source, self._cell, self._selection = source, cell, selection
        self._buffers = buffers
        self._key = (seed, epoch, int(cell['grid_id']))

    def read(self, modalities: Sequence[ModalityName]) -> Sample | None:
        """Read images.

        Args:
            modalities: Which; those that the cell lacks are left out.

        Returns:
            A sample as `CopernicusPretrainStream` describes it, or None when nothing could be read; why is
            in `faults`.

        Raises:
            UnsafePickleError: If a tensor is a program that does something else.
        """
        meta = self._meta()
        if meta is None:
            return None
        there = [name for name in modalities if self._offset(name) >= 0 and name in meta.series]
        local = {n: meta.series[n].patches for n in there if MODALITIES[n].local}
        patches = self._selection.patches_of(local, *self._key)
        sample: Sample = {'grid_id': self._key[-1], 'image': {}, 'metadata': {}, 'local_id': {}}
        for name in there:
            try:
                self._add(sample, name, meta.series[name], patches.get(name, (0,)))
            except UnsafePickleError:
                raise
            except ValueError as error:
                self._fault('damaged', self._offset(name), str(error))
            except OSError as error:
                self._fault('unreadable', self._offset(name), str(error))
        return sample if sample['image'] else None

    def _add(
        self, sample: Sample, name: ModalityName, series: Series, patches: Sequence[int]
    ) -> None:
        """Read the images of a modality into a sample."""
        stored = StoredImages(self._source, self._cell, name)
        dates = len(series.days[0])
        there = {p: distinct_dates(name, series.days[p], p * dates, stored) for p in patches}
        while True:
            chosen = self._chosen(name, series, there)
            if not chosen:
                return
            images = stored.read([patch * dates + date for patch, date in chosen], self._buffers)
            void = {chosen[position] for position in void_images(images)}
            if not void:
                break
            # Others are drawn in their place, where there are any.
            there = {p: [d for d in found if (p, d) not in void] for p, found in there.items()}
            days = sorted({series.days[patch][date] for patch, date in void})
            self._fault(
                'void', self._offset(name), f'{name} has no value on days {days}', len(void)
            )
        rows = [self._metadata(name, series, patch, date) for patch, date in chosen]
        single = self._selection.single(name)
        metadata = torch.tensor(rows, dtype=torch.float32)
        sample['image'][name] = images[0] if single else images
        sample['metadata'][name] = metadata[0] if single else metadata
        if MODALITIES[name].local:
            numbers = [split_name(series.patches[patch])[0] for patch, _ in chosen]
            sample['local_id'][name] = numbers[0] if single else torch.tensor(numbers)

    def _chosen(
        self, name: ModalityName, series: Series, there: Mapping[int, Sequence[int]]
    ) -> list[tuple[int, int]]:
        """Return patch and stored date of the images to take, of those there are."""
        chosen = []
        for patch, dates in there.items():
            days = [series.days[patch][date] for date in dates]
            local = (split_name(series.patches[patch])[0],) if series.patches else ()
            picked = self._selection.dates_of(name, days, *self._key, *local)
            chosen += [(patch, dates[i]) for i in picked]
        return chosen

    def _metadata(
        self, name: ModalityName, series: Series, patch: int, date: int
    ) -> tuple[float, float, float, float]:
        if series.patches:
            _, longitude, latitude = split_name(series.patches[patch])
        else:
            cell = Cell(self._key[-1])
            longitude, latitude = cell.longitude, cell.latitude
        gsd_m = MODALITIES[name].gsd_m(latitude)
        return longitude, latitude, series.days[patch][date], gsd_m

    def _meta(self) -> CellMeta | None:
        offset, size = int(self._cell['json_offset']), int(self._cell['json_bytes'])
        try:
            return read_meta(bytes(read(self._source, offset, size)))
        except ValueError as error:
            self._fault('metadata', offset, str(error))
        except OSError as error:
            self._fault('unreadable', offset, str(error))
        return None

    def _offset(self, name: ModalityName) -> int:
        return int(self._cell['member_offset'][MODALITY_NAMES.index(name)])

    def _fault(self, kind: Kind, offset: int, reason: str, count: int = 1) -> None:
        fault = Fault(kind, self._source.name, f'{int(self._cell["key"]):07d}', offset, reason)
        self.faults += [fault] * count
