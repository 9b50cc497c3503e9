"""A dataset of Copernicus-Bench as a source: a sample an item, with each of its dates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Literal

from torchgeo_copernicus.datasets.bench import DATASETS, BenchDataset
from torchgeo_copernicus.embedding.footprint import square_corners
from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind
from torchgeo_copernicus.embedding.sources.pretrain_cell import sha256_of_parts

Split = Literal['train', 'val', 'test']


class BenchSource:
    """Samples in the order of the list of the split, normalised by the published statistics of the task."""

    def __init__(
        self,
        task: str,
        root: str,
        split: Split = 'train',
        bands: list[str] | None = None,
        mode: str | int | None = None,
    ) -> None:
        """Find the data.

        Args:
            task: Name of the task, such as `eurosat_s2`.
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            bands: Band names in the wanted order; the published ones when None.
            mode: What the dataset calls so, such as `time-series`; of each date there is an embedding.

        Raises:
            DatasetNotFoundError: If the data is not there.
            ValueError: If task, split or a band is unknown, or files are missing.
        """
        if task not in DATASETS:
            raise ValueError(f'unknown task {task!r}; allowed: {", ".join(DATASETS)}')
        dataset = DATASETS[task]
        if mode is not None and 'mode' not in inspect.signature(dataset).parameters:
            raise ValueError(f'{task} has no mode, so {mode!r} means nothing; leave it out.')
        self._mode = mode
        make: Callable[..., BenchDataset] = dataset
        options = {} if mode is None else {'mode': mode}
        self._dataset = make(root=root, split=split, bands=bands, **options)

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """See `EmbeddingSource`; samples are told by their names in the list."""
        return {
            'source': f'Copernicus-Bench {self._dataset.task.name}',
            'split': self._dataset.split,
            'mode': self._mode,
            'samples': len(self),
            'sha256': sha256_of_parts(self._dataset.names, self._dataset.bands),
        }

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """See `EmbeddingSource`."""
        task = self._dataset.task
        return {
            name: ImageKind(
                name,
                task.sensor,
                task.sensor.select(self._dataset.bands),
                statistics,
                task.model_size,
                clip=task.clip,
            )
            for name, statistics in zip(self._names(), task.statistics, strict=True)
        }

    def _names(self) -> list[str]:
        """Return a modality for each of the statistics; pairs have those of before and after an event."""
        task = self._dataset.task
        before = [f'{task.sensor.name}_before'] * (len(task.statistics) - 1)
        return [*before, task.sensor.name]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._dataset)

    def items(self, index: int) -> list[EmbeddingImage]:
        """Return the images of a sample; see `EmbeddingSource`."""
        sample = self._dataset[index]
        image, metadata = sample['image'], sample['metadata']
        several = image.ndim == 4
        images = image if several else image[None]
        rows = metadata if several else metadata[None]
        valid = sample['valid'].tolist() if 'valid' in sample else [True] * len(images)
        source = str(sample['filename']).removeprefix(f'{self._dataset.folder}/')
        names = self._names()
        # The last date is that after the event.
        modalities = [names[0]] * (len(images) - 1) + [names[-1]]
        return [
            EmbeddingImage(
                f'{self._dataset.split}/{index:07d}/{number}',
                modality,
                one,
                row,
                source,
                square_corners(row.tolist(), one.shape[1], one.shape[2], 'metres'),
            )
            for number, (one, row, there, modality) in enumerate(
                zip(images, rows, valid, modalities, strict=True)
            )
            if there and bool(one.isfinite().any())
        ]
