"""The GeoTIFFs of Copernicus-Pretrain: cells with all patches and dates, or those that are drawn.

Over the loaders that exist this one keeps cells that lack modalities, reads only the images that are drawn, says
where and when each was taken, and names files that are damaged instead of printing them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.pretrain.cell_numbers import cell_numbers
from torchgeo_copernicus.datasets.pretrain.faults import Fault, Faults, Kind
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import CellFiles, Images
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.grid import split_name
from torchgeo_copernicus.datasets.pretrain.modality import (
    MODALITIES,
    ModalityName,
    chosen_modalities,
)
from torchgeo_copernicus.datasets.pretrain.picture import draw_cell
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.datasets.whole_number import whole

_log = logging.getLogger(__name__)

#: What becomes of cells that lack some of the modalities.
Missing = Literal['absent', 'skip']
#: What becomes of images that cannot be read.
OnError = Literal['raise', 'skip']


class CopernicusPretrainGeoTIFF(NonGeoDataset):
    """Cells of 0.25 degrees, each seen by up to eight modalities at several places and dates.

    | modality | images | bands | unit |
    |---|---|---|---|
    | `s1_grd` | local patches, about 264 px of 10 m | VV, VH (HH, HV near the poles) | dB |
    | `s2_toa` | local patches, about 264 px of 10 m | B01 to B12 with B8A, 13 | DN = reflectance x 10000 |
    | `s3_olci` | the cell, about 96 px of 300 m | Oa01 to Oa21 | mW m-2 sr-1 nm-1 |
    | `s5p_co`, `s5p_no2`, `s5p_o3`, `s5p_so2` | the cell, about 28 px of 1 km | 1 | mol m-2 |
    | `dem` | the cell, about 960 px of 30 m | 1 | m |

    Images of whole cells are in longitude and latitude, and so wider towards the poles. Pixels that Earth
    Engine stored as 0 where it had none are left, as in the shards.

    Layout: `<root>/fnames_*.json.gz` and the files listed there; see `MODALITIES` for folders. Sources:
    arXiv:2503.11849; licence of the data CC-BY-4.0; https://huggingface.co/datasets/wangyi111/Copernicus-Pretrain.
    """

    def __init__(
        self,
        root: Path | str = 'data',
        file_list: Path | str | FileList | None = None,
        modalities: Sequence[ModalityName] | None = None,
        selection: Selection | None = None,
        grids: Sequence[int] | None = None,
        seed: int = 0,
        missing: Missing = 'absent',
        on_error: OnError = 'raise',
        max_fault_share: float = 0.01,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Read the list of files; no image is opened.

        Args:
            root: Folder that the paths of the list are below.
            file_list: A `fnames_*.json.gz`, or what `FileList.read` or `listed_in` made of one or of a
                table; the only one in *root* when None.
            modalities: What to read of each cell; all when None.
            selection: Which patches and dates; all when None.
            grids: Numbers of cells to keep, in the order wanted; all when None.
            seed: For what *selection* draws.
            missing: `absent`: a cell that lacks some of *modalities* is kept, and its samples lack them.
                `skip`: it is left out; how many is logged. Cells that lack all of them always are.
            on_error: `raise` names a file that cannot be read. `skip` takes other images in its place, or
                fewer, logs and counts them (`faults`).
            max_fault_share: Share of cells with such a file above which `skip` is an error after all.
            transforms: Applied to each sample.

        Raises:
            DatasetNotFoundError: If *root* is no folder, or has no list.
            ValueError: If an argument is not allowed, a list is damaged, or no cell is left.
        """
        one_of('missing', missing, Missing)
        one_of('on_error', on_error, OnError)
        self.root, self.seed = Path(root), whole('seed', seed)
        self.modalities = chosen_modalities(modalities)
        self.selection = Selection() if selection is None else selection
        if not isinstance(self.selection, Selection):
            raise ValueError(
                f'selection is {selection!r}; give a Selection, or None for all images.'
            )
        self.missing, self.on_error, self.transforms = missing, on_error, transforms
        #: What was wrong with files so far, in all processes that read.
        self.faults = Faults(max_fault_share)
        wanted = None if grids is None else cell_numbers(grids)
        self.files = self._list(file_list, wanted)
        self._rows = self._kept(wanted)
        self._reader = ImageReader(self.root)
        # Shared with loader processes, so that those of a later epoch see it too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def grid_ids(self) -> NDArray[np.int64]:
        """Numbers of the cells, in the order of the samples, `[N]`."""
        return np.asarray(self.files.grid_ids[self._rows])

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Return a cell.

        Args:
            index: Position in `grid_ids`; negative counts from the end.

        Returns:
            `grid_id` (int) and, as dictionaries by modality, `image` (list of n float32 tensors `[C, h, w]`, whose
            sizes vary; n = patches x dates, patch by patch, each in the order of time), `metadata` (float32
            `[n, 4]`: longitude and latitude in degrees, days since 1970-01-01, ground sampling distance in m;
            NaN when unknown) and `local_id` (int64 `[n]`, of `s1_grd` and `s2_toa`: number of the patch).
            Where *selection* never takes more than one image, `[C, h, w]`, `[4]` and int. What is missing is
            absent.

        Raises:
            IndexError: If there is no such cell.
            ValueError: If a file is missing or damaged, and *on_error* is `raise`; names it.
            FaultError: If more files are damaged than *max_fault_share* allows.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f'index {index} is out of range for {len(self)} cells.')
        return self._sample(int(self._rows[index]))

    def cell(self, grid_id: int) -> Sample:
        """Return the cell of a number, as `__getitem__` does that of a position.

        Raises:
            ValueError: If it is not in this dataset, or as `__getitem__`.
        """
        row = int(self.files.rows([grid_id])[0])
        if row not in self._rows:
            raise ValueError(f'Cell {grid_id} was left out of this dataset.')
        return self._sample(row)

    def set_epoch(self, epoch: int) -> None:
        """Draw other patches and dates than in earlier epochs, in loader processes that run already too.

        Args:
            epoch: Its number, not negative.

        Raises:
            ValueError: If it is no such number.
        """
        self._epoch.fill_(whole('epoch', epoch))

    def restricted_to(self, grids: Sequence[int]) -> CopernicusPretrainGeoTIFF:
        """Return a dataset of some of the cells; the list is not read again.

        Args:
            grids: Numbers of cells of this dataset, in the order wanted.

        Raises:
            ValueError: If there is none, or one is not in this dataset.
        """
        rows = self.files.rows(cell_numbers(grids))
        if not np.isin(rows, self._rows).all():
            raise ValueError('Some of these cells were left out of this dataset.')
        part = copy.copy(self)
        part._rows = rows
        part._epoch = self._epoch.clone().share_memory_()
        return part

    def plot(self, sample: Sample, suptitle: str | None = None) -> Figure:
        """Draw a sample: modalities below each other, dates side by side; what is missing says so.

        Args:
            sample: An item of this dataset, in physical units.
            suptitle: Title of the figure; name of the cell when None.
        """
        return draw_cell(sample, self.modalities, suptitle)

    def _list(self, file_list: Path | str | FileList | None, wanted: list[int] | None) -> FileList:
        if isinstance(file_list, FileList):
            return file_list
        if not self.root.is_dir():
            raise DatasetNotFoundError(self)
        if file_list is None:
            found = sorted(self.root.glob('fnames_*.json.gz'))
            if not found:
                raise DatasetNotFoundError(self)
            if len(found) > 1:
                names = [path.name for path in found]
                raise ValueError(f'{self.root} has several lists {names}; choose with file_list.')
            (file_list,) = found
        return FileList.read(file_list, wanted)

    def _kept(self, wanted: list[int] | None) -> NDArray[np.int64]:
        rows = np.arange(len(self.files)) if wanted is None else self.files.rows(wanted)
        has = np.stack([self.files.has(name)[rows] for name in self.modalities])
        keep = has.all(0) if self.missing == 'skip' else has.any(0)
        if not keep.any():
            raise ValueError(
                f'None of the {len(rows)} cells has {"all" if self.missing == "skip" else "any"} of '
                f'{list(self.modalities)} in {self.files.source}.'
            )
        if not keep.all():
            _log.warning(
                '%d of %d cells lack %s and are left out.',
                int((~keep).sum()),
                len(rows),
                'a modality' if self.missing == 'skip' else 'all modalities',
            )
        return rows[keep]

    def _sample(self, row: int) -> Sample:
        files = self.files.cell(row)
        sample: Sample = {
            'grid_id': files.cell.grid_id,
            'image': {},
            'metadata': {},
            'local_id': {},
        }
        there = [name for name in self.modalities if name in files.images]
        key = (self.seed, int(self._epoch), files.cell.grid_id)
        local = {n: list(files.images[n]) for n in there if MODALITIES[n].local}
        patches = self.selection.patches_of(local, *key)
        faults: list[Fault] = []
        with reading_several():
            for name in there:
                places = list(files.images[name])
                chosen = [places[position] for position in patches.get(name, (0,))]
                self._add(sample, name, files, chosen, key, faults)
        self.faults.count(faults)
        return sample if self.transforms is None else self.transforms(sample)

    def _add(
        self,
        sample: Sample,
        name: ModalityName,
        files: CellFiles,
        places: Sequence[str],
        key: tuple[int, ...],
        faults: list[Fault],
    ) -> None:
        """Read the images of a modality into a sample."""
        images: list[Tensor] = []
        metadata: list[Tensor] = []
        numbers: list[int] = []
        for place in places:
            number = (split_name(place)[0],) if place else ()
            for image, vector in self._read(name, files, place, (*key, *number), faults):
                images.append(image)
                metadata.append(vector)
                numbers += number
        if not images:
            return
        single = self.selection.single(name)
        sample['image'][name] = images[0] if single else images
        sample['metadata'][name] = metadata[0] if single else torch.stack(metadata)
        if numbers:
            sample['local_id'][name] = numbers[0] if single else torch.tensor(numbers)

    def _read(
        self,
        name: ModalityName,
        files: CellFiles,
        place: str,
        key: tuple[int, ...],
        faults: list[Fault],
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the chosen images of a place and their metadata; others in place of those that are bad."""
        there: Images = files.images[name][place]
        read: dict[str, tuple[Tensor, Tensor]] = {}
        while True:
            days = [image.days for image in there]
            chosen = [there[i] for i in self.selection.dates_of(name, days, *key)]
            bad: set[str] = set()
            for image in chosen:
                if image.path in read:
                    continue
                try:
                    read[image.path] = self._reader.read(name, image, files.cell, place)
                except ValueError as error:
                    if self.on_error == 'raise':
                        raise
                    faults.append(self._fault('damaged', files, str(error)))
                    bad.add(image.path)
                    continue
                if not read[image.path][0].isfinite().any():
                    faults.append(
                        self._fault('void', files, f'{self._reader.path(image)} has no value')
                    )
                    bad.add(image.path)
            if not bad:
                return [read[image.path] for image in chosen]
            there = tuple(image for image in there if image.path not in bad)

    def _fault(self, kind: Kind, files: CellFiles, reason: str) -> Fault:
        return Fault(kind, self.files.source, f'{files.cell.grid_id:07d}', None, reason)
