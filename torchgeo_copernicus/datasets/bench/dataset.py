"""What the datasets of Copernicus-Bench share: finding, checking and reading the files.

TorchGeo's classes give the layout and the names. Replaced here, because it is wrong or missing there:
metadata (TorchGeo has float32 seconds, which are off by up to 64 s, and no sampling distance),
verification (an archive that lies there is extracted unseen), error messages, pictures, and the path of
each sample.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict, get_args

import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from pyproj.exceptions import ProjError
from torch import Tensor
from torchgeo.datasets.copernicus.base import CopernicusBenchBase

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.locate import locate
from torchgeo_copernicus.datasets.bench.picture import draw
from torchgeo_copernicus.datasets.bench.reading import class_labels, enlarge, measured, nearest
from torchgeo_copernicus.datasets.bench.task import BenchTask, Split
from torchgeo_copernicus.datasets.raster import Raster, read_raster, reading_several
from torchgeo_copernicus.metadata import acquisition_metadata
from torchgeo_copernicus.sensors import OLCI_SCALE, S3_OLCI


class Reading(TypedDict, total=False):
    """Arguments of every dataset beside root and split; see `BenchDataset`."""

    bands: Sequence[str] | None
    transforms: Callable[[Sample], Sample] | None
    download: bool
    checksum: bool


def one_of(name: str, value: object, allowed: object) -> None:
    """Check an argument against a `Literal`.

    Raises:
        ValueError: If it is none of the values.
    """
    if value not in get_args(allowed):
        raise ValueError(f'Unknown {name} {value!r}. Allowed: {list(get_args(allowed))}.')


class BenchDataset(CopernicusBenchBase):
    """Base of the datasets; a subclass declares its task and says which files a line stands for."""

    #: The declaration all facts are read from; an object may have a variant of its class's.
    task: BenchTask
    #: Dates in a sample, or None for one image without a dimension of dates.
    dates: int | None = None
    #: Whether a sample may have fewer dates, and says so with `valid`.
    padded: bool = False
    #: Whether images are left as stored, to be brought to the labels' grid in batches.
    native: bool = False

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
        one_of('split', split, Split)
        self.root = Path(root)
        self.split = split
        self.classes = self.task.classes
        self.cmap = ListedColormap(self.task.colors or ('grey',)).with_extremes(
            under='grey', over='grey'
        )
        wanted = self.task.bands if bands is None else bands
        self.bands = tuple(band.name for band in self.task.sensor.select(wanted))
        self.band_indices = [self._stored(band) for band in self.bands]
        scale = [OLCI_SCALE[band] for band in self.bands] if self.task.sensor is S3_OLCI else None
        self._scale = None if scale is None else torch.tensor(scale)[:, None, None]
        self.transforms = transforms
        self.download = download
        self.checksum = checksum

        self._find()
        self.names = self._listed()
        if not self.names:
            raise ValueError(f'{self.split_file} lists no sample.')
        self._check_presence()
        first = self._load(self.names[0])['image']
        grid = self.task.grid_size
        self.size = tuple(first.shape[-2:]) if grid is None else (grid, grid)

    def _find(self) -> None:
        """Make sure that the files are there, and set where.

        Raises:
            DatasetNotFoundError: If they are not, and *download* is False.
            ValueError: If the archive is not the released one.
        """
        self.folder = locate(self, self.task.archives[0], self.task.folder)
        self.split_file = self.folder / self.task.split_file.format(self.split)

    @property
    def url(self) -> str:
        """Download address of the archive."""
        return self.task.archives[0].url

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
            `image` (float32 `[C, H, W]`, or `[T, C, H, W]` for several dates), the target (`mask`,
            int64 `[H, W]` or float32 with NaN for a regression; or `label`, int64, scalar or `[K]`),
            `metadata` (float32 `[4]` or `[T, 4]`: longitude and latitude in degrees, days since
            1970-01-01, ground sampling distance in m; NaN when unknown), `filename` (str, of the last
            date), and for padded series `valid` (bool `[T]`: False for a repetition of the last
            date).

        Raises:
            ValueError: If a file is damaged or does not fit the task; names the file.
        """
        name = self.names[index]
        with reading_several():
            sample = self._load(name) | self._target(name)
        image: Tensor = sample['image']
        if image.shape[-2:] != self.size and not self.native:
            raise ValueError(
                f'{sample["filename"]} is {list(image.shape[-2:])} px, the other images '
                f'{list(self.size)} px.'
            )
        return sample if self.transforms is None else self.transforms(sample)

    def target(self, index: int) -> Tensor:
        """Return `mask` or `label` of a sample, without reading its image."""
        (target,) = self._target(self.names[index]).values()
        return torch.as_tensor(target)

    @classmethod
    def is_extracted(cls, root: Path) -> bool:
        """Return whether nothing has to be extracted or downloaded below *root*."""
        return (root / cls.task.folder).is_dir()

    def _load(self, name: str) -> Sample:
        """Return the input of a sample: `image`, `metadata`, `filename`, perhaps `valid`."""
        paths = self._image_paths(name)
        frames = [self._frame(path) for path in paths]
        if self.dates is None:
            ((image, metadata),) = frames
            return {'image': image, 'metadata': metadata, 'filename': str(paths[0])}
        if self.task.grid_size is not None and len({image.shape for image, _ in frames}) > 1:
            frames = [(enlarge(image, self.task.grid_size), when) for image, when in frames]
        if len({image.shape for image, _ in frames}) > 1:
            sizes = [list(image.shape[1:]) for image, _ in frames]
            raise ValueError(f'{paths[0]} and the other dates of its place are {sizes} px.')
        frames += [frames[-1]] * (self.dates - len(frames))
        sample: Sample = {
            'image': torch.stack([image for image, _ in frames]),
            'metadata': torch.stack([metadata for _, metadata in frames]),
            'filename': str(paths[-1]),
        }
        if self.padded:
            sample['valid'] = torch.arange(self.dates) < len(paths)
        return sample

    def _frame(self, path: Path) -> tuple[Tensor, Tensor]:
        """Return one image `[C, H, W]` in physical units and its metadata `[4]`."""
        raster = self._read_image(path)
        image = torch.from_numpy(raster.pixels.astype('float32', copy=False))
        # One value tells for nearly all images; the whole is looked at only where it is NaN.
        if bool(image[0, 0, 0].isnan()) and bool(image.isnan().all()):
            raise ValueError(f'{path} holds nothing but NaN; remove it from the split file.')
        if self._scale is not None:
            image = image * self._scale
        if self.task.grid_size is not None and not self.native:
            image = enlarge(image, self.task.grid_size)
        return image, self._metadata(path, raster)

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
            suptitle: Title of the figure; place and date when None.

        Raises:
            RGBBandsMissingError: If the bands of a natural-colour picture were not read.
        """
        return draw(self.task, self.bands, sample, show_titles, suptitle)

    def _image_path(self, name: str) -> Path:
        """Return the image file of one line of the split file."""
        raise NotImplementedError

    def _image_paths(self, name: str) -> list[Path]:
        """Return the image files of one line of the split file, by date."""
        return [self._image_path(name)]

    def _other_paths(self, name: str) -> list[Path]:
        """Return the further files of one line of the split file."""
        return []

    def _target(self, name: str) -> Sample:
        """Return the target of one line of the split file."""
        raise NotImplementedError

    def _stored(self, band: str) -> int:
        if band not in self.task.stored_bands:
            raise ValueError(
                f'{self.task.title} has no band {band!r}. Allowed: {list(self.task.stored_bands)}.'
            )
        return self.task.stored_bands.index(band)

    def _read_image(self, path: Path) -> Raster:
        return read_raster(path, self.band_indices, bands=len(self.task.stored_bands))

    def _read_mask(self, path: Path) -> Tensor:
        """Return a label map (int64 `[H, W]`).

        Raises:
            ValueError: If a label is no class, or the map does not fit the images.
        """
        stored = read_raster(path, bands=1).pixels[0]
        labels = class_labels(nearest(stored, self.task.grid_size), self.task, path)
        return self._fitting(labels, path)

    def _read_values(self, path: Path, *, smooth: bool) -> Tensor:
        """Return a map of target values (float32 `[H, W]`), NaN where nothing was measured."""
        stored = read_raster(path, bands=1).pixels[0]
        if smooth and self.task.grid_size is not None:
            return self._fitting(enlarge(measured(stored)[None], self.task.grid_size)[0], path)
        return self._fitting(measured(nearest(stored, self.task.grid_size)), path)

    def _fitting(self, labels: Tensor, path: Path) -> Tensor:
        if labels.shape != self.size:
            raise ValueError(
                f'{path} is {list(labels.shape)} px, the images are {list(self.size)} px.'
            )
        return labels

    def _date(self, path: Path) -> str | None:
        """Return the ISO date in a file name, or None when this task has no dates."""
        if self.task.date_pattern is None:
            return None
        match = re.match(self.task.date_pattern, path.name)
        if match is None:
            raise ValueError(
                f'{path}: the name does not match {self.task.date_pattern}, so its date is unknown.'
            )
        day = match['date'].replace('-', '')
        return f'{day[:4]}-{day[4:6]}-{day[6:8]}'

    def _lines(self, path: Path) -> list[str]:
        """Return the lines of a list in the folder that are not empty.

        Raises:
            ValueError: If it is not there.
        """
        if not path.is_file():
            raise ValueError(
                f'{path} is missing, so {self.folder} is half extracted. {self._advice()}'
            )
        try:
            text = path.read_text(encoding='utf-8')
        except UnicodeDecodeError as error:
            raise ValueError(f'{path} is no text ({error}). {self._advice()}') from error
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line]

    def _listed(self) -> list[str]:
        """Return one name per sample."""
        return self._lines(self.split_file)

    def _check_presence(self) -> None:
        """Raise when a listed file is missing, before a training finds out.

        Raises:
            ValueError: If one is.
        """
        wanted: dict[Path, list[str]] = defaultdict(list)
        for name in self.names:
            for path in (*self._image_paths(name), *self._other_paths(name)):
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
            f'Move {self.folder} away and extract {self.task.archives[0].name} again '
            '(then download=True does that too); nothing was changed.'
        )
