"""SSL4EO-S12 v1.0: 251,079 places, four dates each, by Sentinel-1 and by Sentinel-2 at two levels.

Over TorchGeo's class this one knows which numbers have no place, orders dates by time, pairs the modalities,
draws dates from a seed, keeps units (dB, DN) apart, and says where and when each image was taken.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v10.arguments import (
    Dates,
    Incomplete,
    bands_of,
    chosen_modalities,
    chosen_seasons,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.download import RELEASES, obtain, present
from torchgeo_copernicus.datasets.ssl4eo.v10.ids import place_ids
from torchgeo_copernicus.datasets.ssl4eo.v10.picture import draw_seasons
from torchgeo_copernicus.datasets.ssl4eo.v10.place import (
    DATES,
    Scene,
    folder_name,
    list_places,
    list_scenes,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import (
    NoData,
    Resampling,
    SceneReader,
    Variant,
    grid_px,
)
from torchgeo_copernicus.datasets.whole_number import whole

_log = logging.getLogger(__name__)


#: Folder of each modality below the root; that of the RGB subset is not known, its files are.
FOLDERS: Mapping[Modality, str] = {'S1GRD': 's1', 'S2L1C': 's2c', 'S2L2A': 's2a', 'S2RGB': 'rgb'}


class SSL4EOS12v10(NonGeoDataset):
    """Places of SSL4EO-S12 v1.0, each at four dates about three months apart.

    | modality | bands | stored | unit |
    |---|---|---|---|
    | `S1GRD` | VV, VH | float32, 264 px | dB |
    | `S2L1C` | B01 to B12 with B8A and B10, 13 | uint16; 264, 132, 44 px | DN = reflectance x 10000 |
    | `S2L2A` | the same without B10, 12 | uint16; 264, 132, 44 px | DN = reflectance x 10000 |
    | `S2RGB` | B04, B03, B02 of S2L1C | uint8, 264 px | counts, or DN when decoded |

    Layout: `<root>/{s1,s2c,s2a}/<7 digits>/<scene>/<band>.tif`, where a scene is named as in Earth Engine and
    bands as B1, B8A, VV. 97 numbers have no place (`VOID_IDS`).

    Variants: `raw`. `8bit`, the compressed release, stretched to uint8 by mean and deviation and JPEG
    compressed; `rgb`, its pictures of three bands. Known of these two are the stretch, the bands, the
    compression and the size of the pictures. Inferred: folders and scenes are named as in the raw release
    (pictures in `rgb/`), and a scene is a folder of one file per band, a folder of one file with all bands, or
    such a file itself; all three are read. If folders are named otherwise, pass `folders`.

    There is no offset of 1000 in the DN, unlike in the Zarr edition of v1.1. Sources: arXiv:2211.07044;
    licence of the data CC-BY-4.0; raw release https://mediatum.ub.tum.de/1660427, 8-bit
    https://mediatum.ub.tum.de/1702379.
    """

    def __init__(
        self,
        root: Path | str = 'data',
        modalities: Sequence[Modality] | None = None,
        dates: Dates = 'all',
        seasons: Sequence[int] | None = None,
        bands: Sequence[str] | Mapping[Modality, Sequence[str]] | None = None,
        ids: Path | str | Sequence[int] | None = None,
        variant: Variant = 'raw',
        decode: bool = True,
        resampling: Resampling = 'bilinear',
        nodata: NoData = 'nan',
        incomplete: Incomplete = 'raise',
        seed: int = 0,
        folders: Mapping[Modality, str] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Find the places, downloading and extracting them when asked to.

        Args:
            root: Folder that holds `s1`, `s2c` and `s2a`, or the parts of their archives.
            modalities: What to read of each place; `('S2L1C',)` when None, `('S2RGB',)` of the RGB
                subset.
            dates: `all`: an item is a place with all its dates, in the order of time. `random`: with one
                date, drawn anew in each epoch (`set_epoch`). `each`: an item is a place at one date, so
                there are four times as many. All modalities have the same of their dates, first to last.
            seasons: Which dates, as positions in the order of time (0 is the earliest, whatever its time
                of year); all four when None.
            bands: Names or aliases in the order wanted, of the one modality or of some by name; all
                when None.
            ids: Numbers of places: a sequence, or a text file with one in each line; every place there is
                when None. Repetitions are left out (the official list of 50k has four).
            variant: `raw`, `8bit` or `rgb`; see the class.
            decode: Turn counts of the 8-bit variants into DN and dB as far as possible, else leave
                0 to 255. Raw images are in these units anyway, and must have True.
            resampling: How bands of 20 and 60 m get to 10 m: `bilinear` as in the pretraining, or
                `nearest`.
            nodata: `nan`: pixels that are stored as 0, which Earth Engine writes where it has none, become
                NaN. `stored` leaves them. 8-bit images cannot tell, and must have `nan`.
            incomplete: What to do about a place that lacks a modality or has other than four dates.
                `raise` names it (a modality at once; dates when it is read). `skip` leaves it out and logs
                how many, `keep` takes the dates there are but no missing modality; both may list all
                folders first, which takes minutes on a network disk.
            seed: For `dates='random'`.
            folders: Names of modalities' folders where they are others.
            transforms: Applied to each sample.
            download: Download the raw release, about 500 GB for each modality, where its folder and its
                archive are missing.
            checksum: Verify parts of the archive that are there before extracting them.

        Raises:
            DatasetNotFoundError: If a modality is not there and *download* is False.
            ValueError: If an argument is not allowed, a place is void or missing, or a file is damaged.
        """
        for name, value, allowed in (
            ('dates', dates, Dates),
            ('variant', variant, Variant),
            ('resampling', resampling, Resampling),
            ('nodata', nodata, NoData),
            ('incomplete', incomplete, Incomplete),
        ):
            one_of(name, value, allowed)
        self.root, self.variant, self.dates = Path(root), variant, dates
        self.modalities = chosen_modalities(modalities, variant)
        self.bands = bands_of(bands, self.modalities)
        self.seasons = chosen_seasons(seasons, incomplete)
        self.incomplete = incomplete
        self.seed = whole('seed', seed)
        self.transforms, self.download, self.checksum = transforms, download, checksum
        if variant == 'raw' and not decode:
            raise ValueError('decode=False is for 8-bit variants; raw images hold DN and dB.')
        if variant != 'raw' and nodata != 'nan':
            raise ValueError(
                "nodata='stored' is for variant='raw'; 8-bit images have no such mark."
            )
        if variant != 'raw' and download:
            raise ValueError(
                f'variant={variant!r} cannot be downloaded from here; get it from '
                'https://mediatum.ub.tum.de/1702379 and give its folder as root.'
            )
        if unknown := sorted(set(folders or {}) - set(self.modalities)):
            raise ValueError(f'folders names {unknown}, which are not among {self.modalities}.')
        self.folders = {
            m: self.root / (folders or FOLDERS).get(m, FOLDERS[m]) for m in self.modalities
        }
        self._find()
        self.ids, self._counts = self._list(ids)
        # Shared with loader processes, so that those of a later epoch see it too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self.size = grid_px(
            self._scenes(self.modalities[0], int(self.ids[0]))[0], self.modalities[0]
        )
        self._readers = {
            m: SceneReader(m, self.bands[m], variant, decode, resampling, nodata, self.size)
            for m in self.modalities
        }

    def __len__(self) -> int:
        """Return the number of items: places, or dates of places."""
        return int(self._counts[-1])

    def __getitem__(self, index: int) -> Sample:
        """Return a place, or a place at one date.

        Args:
            index: Position in `ids` (times four for `dates='each'`); negative counts from the end.

        Returns:
            `image` (float32 `[T, C, H, W]`, or `[C, H, W]` of one date, on the 10 m grid, DN or dB, NaN
            without data), `metadata` (float32 `[T, 4]` or `[4]`: longitude and latitude in degrees, days
            since 1970-01-01, ground sampling distance in m; NaN when unknown), `filename` (paths of the
            scenes; list of str, or str), `file_id` (their names) and `sample_id` (str: the place's seven
            digits, and for one date its position behind them). With several modalities the first four are
            dicts by modality.

        Raises:
            IndexError: If there is no such item.
            ValueError: If a file is missing or damaged, or a place is incomplete; names it.
        """
        place_id, position = self._item(index)
        entries: dict[Modality, Sample] = {}
        with reading_several():
            scenes = {m: self._scenes(m, place_id) for m in self.modalities}
            if self.dates == 'random':
                self._check_pairs(place_id, {m: len(found) for m, found in scenes.items()})
                count = len(scenes[self.modalities[0]])
                positions = self.seasons or range(count)
                draw = drawn(self.seed, int(self._epoch), place_id)
                position = positions[draw % len(positions)]
            for modality, found in scenes.items():
                entries[modality] = self._entry(modality, found, position)
        name = folder_name(place_id)
        sample: Sample = {'sample_id': name if position is None else f'{name}_{position}'}
        for key in ('image', 'metadata', 'filename', 'file_id'):
            values = {modality: entry[key] for modality, entry in entries.items()}
            sample[key] = values if len(values) > 1 else values[self.modalities[0]]
        return sample if self.transforms is None else self.transforms(sample)

    def set_epoch(self, epoch: int) -> None:
        """Draw other dates than in earlier epochs, in loader processes that run already too.

        Args:
            epoch: Its number, not negative.

        Raises:
            ValueError: If it is no such number.
        """
        self._epoch.fill_(whole('epoch', epoch))

    def restricted_to(self, ids: Sequence[int]) -> SSL4EOS12v10:
        """Return a dataset of some of the places; the folders are not listed again.

        Args:
            ids: Numbers of places of this dataset, in the order wanted.

        Raises:
            ValueError: If there is none, or one is not in this dataset.
        """
        places = {int(place_id): row for row, place_id in enumerate(self.ids)}
        if not len(ids) or (unknown := [place_id for place_id in ids if place_id not in places]):
            raise ValueError(
                'ids is empty.' if not len(ids) else f'{unknown[:5]} are not in this dataset.'
            )
        rows = np.array([places[place_id] for place_id in ids])
        part = copy.copy(self)
        part.ids = self.ids[rows]
        part._counts = np.append(0, np.diff(self._counts)[rows].cumsum())
        part._epoch = self._epoch.clone().share_memory_()
        return part

    def location(self, place_id: int) -> tuple[float, float]:
        """Return longitude and latitude (degrees) of a place, from one file; NaN when unknown.

        Args:
            place_id: Its number.
        """
        modality = self.modalities[0]
        scene = self._scenes(modality, place_id)[0]
        with reading_several():
            longitude, latitude = self._readers[modality].metadata(scene)[:2].tolist()
        return longitude, latitude

    def plot(self, sample: Sample, show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw a sample: modalities below each other, dates side by side.

        Args:
            sample: An item of this dataset, in physical units or normalised.
            show_titles: Write modality and date above each panel.
            suptitle: Title of the figure; number and place when None.

        Raises:
            RGBBandsMissingError: If red, green and blue of Sentinel-2 were not read.
        """
        return draw_seasons(self.modalities, self.bands, sample, show_titles, suptitle)

    def _find(self) -> None:
        for modality, folder in self.folders.items():
            if folder.is_dir():
                continue
            # An archive is extracted to the usual name only.
            usual = self.variant == 'raw' and folder == self.root / FOLDERS[modality]
            release = RELEASES[modality] if usual else None
            there = release is not None and present(release, self.root)
            if release is None or not (there or self.download):
                raise DatasetNotFoundError(self)
            obtain(release, self.root, folder.name, download=self.download, checksum=self.checksum)

    def _list(
        self, ids: Path | str | Sequence[int] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of the places, and how many items come before each and in all."""
        listed = {m: set(list_places(folder)) for m, folder in self.folders.items()}
        wanted = sorted(set().union(*listed.values())) if ids is None else place_ids(ids)
        if not wanted:
            raise ValueError(f'{self.root} holds no place, such as {self._path("0000200")}.')
        lacking = {
            place_id: [m for m, there in listed.items() if place_id not in there]
            for place_id in wanted
            if not all(place_id in there for there in listed.values())
        }
        if lacking and self.incomplete != 'skip':
            place_id, missing = next(iter(lacking.items()))
            raise ValueError(
                f'{len(lacking)} of {len(wanted)} places in {self.root} lack a modality, the first is '
                f"{folder_name(place_id)} without {', '.join(missing)}. Leave them out with incomplete='skip', "
                'or choose others with ids.'
            )
        kept = [place_id for place_id in wanted if place_id not in lacking]
        # An item for each place, unless dates are counted below.
        per_place = [1 if self.dates != 'each' else len(self.seasons or range(DATES))] * len(kept)
        if self.incomplete == 'skip':
            kept = [place_id for place_id in kept if self._is_complete(place_id)]
            per_place = per_place[: len(kept)]
            if len(kept) < len(wanted):
                _log.warning(
                    '%d of %d places in %s are incomplete and left out.',
                    len(wanted) - len(kept),
                    len(wanted),
                    self.root,
                )
            if not kept:
                raise ValueError(f'All {len(wanted)} places in {self.root} are incomplete.')
        elif self.incomplete == 'keep' and self.dates == 'each':
            per_place = [self._pairs(place_id) for place_id in kept]
        return np.array(kept, np.int64), np.append(0, np.array(per_place, np.int64).cumsum())

    def _path(self, place: str) -> Path:
        return self.folders[self.modalities[0]] / place

    def _is_complete(self, place_id: int) -> bool:
        name = folder_name(place_id)
        return all(len(list_scenes(folder / name)) == DATES for folder in self.folders.values())

    def _pairs(self, place_id: int) -> int:
        """Return the number of dates that all modalities of a place have."""
        counts = {m: len(self._scenes(m, place_id)) for m in self.modalities}
        self._check_pairs(place_id, counts)
        return counts[self.modalities[0]]

    def _check_pairs(self, place_id: int, counts: Mapping[Modality, int]) -> None:
        if len(set(counts.values())) > 1:
            raise ValueError(
                f'{folder_name(place_id)} has unequal numbers of dates, {dict(counts)}, which cannot be '
                "paired one by one; use dates='all' or leave the place out."
            )

    def _item(self, index: int) -> tuple[int, int | None]:
        """Return the place of an item, and the position of its date if that is given."""
        if not -len(self) <= index < len(self):
            raise IndexError(f'index {index} is out of range for {len(self)} items.')
        index %= len(self)
        row = int(np.searchsorted(self._counts, index, side='right')) - 1
        if self.dates != 'each':
            return int(self.ids[row]), None
        position = index - int(self._counts[row])
        return int(self.ids[row]), self.seasons[position] if self.seasons else position

    def _scenes(self, modality: Modality, place_id: int) -> list[Scene]:
        folder = self.folders[modality] / folder_name(place_id)
        scenes = list_scenes(folder)
        if not scenes or (len(scenes) != DATES and self.incomplete != 'keep'):
            raise ValueError(
                f'{folder} holds {len(scenes)} dates of {modality}, wanted {DATES}. Leave such places out '
                "with incomplete='skip', or take them as they are with 'keep'."
            )
        return scenes

    def _entry(self, modality: Modality, scenes: list[Scene], position: int | None) -> Sample:
        """Return image, metadata and names of one modality, at one date or at all that are wanted."""
        reader = self._readers[modality]
        if position is not None:
            scene = scenes[position]
            image, metadata = reader.read(scene)
            return {
                'image': image,
                'metadata': metadata,
                'filename': str(scene.path),
                'file_id': scene.name,
            }
        chosen = [scenes[season] for season in self.seasons] if self.seasons else scenes
        pairs = [reader.read(scene) for scene in chosen]
        return {
            'image': torch.stack([image for image, _ in pairs]),
            'metadata': torch.stack([metadata for _, metadata in pairs]),
            'filename': [str(scene.path) for scene in chosen],
            'file_id': [scene.name for scene in chosen],
        }
