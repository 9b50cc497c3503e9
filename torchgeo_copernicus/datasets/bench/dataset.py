"""What the datasets of Copernicus-Bench share: finding, checking and reading the files.

TorchGeo's classes give the layout, names, colours and `plot`. Replaced here, because it is wrong or
missing there: metadata (TorchGeo has float32 seconds, which are off by up to 64 s, and no sampling
distance), verification (an archive that lies there is extracted unseen), error messages, and the path of
each sample.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, get_args

import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from pyproj.exceptions import ProjError
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError
from torchgeo.datasets.copernicus.base import CopernicusBenchBase

from torchgeo_copernicus.archive import extract_zip
from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.task import IGNORE_INDEX, BenchTask
from torchgeo_copernicus.datasets.raster import Raster, read_raster
from torchgeo_copernicus.download import fetch, sha256_of
from torchgeo_copernicus.metadata import acquisition_metadata

Split = Literal['train', 'val', 'test']


class BenchDataset(CopernicusBenchBase):
    """Base of the datasets; a subclass declares its task and says which files a line stands for."""

    #: The declaration all facts are read from.
    task: ClassVar[BenchTask]

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        bands: Sequence[str] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Find the data, extracting or downloading it when asked to.

        Args:
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            bands: Band names or aliases to read, in that order; the published ones when None. They may
                be in another order than in the file.
            transforms: Applied to each sample.
            download: Download the archive when neither it nor the folder is there.
            checksum: Verify the SHA-256 of an archive that is already there before extracting it; a
                download is always verified.

        Raises:
            DatasetNotFoundError: If the data is not there and *download* is False.
            ValueError: If the split or a band is unknown, files are missing, or the first image has
                another number of bands.
        """
        if split not in get_args(Split):
            raise ValueError(f'Unknown split {split!r}. Allowed: {list(get_args(Split))}.')
        self.root = Path(root)
        self.split = split
        self.folder = Path(root) / self.task.name
        self.split_file = self.folder / self.task.split_file.format(split)
        self.archive = Path(root) / self.task.zipfile
        self.classes = self.task.classes
        self.cmap = ListedColormap(self.task.colors).with_extremes(under='grey', over='grey')
        wanted = self.task.bands if bands is None else bands
        self.bands = tuple(band.name for band in self.task.sensor.select(wanted))
        self.band_indices = [self._stored(band) for band in self.bands]
        self.transforms = transforms
        self.download = download
        self.checksum = checksum

        self._verify()
        self.names = self._listed()
        self._check_presence()
        self.size = self._read_image(self._image_path(self.names[0])).pixels.shape[1:]

    @property
    def url(self) -> str:
        """Download address of the archive."""
        return self.task.url

    @property
    def all_bands(self) -> tuple[str, ...]:
        """Band names in file order."""
        return self.task.stored_bands

    @property
    def rgb_bands(self) -> tuple[str, ...]:
        """Band names of a natural-colour picture."""
        return self.task.sensor.rgb

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Args:
            index: Position in the split file; negative counts from the end.

        Returns:
            `image` (float32 `[C, H, W]`), the target (`mask`, int64 `[H, W]`, or `label`, int64
            scalar), `metadata` (float32 `[4]`: longitude and latitude in degrees, days since
            1970-01-01, ground sampling distance in m; NaN when unknown) and `filename` (str).

        Raises:
            ValueError: If a file is damaged or does not fit the task; names the file.
        """
        name = self.names[index]
        path = self._image_path(name)
        raster = self._read_image(path)
        image = torch.from_numpy(raster.pixels.astype('float32'))
        if image.shape[1:] != self.size:
            raise ValueError(
                f'{path} is {list(image.shape[1:])} px, the other images {list(self.size)} px.'
            )
        if bool(image.isnan().all()):
            raise ValueError(f'{path} holds nothing but NaN; remove it from the split file.')
        sample: Sample = {
            'image': image,
            'metadata': self._metadata(path, raster),
            'filename': str(path),
            **self._target(name, image),
        }
        return sample if self.transforms is None else self.transforms(sample)

    def _metadata(self, path: Path, raster: Raster) -> Tensor:
        try:
            return acquisition_metadata(
                raster.crs,
                raster.transform,
                raster.pixels.shape[1:],
                self._date(path),
                gsd_m=self.task.sensor.gsd_m,
            )
        except (ValueError, ProjError) as error:
            raise ValueError(f'{path}: {error}') from error

    def plot(self, sample: Sample, show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw a sample, its target and, if it has one, its `prediction`.

        Args:
            sample: An item of this dataset, normalised or not.
            show_titles: Write a title above each panel.
            suptitle: Title of the figure.

        Raises:
            RGBBandsMissingError: If the bands of a natural-colour picture were not read.
        """
        # TorchGeo stretches by percentiles, which a single NaN makes NaN.
        image = sample['image'].nan_to_num(0.0)
        return super().plot({**sample, 'image': image}, show_titles, suptitle)

    @abstractmethod
    def _image_path(self, name: str) -> Path:
        """Return the image file of one line of the split file."""

    def _other_paths(self, name: str) -> list[Path]:
        """Return the further files of one line of the split file."""
        return []

    @abstractmethod
    def _target(self, name: str, image: Tensor) -> Sample:
        """Return the target of one line of the split file."""

    def _stored(self, band: str) -> int:
        if band not in self.task.stored_bands:
            raise ValueError(
                f'{self.task.title} has no band {band!r}. Allowed: {list(self.task.stored_bands)}.'
            )
        return self.task.stored_bands.index(band)

    def _read_image(self, path: Path) -> Raster:
        return read_raster(path, self.band_indices, bands=len(self.task.stored_bands))

    def _read_mask(self, path: Path, image: Tensor) -> Tensor:
        """Return a label map (int64 `[H, W]`) that fits the image and the classes.

        Raises:
            ValueError: If its size or a label does not.
        """
        stored = read_raster(path, bands=1).pixels[0]
        mask = torch.from_numpy(stored.astype('int64'))
        if (fraction := stored != mask.numpy()).any():
            raise ValueError(f'{path} holds the label {stored[fraction][0]}, not a whole number.')
        if mask.shape != image.shape[1:]:
            raise ValueError(
                f'{path} is {list(mask.shape)} px, its image {list(image.shape[1:])} px.'
            )
        valid = (mask == IGNORE_INDEX) | ((mask >= 0) & (mask < len(self.task.classes)))
        if not bool(valid.all()):
            raise ValueError(
                f'{path} holds the label {int(mask[~valid][0])}; allowed are 0 to '
                f'{len(self.task.classes) - 1} ({", ".join(self.task.classes)}) and {IGNORE_INDEX}.'
            )
        return mask

    def _date(self, path: Path) -> str | None:
        """Return the ISO date in a file name, or None when this task has no dates."""
        if self.task.date_pattern is None:
            return None
        match = re.match(self.task.date_pattern, path.name)
        if match is None:
            raise ValueError(
                f'{path}: the name does not match {self.task.date_pattern}, so its date is unknown.'
            )
        day = match['date'][:8]
        return f'{day[:4]}-{day[4:6]}-{day[6:]}'

    def _verify(self) -> None:
        """Make sure the task's folder is there.

        Raises:
            DatasetNotFoundError: If it is not, nor its archive, and *download* is False.
            ValueError: If the archive is not the released one.
        """
        if self.folder.is_dir():
            return
        if self.archive.exists():
            if self.checksum and (found := sha256_of(self.archive)) != self.task.sha256:
                raise ValueError(
                    f'{self.archive} has SHA-256 {found}, wanted {self.task.sha256}: it is cut off or '
                    'another version. Move it away, or pass checksum=False if you trust it.'
                )
        elif self.download:
            fetch(self.url, self.archive, sha256=self.task.sha256)
        else:
            raise DatasetNotFoundError(self)
        try:
            extract_zip(self.archive, self.folder.parent, directory=self.task.name)
        except FileExistsError:
            # Another process came first; if it was anything else, the checks that follow tell.
            if not self.folder.is_dir():
                raise

    def _listed(self) -> list[str]:
        if not self.split_file.is_file():
            raise ValueError(
                f'{self.split_file} is missing, so {self.folder} is half extracted. {self._advice()}'
            )
        lines = [line.strip() for line in self.split_file.read_text().splitlines()]
        files = [line for line in lines if line]
        if not files:
            raise ValueError(f'{self.split_file} lists no sample.')
        return files

    def _check_presence(self) -> None:
        """Raise when a listed file is missing, before a training finds out.

        Raises:
            ValueError: If one is.
        """
        wanted: dict[Path, list[str]] = defaultdict(list)
        for name in self.names:
            for path in (self._image_path(name), *self._other_paths(name)):
                wanted[path.parent].append(path.name)
        missing: list[Path] = []
        for folder, names in wanted.items():
            present = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
            missing += [folder / name for name in names if name not in present]
        if missing:
            raise ValueError(
                f'{len(missing)} files of {self.split_file} are missing, the first is '
                f'{missing[0]}: the dataset is half extracted. {self._advice()}'
            )

    def _advice(self) -> str:
        return (
            f'Move {self.folder} away and extract {self.task.zipfile} again '
            '(then download=True does that too); nothing was changed.'
        )
