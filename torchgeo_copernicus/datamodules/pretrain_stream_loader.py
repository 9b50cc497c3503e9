"""Batches of a stream of shards, cropped anew in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_batch import PretrainCollate
from torchgeo_copernicus.datasets.pretrain.shards.resumable_loader import ResumableLoader
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream


@dataclass(frozen=True)
class _CollateOfStream:
    """Makes batches in the epoch of a stream, which its workers see."""

    stream: CopernicusPretrainStream
    collate: PretrainCollate

    def __call__(self, samples: Sequence[Sample]) -> Sample:
        return self.collate.at(self.stream.position.epoch)(samples)


class StreamLoader(ResumableLoader):
    """A `ResumableLoader` of full batches by `PretrainCollate`."""

    def __init__(
        self,
        stream: CopernicusPretrainStream,
        batch_size: int,
        collate: PretrainCollate,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        """Prepare.

        Args:
            stream: What to read.
            batch_size: Cells of a batch on this rank.
            collate: Makes a batch.
            num_workers: Processes that read; 0 reads in this one, with the threads of the stream.
            pin_memory: Use memory that a GPU copies from fast.

        Raises:
            ValueError: If an argument is impossible, or there are fewer cells than a batch.
        """
        super().__init__(
            stream,
            batch_size,
            _CollateOfStream(stream, collate),
            num_workers=num_workers,
            drop_last=True,
            pin_memory=pin_memory,
        )
        if len(stream) < batch_size:
            raise ValueError(
                f'There are {len(stream)} cells per process, fewer than one batch of {batch_size}; set a '
                'smaller batch_size.'
            )

    def __iter__(self) -> Iterator[Sample]:
        """Yield the batches that are left of this epoch; see `PretrainCollate`."""
        return cast(Iterator[Sample], super().__iter__())
