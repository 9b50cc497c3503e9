"""SSL4EO-S12 v1.1: 246,144 places on four dates, seen by Sentinel-1 and Sentinel-2."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from geopandas import GeoDataFrame
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import NonGeoDataset

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import ordering
from torchgeo_copernicus.datasets.ssl4eo.statistics import (
    MODALITY_BANDS,
    OFFSET_DN,
    V11_STATISTICS,
    Edition,
    Modality,
)
from torchgeo_copernicus.datasets.ssl4eo.v11.aligned import align, numbers_of, select
from torchgeo_copernicus.datasets.ssl4eo.v11.cloud_share import cloud_share
from torchgeo_copernicus.datasets.ssl4eo.v11.download import download_v11
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import GSD_M, Season, Split
from torchgeo_copernicus.datasets.ssl4eo.v11.open_split import OpenSplit, open_split
from torchgeo_copernicus.datasets.ssl4eo.v11.patch_reader import PatchReader
from torchgeo_copernicus.datasets.ssl4eo.v11.picture import draw_place
from torchgeo_copernicus.datasets.ssl4eo.v11.place_table import place_table
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.chunk_place import Span, spans_of
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA, Sensor, Statistics

_SECONDS_PER_DAY = 86_400
# The draw of the second date of a pair, apart from that of the first.
_SECOND = 3

#: Which dates an item holds: all four as a series, one of them at random, a pair of different ones at
#: random, or each place and date is an item.
Dates = Literal['all', 'random', 'pair', 'each']


def _one_of(name: str, value: object, allowed: object) -> None:
    if value not in get_args(allowed):
        raise ValueError(f'Unknown {name} {value!r}. Allowed: {list(get_args(allowed))}.')


class SSL4EOS12v11(NonGeoDataset):
    """SSL4EO-S12 v1.1, one place an item.

    Both editions are read, whatever zarr is installed. Images come in the same units from both:

    * `S2L1C`, `S2L2A`: DN = reflectance x 10000. The Zarr edition stores DN + 1000; the offset is taken
      off unless `keep_offset`.
    * `S1GRD`: dB. In the Zarr edition pixels lie in the order of product names, not of `time_`; they are
      sorted by the time in their product's name unless `repair_s1_order` is False.
    * `S2RGB`: counts of 0 to 255; red, green, blue.

    Every band has pixels of 10 m. Classes of the cloud mask are `layout_v11.CLOUD_CLASSES`: 0 land, 1 water,
    2 snow (these three are clear), 3 thin cloud, 4 thick cloud, 5 cloud shadow, 6 no data.

    There are 2,176 places for validation and none for testing. A quarter of the places overlap another
    one: a split of your own should be made by region.

    Source: Blumenstiel et al. 2025, arXiv:2503.00168. The data is CC-BY-4.0.
    """

    all_modalities: ClassVar[tuple[Modality, ...]] = get_args(Modality)

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        modalities: Modality | Sequence[Modality] = ('S2L1C', 'S2L2A', 'S1GRD'),
        bands: Sequence[str] | Mapping[Modality, Sequence[str]] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        *,
        dates: Dates = 'all',
        season: Season | None = None,
        max_cloud: float | None = None,
        cloud_mask: bool = False,
        places: Sequence[int | str] | None = None,
        files: Sequence[str] | None = None,
        edition: Edition | None = None,
        keep_offset: bool = False,
        repair_s1_order: bool = True,
        seed: int = 0,
        index_folder: Path | str | None = None,
        download: bool = False,
    ) -> None:
        """Find the files and read, or make, the table of their places.

        Args:
            root: Folder with `train`, `val` and `splits`.
            split: `train` or `val`.
            modalities: One name, for samples of plain tensors, or several (also a list of one), for
                samples with a dictionary by modality. The first one's dates decide on season.
            bands: Band names or aliases in the wanted order: a list for a single modality, otherwise
                a list for each modality; all when None.
            transforms: Applied to each sample.
            dates: `all` four as a series, one at `random`, a `pair` of different ones at random, or
                `each` place and date an item.
            season: Only dates in these three months of the calendar; the number of a date is no
                season. Not with `dates='all'`.
            max_cloud: Largest share (0 to 1) of an image that is not clear. With `dates='all'` all four
                must be below it. The first use reads all cloud masks, and keeps the shares.
            cloud_mask: Add `cloud_mask` to samples.
            places: Ids of the places to read; all when None.
            files: Names of the files to read; those of the split's list that are there when None.
            edition: `zarr` or `webdataset`; told by what is there when None.
            keep_offset: Leave Sentinel-2 as stored; `statistics` then has the offset too.
            repair_s1_order: Put Sentinel-1 into the order of its acquisition.
            seed: Seed of random dates; see `set_epoch`.
            index_folder: Where the table of places is kept; beside the data when None and it can be
                written there, else in the user's cache.
            download: Download what is missing of the chosen files and modalities from Hugging Face: all of
                a modality is 0.2 to 0.9 TB, so name *files*, or use `download_v11`, which can also be told
                how many.

        Raises:
            DatasetNotFoundError: If a modality has no files.
            ValueError: If an argument is impossible, or files are damaged or do not fit each other.
            ConnectionError: If a server cannot be reached.
        """
        _one_of('split', split, Split)
        _one_of('dates', dates, Dates)
        self.plain = isinstance(modalities, str)
        names = (modalities,) if isinstance(modalities, str) else tuple(modalities)
        for name in names:
            _one_of('modality', name, Modality)
        if not names or len(set(names)) < len(names):
            raise ValueError(f'modalities is {list(names)}; name at least one, and each once.')
        if season is not None:
            _one_of('season', season, Season)
            if dates == 'all':
                raise ValueError(
                    "season chooses among dates, but dates='all' wants all four; use 'random' or 'each'."
                )
        if max_cloud is not None and not 0 <= max_cloud <= 1:
            raise ValueError(f'max_cloud is a share of the image, 0 to 1, not {max_cloud}.')
        if seed < 0:
            raise ValueError(f'seed must not be negative, got {seed}.')
        self.root, self.split, self.dates, self.seed = root, split, dates, seed
        self.modalities: tuple[Modality, ...] = names
        self.repair_s1_order = repair_s1_order
        self.cloud_mask, self.keep_offset, self.transforms = cloud_mask, keep_offset, transforms
        self.optical = next((m for m in self.modalities if m != 'S1GRD'), None)
        if self.optical is None and (cloud_mask or max_cloud is not None):
            raise ValueError('Cloud masks are with Sentinel-2; add one of its modalities.')
        self.bands = _bands(self.modalities, bands)

        if download:
            download_v11(
                root, split, self.modalities, files, edition=edition or 'zarr', checksum=False
            )
        opened = open_split(root, split, self.modalities, edition, files, index_folder)
        self.edition = opened.edition
        indices = dict(opened.indices)
        if 'S1GRD' in indices and not repair_s1_order:
            indices['S1GRD'] = indices['S1GRD'].as_stored()
        self._readers = {n: PatchReader(indices[n], opened.open[n]) for n in self.modalities}
        self._spans = {name: self._stored(name) for name in self.modalities}
        self._aligned = align(opened.indices, opened.where)
        self._rows = self._aligned.rows
        first = self.modalities[0]
        self._items = select(
            self.seconds(first),
            each=dates == 'each',
            at_least=self.dates_per_item,
            season=season,
            cloud_share=self._clouds(opened) if max_cloud is not None else None,
            max_cloud=max_cloud,
            chosen=None if places is None else numbers_of(places, self._aligned.ids),
        )
        if not len(self._items):
            raise ValueError(
                f'No place of {opened.where} has the {self.dates_per_item} dates of an item that season, '
                'max_cloud and places leave.'
            )
        # Shared, so that workers that live on see the next epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        """Return the number of items: places, or places and dates."""
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        """Return a place.

        Args:
            index: Number of the item; negative counts from the end.

        Returns:
            `image` (float32 `[T, C, H, W]` with `dates='all'` or `'pair'`, else `[C, H, W]`; units in the class;
            NaN where there is no data), `metadata` (float32 `[T, 4]` or `[4]`: longitude and latitude of
            the centre in degrees, days since 1970-01-01, 10 m per pixel), `file_id` (names of the
            products), each a dictionary by modality unless `modalities` is a single name; `cloud_mask`
            (uint8 `[T, H, W]` or `[H, W]`) if asked for; `sample_id` (str), `crs` (int64, EPSG code of
            the place's grid), `filename` (str, of the first modality).

        Raises:
            IndexError: If there is no such item.
            ValueError: If a file is damaged; names file, place and date.
            ConnectionError: If a server cannot be reached.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f'{index} is not one of {len(self)} items.')
        index %= len(self)
        place, dates = self.place_and_dates(index)
        by_modality: dict[str, dict[Modality, object]] = {
            'image': {},
            'metadata': {},
            'file_id': {},
        }
        for name in self.modalities:
            row = int(self._rows[name][place])
            height, width = self._readers[name].size
            image = np.empty((len(dates), len(self.bands[name]), height, width), np.float32)
            for position, date in enumerate(dates):
                self.read_into(name, place, date, image[position])
            if offset := self.offset(name):
                image -= offset
            products = self._readers[name].products(row)
            found = torch.from_numpy(image)
            metadata = self.metadata(name, place, dates)
            several = self.series
            by_modality['image'][name] = found if several else found[0]
            by_modality['metadata'][name] = metadata if several else metadata[0]
            by_modality['file_id'][name] = (
                [products[date] for date in dates] if several else products[dates[0]]
            )
        first = self.modalities[0]
        row = int(self._rows[first][place])
        sample: Sample = {
            key: value[first] if self.plain else value for key, value in by_modality.items()
        }
        if self.cloud_mask and self.optical is not None:
            reader, mask_row = self._readers[self.optical], int(self._rows[self.optical][place])
            masks = torch.stack(
                [torch.from_numpy(reader.clouds(mask_row, d).copy()) for d in dates]
            )
            sample['cloud_mask'] = masks if self.series else masks[0]
        sample['sample_id'] = f'{self._aligned.ids[place]:07d}'
        sample['crs'] = torch.tensor(int(self._readers[first].index.crs[row]))
        sample['filename'] = f'{self.root}/{self.split}/{first}/{self._readers[first].where(row)}'
        return sample if self.transforms is None else self.transforms(sample)

    @property
    def series(self) -> bool:
        """Whether items have an axis of dates."""
        return self.dates in ('all', 'pair')

    @property
    def dates_per_item(self) -> int:
        """Number of dates of an item."""
        every = len(self._readers[self.modalities[0]].index.seconds[0])
        return {'all': every, 'pair': 2}.get(self.dates, 1)

    @property
    def epoch(self) -> int:
        """Epoch that random dates are drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw other random dates from now on; a function of seed, epoch and item alone.

        Raises:
            ValueError: If it is negative.
        """
        if epoch < 0:
            raise ValueError(f'epoch must not be negative, got {epoch}.')
        self._epoch.fill_(epoch)

    @cached_property
    def statistics(self) -> Mapping[Modality, Statistics]:
        """Published mean and deviation of the images as they are returned here."""
        stored = self.edition if self.keep_offset else 'webdataset'
        return {name: V11_STATISTICS[stored][name] for name in self.modalities}

    def offset(self, modality: Modality) -> float:
        """Return what is taken off the stored values."""
        has_offset = self.edition == 'zarr' and modality in ('S2L1C', 'S2L2A')
        return OFFSET_DN if has_offset and not self.keep_offset else 0.0

    def place_id(self, place: int) -> int:
        """Return the id of a place."""
        return int(self._aligned.ids[place])

    def file_numbers(self) -> NDArray[np.int64]:
        """Return a number for each item, the same for those whose pixels lie together."""
        first = self.modalities[0]
        index = self._readers[first].index
        files = index.container_file[index.container[self._rows[first]]].astype(np.int64)
        found = files[self._items.place]
        if self.dates == 'each':
            found = found * self._items.allowed.shape[1] + self._items.allowed.argmax(axis=1)
        return found

    def table(self) -> GeoDataFrame:
        """Return all places of the split as a table, to choose `places` from; see `place_table`."""
        indices = {name: self._readers[name].index for name in self.modalities}
        return place_table(indices, self._rows, self.size(self.modalities[0]))

    def fingerprint(self) -> str:
        """Return a hash of which items there are, and of what is read of each."""
        digest = hashlib.sha256()
        options = (self.modalities, self.bands, self.dates, self.seed, self.edition)
        digest.update(repr((*options, self.keep_offset, self.repair_s1_order)).encode())
        digest.update(self._aligned.ids[self._items.place].astype('<i4').tobytes())
        digest.update(np.packbits(self._items.allowed).tobytes())
        return digest.hexdigest()[:16]

    def size(self, modality: Modality) -> tuple[int, int]:
        """Return height and width (px) of images."""
        return self._readers[modality].size

    def seconds(self, modality: Modality) -> NDArray[np.int64]:
        """Return the acquisition times (s since 1970-01-01 UTC) of all places, `[N, T]`."""
        return self._readers[modality].index.seconds[self._rows[modality]]

    def place_and_dates(self, index: int) -> tuple[int, tuple[int, ...]]:
        """Return the place of an item, and its dates, counted in chronological order."""
        place = int(self._items.place[index])
        allowed = np.flatnonzero(self._items.allowed[index])
        if self.dates in ('random', 'pair'):
            first = ordering.draw(len(allowed), self.seed, self.epoch, index)
            chosen = [first]
            if self.dates == 'pair':
                step = ordering.draw(len(allowed) - 1, self.seed, self.epoch, index, _SECOND)
                chosen.append((first + 1 + step) % len(allowed))
            allowed = allowed[chosen]
        return place, tuple(int(date) for date in allowed)

    def metadata(self, modality: Modality, place: int, dates: Sequence[int]) -> Tensor:
        """Return the metadata of some dates of a place, `[T, 4]`; see `__getitem__`."""
        index, row = self._readers[modality].index, int(self._rows[modality][place])
        longitude, latitude = (float(value) for value in index.lonlat[row])
        days = [int(index.seconds[row, date]) // _SECONDS_PER_DAY for date in dates]
        return torch.tensor([[longitude, latitude, day, GSD_M] for day in days])

    def read_into(
        self,
        modality: Modality,
        place: int,
        date: int,
        target: NDArray[np.float32],
        box: tuple[slice, slice] = (slice(None), slice(None)),
        scale: NDArray[np.float32] | None = None,
        shift: NDArray[np.float32] | None = None,
    ) -> None:
        """Read the bands of a place and date as stored, without a fresh buffer.

        Args:
            modality: Which images.
            place: Number of the place.
            date: Date in chronological order.
            target: Filled with them, `[C, h, w]`.
            box: Rows and columns to take.
            scale: Factor of each band `[C]`; the values as stored when None.
            shift: Added to each band after that, `[C]`.

        Raises:
            ValueError: If the file is damaged; names file, place and date.
        """
        row = int(self._rows[modality][place])
        for span, found in self._readers[modality].pixels(row, date, self._spans[modality]):
            for band, position in zip(span.wanted, span.positions, strict=True):
                plane = target[position]
                chosen = found[(band, *box)]
                _convert(chosen, plane)
                # Band by band, so that it stays in the cache between the steps.
                if scale is not None:
                    plane *= scale[position]
                if shift is not None:
                    plane += shift[position]

    def plot(self, sample: Sample, show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw all dates and modalities of a sample, with outlines of clouds when it has a mask.

        Args:
            sample: From `__getitem__`.
            show_titles: Write modality and date over each picture.
            suptitle: Title of the figure.
        """
        return draw_place(sample, self.modalities, self.bands, show_titles, suptitle)

    def _stored(self, modality: Modality) -> tuple[Span, ...]:
        """Return where the wanted bands are in the files.

        Raises:
            ValueError: If the files have other bands than this modality.
        """
        index = self._readers[modality].index
        letters = {'R': 'B04', 'G': 'B03', 'B': 'B02'} if modality == 'S2RGB' else {}
        stored = [letters.get(str(name), str(name)) for name in index.band_names]
        try:
            names = [band.name for band in _sensor(modality).select(stored)]
        except ValueError as error:
            raise ValueError(f'{index.files[0]} is not of {modality}: {error}') from error
        if sorted(names) != sorted(MODALITY_BANDS[modality]):
            raise ValueError(
                f'{index.files[0]} has the bands {names}, not those of {modality}: '
                f'{list(MODALITY_BANDS[modality])}.'
            )
        return spans_of([names.index(band) for band in self.bands[modality]])

    def _clouds(self, opened: OpenSplit) -> NDArray[np.float32]:
        if self.optical is None:
            raise ValueError('Cloud masks are with Sentinel-2; add one of its modalities.')
        reader = self._readers[self.optical]
        return cloud_share(reader, opened.kept[self.optical])[self._rows[self.optical]]


def _convert(source: NDArray[np.generic], target: NDArray[np.float32]) -> None:
    """Copy a plane as float32."""
    if source.dtype != np.float16 or min(source.strides) < 0:
        target[...] = source
        return
    # PyTorch is four times as fast as NumPy on float16, but knows no reversed rows, and from 32,768 numbers
    # on it waits for threads of its own, which here stand in each other's way.
    rows = max(1, 32_767 // source.shape[1])
    for start in range(0, source.shape[0], rows):
        part = slice(start, start + rows)
        torch.from_numpy(target[part]).copy_(torch.from_numpy(source[part]))


def _sensor(modality: Modality) -> Sensor:
    return S1_GRD if modality == 'S1GRD' else S2_TOA


def _bands(
    modalities: Sequence[Modality], bands: Sequence[str] | Mapping[Modality, Sequence[str]] | None
) -> dict[Modality, tuple[str, ...]]:
    if bands is None:
        bands = {}
    if not isinstance(bands, Mapping):
        if len(modalities) > 1:
            raise ValueError(
                f'bands is one list, but there are {len(modalities)} modalities; give a list for each: '
                f'{{{modalities[0]!r}: [...], ...}}.'
            )
        bands = {modalities[0]: bands}
    if unknown := [name for name in bands if name not in modalities]:
        raise ValueError(f'bands names {unknown}, which are not among {list(modalities)}.')
    chosen: dict[Modality, tuple[str, ...]] = {}
    for modality in modalities:
        allowed = MODALITY_BANDS[modality]
        names = [b.name for b in _sensor(modality).select(bands.get(modality, allowed))]
        if absent := [name for name in names if name not in allowed]:
            raise ValueError(f'{modality} has no bands {absent}. Allowed: {list(allowed)}.')
        chosen[modality] = tuple(names)
    return chosen
