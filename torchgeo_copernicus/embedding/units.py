"""Units of work: a fixed number of consecutive items, read and prepared in batches that depend on nothing else.

The last digits of an embedding depend on the batch it is in. Batches are therefore a function of the unit,
never of ranks, loader processes, or of where a run was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from torchgeo_copernicus.embedding.image import EmbeddingImage
from torchgeo_copernicus.embedding.preprocessing import KindPreprocessing, PreparedImage
from torchgeo_copernicus.embedding.rows import RowFacts
from torchgeo_copernicus.embedding.sources.source import EmbeddingSource


@dataclass(frozen=True, eq=False)
class UnitEnd:
    """What is known of a unit once all of it was read.

    Attributes:
        rows: Its images, in the order of the source.
        items: Items it is of.
        empty_items: How many of them had no image.
    """

    rows: tuple[RowFacts, ...]
    items: int
    empty_items: int


@dataclass(frozen=True, eq=False)
class UnitBatch:
    """Images of one kind.

    Attributes:
        unit: Which unit they are of.
        modality: Name of their kind; empty when there is none.
        images: float32 `[B, C, S, S]`.
        metadata: float32 `[B, 4]`.
        end: With the last batch of a unit.
    """

    unit: int
    modality: str
    images: Tensor
    metadata: Tensor
    end: UnitEnd | None = None

    def to(self, device: torch.device) -> UnitBatch:
        """Return the same on a device."""
        images = self.images.to(device, non_blocking=True)
        return replace(self, images=images, metadata=self.metadata.to(device, non_blocking=True))

    def pin_memory(self) -> UnitBatch:
        """Return the same in memory that a GPU copies from fast."""
        images = self.images.pin_memory()
        return replace(self, images=images, metadata=self.metadata.pin_memory())


def count_units(items: int, items_per_unit: int) -> int:
    """Return the number of units."""
    return -(-items // items_per_unit)


class UnitStream(IterableDataset[UnitBatch]):
    """Yields the batches of units; each process of a loader has units of its own."""

    def __init__(
        self,
        source: EmbeddingSource,
        preprocessing: Mapping[str, KindPreprocessing],
        units: Sequence[int],
        items_per_unit: int,
        batch_size: int,
    ) -> None:
        """Set what is read.

        Args:
            source: Of images.
            preprocessing: By modality.
            units: Numbers of the units to read.
            items_per_unit: Items of a unit.
            batch_size: Images of a batch, at most.
        """
        self._source, self._preprocessing = source, preprocessing
        self._units, self._items_per_unit = tuple(units), items_per_unit
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[UnitBatch]:
        """Yield batches, those of a unit one after the other; the last has its `end`.

        Raises:
            ValueError: If an image cannot be read, or its modality is not one of the source.
        """
        worker = get_worker_info()
        mine = self._units if worker is None else self._units[worker.id :: worker.num_workers]
        for unit in mine:
            yield from self._unit(unit)

    def _unit(self, unit: int) -> Iterator[UnitBatch]:
        first = unit * self._items_per_unit
        items = range(first, min(first + self._items_per_unit, len(self._source)))
        waiting: dict[str, list[PreparedImage]] = {name: [] for name in self._preprocessing}
        rows: list[RowFacts] = []
        empty = 0
        for item in items:
            images = self._source.items(item)
            empty += not images
            for image in images:
                if image.modality not in waiting:
                    raise ValueError(
                        f'{image.key} is of {image.modality!r}, which is none of the kinds {list(waiting)}.'
                    )
                prepared = self._preprocessing[image.modality](image)
                rows.append(_facts(image, prepared))
                full = waiting[image.modality]
                full.append(prepared)
                if len(full) == self._batch_size:
                    yield _batch(unit, image.modality, full)
                    full.clear()
        for name, rest in waiting.items():
            if rest:
                yield _batch(unit, name, rest)
        nothing = torch.empty(0)
        yield UnitBatch(unit, '', nothing, nothing, UnitEnd(tuple(rows), len(items), empty))


def _batch(unit: int, modality: str, images: Sequence[PreparedImage]) -> UnitBatch:
    return UnitBatch(
        unit,
        modality,
        torch.stack([one.image for one in images]),
        torch.stack([one.metadata for one in images]),
    )


def _facts(image: EmbeddingImage, prepared: PreparedImage) -> RowFacts:
    # The place is that of what was encoded; the sampling distance that of the image.
    longitude, latitude, days, _ = prepared.metadata.tolist()
    gsd_m = float(image.metadata[3])
    return RowFacts(
        image.key,
        image.grid_id,
        image.modality,
        image.local_id,
        image.local_id_coord,
        (longitude, latitude, days, gsd_m),
        image.source,
        prepared.missing_share,
        prepared.corners,
    )
