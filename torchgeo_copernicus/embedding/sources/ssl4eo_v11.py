"""SSL4EO-S12 v1.1 as a source: a place an item, with its four dates of each modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torchgeo_copernicus.datasets.ssl4eo.v11.dataset import SSL4EOS12v11
from torchgeo_copernicus.embedding.footprint import square_corners
from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind
from torchgeo_copernicus.embedding.sources.pretrain_cell import sha256_of_parts
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

# Of Sentinel-1 and -2 in the pretraining.
_SIZE_PX = 224
# Those that the models were trained with have its statistics; surface reflectance its own.
_TRAINED = {'S1GRD': 's1_grd', 'S2L1C': 's2_toa'}

Modality = Literal['S1GRD', 'S2L1C', 'S2L2A']


class SSL4EOSource:
    """Places in the order of the files."""

    def __init__(
        self,
        root: str,
        split: Literal['train', 'val'] = 'train',
        modalities: list[Modality] | None = None,
        files: list[str] | None = None,
        places: list[str] | None = None,
        index_folder: str | None = None,
    ) -> None:
        """Find the files.

        Args:
            root: Folder with `train`, `val` and `splits`.
            split: `train` or `val`.
            modalities: Some of S1GRD, S2L1C, S2L2A; the first two when None. In rows and options they are
                called `s1_grd`, `s2_toa` and `s2_l2a`.
            files: Names of the files to read; all that are there when None.
            places: Ids of the places to read; all when None.
            index_folder: Where the table of places is kept; see `SSL4EOS12v11`.

        Raises:
            DatasetNotFoundError: If a modality has no files.
            ValueError: If an argument is impossible, or files are damaged.
        """
        wanted: list[Modality] = ['S1GRD', 'S2L1C'] if modalities is None else modalities
        if unknown := [name for name in wanted if name not in ('S1GRD', 'S2L1C', 'S2L2A')]:
            raise ValueError(f'Unknown modalities {unknown}. Allowed: S1GRD, S2L1C, S2L2A.')
        self._dataset = SSL4EOS12v11(
            root, split, list(wanted), files=files, places=places, index_folder=index_folder
        )

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """See `EmbeddingSource`."""
        return {
            'source': 'SSL4EO-S12 v1.1',
            'split': self._dataset.split,
            'modalities': list(self._dataset.modalities),
            'places': len(self),
            'sha256': sha256_of_parts(self._dataset.fingerprint()),
        }

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """See `EmbeddingSource`."""
        found = {}
        for modality in self._dataset.modalities:
            sensor = S1_GRD if modality == 'S1GRD' else S2_TOA
            trained = modality in _TRAINED
            found[_name(modality)] = ImageKind(
                _name(modality),
                sensor,
                sensor.select(self._dataset.bands[modality]),
                sensor.statistics if trained else self._dataset.statistics[modality],
                _SIZE_PX,
            )
        return found

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._dataset)

    def items(self, index: int) -> list[EmbeddingImage]:
        """Return the images of a place; see `EmbeddingSource`."""
        sample = self._dataset[index]
        found = []
        for modality in self._dataset.modalities:
            name = _name(modality)
            products = sample['file_id'][modality]
            for number, (image, vector, product) in enumerate(
                zip(sample['image'][modality], sample['metadata'][modality], products, strict=True)
            ):
                if not bool(image.isfinite().any()):
                    continue
                height, width = image.shape[1:]
                found.append(
                    EmbeddingImage(
                        f'{sample["sample_id"]}/{name}/{number}',
                        name,
                        image,
                        vector,
                        str(product),
                        square_corners(vector.tolist(), height, width, 'metres'),
                    )
                )
        return found


def _name(modality: str) -> str:
    return _TRAINED.get(modality, 's2_l2a')
