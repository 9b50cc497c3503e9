"""GeoTIFFs of Copernicus-Pretrain as a source: a cell an item, with all its patches and dates."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import CellFiles
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import (
    CopernicusPretrainGeoTIFF,
    OnError,
)
from torchgeo_copernicus.datasets.pretrain.grid import split_name
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName
from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind
from torchgeo_copernicus.embedding.sources.pretrain_cell import (
    CellImage,
    Origin,
    cell_images,
    in_region,
    pretrain_kinds,
    sha256_of_parts,
)


class PretrainGeoTIFFSource:
    """Cells in the order of the list of files; modalities that a cell lacks are absent."""

    def __init__(
        self,
        root: str,
        file_list: str | None = None,
        modalities: list[ModalityName] | None = None,
        region: list[float] | None = None,
        grids: list[int] | None = None,
        on_error: OnError = 'raise',
    ) -> None:
        """Find the cells.

        Args:
            root: Folder that the paths of the list are below.
            file_list: A `fnames_*.json.gz`; the only one in *root* when None.
            modalities: Which modalities; all when None. Cells that have none of them are left out.
            region: West, south, east, north (deg) that the centre of a cell is in; everywhere when None.
            grids: Numbers of cells to keep; all when None.
            on_error: `raise` names an image that cannot be read, `skip` leaves it out and says so.

        Raises:
            DatasetNotFoundError: If *root* is no folder, or has no list.
            ValueError: If an argument is not allowed, a list is damaged, or no cell is left.
        """
        whole = CopernicusPretrainGeoTIFF(
            root, file_list, modalities, on_error=on_error, max_fault_share=1.0
        )
        kept = whole.grid_ids[in_region(whole.grid_ids, region, grids)]
        self._dataset = whole.restricted_to(kept.tolist())

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """See `EmbeddingSource`; files are told by their paths in the list."""
        paths = [
            [image.path for places in files.images.values() for images in places.values() for image in images]
            for files in (self._files(index) for index in range(len(self)))
        ]  # fmt: skip
        return {
            'source': 'Copernicus-Pretrain GeoTIFF',
            'modalities': list(self._dataset.modalities),
            'cells': len(self),
            'on_error': self._dataset.on_error,
            'sha256': sha256_of_parts(self._dataset.grid_ids.astype('<i8'), paths),
        }

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """See `EmbeddingSource`."""
        return pretrain_kinds(self._dataset.modalities)

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self._dataset)

    def items(self, index: int) -> list[EmbeddingImage]:
        """Return the images of a cell; see `EmbeddingSource`."""
        files = self._files(index)

        def origin(image: CellImage) -> Origin:
            places = files.images[image.modality]
            local = image.local_id is not None
            place = next(p for p in places if not local or split_name(p)[0] == image.local_id)
            days = image.metadata[2]
            of_day = [i.path for i in places[place] if i.days == days or isnan(i.days)]
            return Origin(of_day[image.number], place if local else None)

        return cell_images(self._dataset[index], self._dataset.modalities, origin)

    def _files(self, index: int) -> CellFiles:
        grid_id = int(self._dataset.grid_ids[index])
        row = int(self._dataset.files.rows([grid_id])[0])
        return self._dataset.files.cell(row)
