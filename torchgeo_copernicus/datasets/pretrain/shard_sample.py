"""One sample of a shard: only the patches and dates that were drawn are read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.pretrain.faults import Fault, Kind
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shard_meta import CellMeta, Series, read_meta
from torchgeo_copernicus.datasets.pretrain.stored_images import StoredImages, void_images
from torchgeo_copernicus.datasets.pretrain.tensor_file import UnsafePickleError
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read


class ShardSample:
    """Reads a sample, and tells what was wrong with it."""

    def __init__(
        self, source: ByteSource, cell: np.void, selection: Selection, seed: int, epoch: int
    ) -> None:
        """Name a sample; nothing is read.

        Args:
            source: The shard.
            cell: Its entry in the index of the shard, of type `CELL`.
            selection: What to take.
            seed: Seed of what is drawn.
            epoch: Epoch.
        """
        #: What was found wrong.
        self.faults: list[Fault] = []
        self._source, self._cell, self._selection = source, cell, selection
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
        void: set[tuple[int, float]] = set()
        while True:
            chosen = self._chosen(name, series, patches, void)
            if not chosen:
                return
            images = stored.read([patch * dates + date for patch, date in chosen])
            found = {(p, series.days[p][d]) for p, d in (chosen[i] for i in void_images(images))}
            if not found:
                break
            # Others are drawn in their place, where there are any.
            void |= found
            days = sorted({day for _, day in found})
            self._fault(
                'void', self._offset(name), f'{name} has no value on days {days}', len(found)
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
        self,
        name: ModalityName,
        series: Series,
        patches: Sequence[int],
        void: set[tuple[int, float]],
    ) -> list[tuple[int, int]]:
        """Return patch and stored date of the images to take."""
        chosen = []
        for patch in patches:
            days = series.days[patch]
            # Void images, and their repetitions, are as if not there.
            there = [i for i, day in enumerate(days) if not _is_in(patch, day, void)]
            local = (split_name(series.patches[patch])[0],) if series.patches else ()
            picked = self._selection.dates_of(name, [days[i] for i in there], *self._key, *local)
            chosen += [(patch, there[i]) for i in picked]
        return chosen

    def _metadata(
        self, name: ModalityName, series: Series, patch: int, date: int
    ) -> tuple[float, float, float, float]:
        if series.patches:
            _, longitude, latitude = split_name(series.patches[patch])
        else:
            cell = Cell(self._key[-1])
            longitude, latitude = cell.longitude, cell.latitude
        gsd_m = MODALITIES[name].sensor.gsd_m
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


def _is_in(patch: int, day: float, void: set[tuple[int, float]]) -> bool:
    return any(p == patch and (d == day or (math.isnan(d) and math.isnan(day))) for p, d in void)
