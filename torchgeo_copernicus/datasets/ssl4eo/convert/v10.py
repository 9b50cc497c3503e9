"""Converts folders of SSL4EO-S12 v1.0 into files of the Zarr edition of v1.1.

What v1.0 has no source for is left out: `cloud_mask`, the picture `S2RGB` (its stretch is not published) and
the GeoParquet tables. Coordinates are approximate; see `v10_grid`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport, Job, convert
from torchgeo_copernicus.datasets.ssl4eo.convert.v10_group import V10Group
from torchgeo_copernicus.datasets.ssl4eo.geographic_split import split_by_block
from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v10.arguments import Incomplete
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS, SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.ids import place_ids
from torchgeo_copernicus.datasets.ssl4eo.v10.place import DATES, folder_name, list_scenes
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import (
    PLACES_PER_FILE,
    Split,
    file_name,
    split_list,
)
from torchgeo_copernicus.datasets.ssl4eo.v11.parts import Codec
from torchgeo_copernicus.datasets.whole_number import whole

_log = logging.getLogger(__name__)

# Those that both versions have.
_RAW: tuple[Modality, ...] = ('S1GRD', 'S2L1C', 'S2L2A')
Ids = Path | str | Sequence[int]


def convert_v10(
    root: Path | str,
    output: Path | str,
    modalities: Sequence[Modality] = _RAW,
    *,
    train: Ids | None = None,
    val: Ids | None = None,
    val_fraction: float | None = None,
    block_deg: float = 1.0,
    seed: int = 0,
    places_per_file: int = PLACES_PER_FILE,
    incomplete: Incomplete = 'raise',
    codec: Codec = 'lz4',
    folders: Mapping[Modality, str] | None = None,
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Write `<output>/{train,val}/<modality>/*.zarr.zip` and `splits`, to be read by `SSL4EOS12v11`.

    * Sentinel-2: int16 DN + 1000, bands of 20 and 60 m with their pixels repeated, as published. DN above
      31767 become 31767; they are counted and logged.
    * Sentinel-1: float16 dB, rounded to the nearest: by at most 0.008 dB from -16 to -32 dB, 0.004 from
      -8 to -16. A stored 0, which Earth Engine writes where it has no pixel, becomes NaN. Dates, pixels and
      names of products are in the order of acquisition.
    * Sentinel-2 pixels without data stay DN 0, stored as 1000.
    * The grid (`crs`, `x_`, `y_`, `center_lon`, `center_lat`) is approximate, off by some 10 m; it is the
      same for all modalities of a place.

    Images in a file are drawn from the whole split, as in the release.

    Args:
        root: Folder with `s1`, `s2c` and `s2a`.
        output: Folder to write into, the `root` of the new copy.
        modalities: Which images; `S2RGB` has no source.
        train: Ids of the places for training, or a file with one in each line.
        val: The same for validation. With neither list all places are divided.
        val_fraction: Without lists: share of the places for validation, chosen by region
            (`geographic_split`); all are for training when None.
        block_deg: Side of a region (deg of latitude).
        seed: Of the regions, and of the order of places in files.
        places_per_file: Places of a file.
        incomplete: Of places that lack a modality or have other than four dates: `raise` names
            them, `skip` leaves them out and logs how many, `keep` takes the dates there are. Places with
            equal numbers of dates then share files, and `SSL4EOS12v11` reads files of one kind at a
            time (`files=`). A missing modality is never kept.
        codec: `lz4` is faster, `zstd` smaller.
        folders: Names of modalities' folders where they are others.
        scheduler: Of Dask; see `conversion.convert`.
        workers: How many files are made at once; each takes 1 GB of memory for 64 places.
        progress: Show bars.

    Raises:
        DatasetNotFoundError: If a modality has no folder.
        ValueError: If an argument is impossible, a place is incomplete, a scene is damaged, or the output
            folder holds something else.
    """
    one_of('codec', codec, Codec)
    one_of('incomplete', incomplete, Incomplete)
    if whole('places_per_file', places_per_file) < 1:
        raise ValueError('places_per_file must be at least 1.')
    lists = _listed(train, val, val_fraction)
    seed = whole('seed', seed)
    ids = [place for places in lists.values() for place in places] or None
    # All incomplete places are counted below, before the first is named.
    lenient: Incomplete = 'skip' if incomplete == 'skip' else 'keep'
    dataset = SSL4EOS12v10(root, modalities, ids=ids, incomplete=lenient, folders=folders)
    if incomplete == 'skip':
        there = set(dataset.ids.tolist())
        lists = {split: [p for p in places if p in there] for split, places in lists.items()}
    dates = _dates(dataset, incomplete, progress)
    if not lists:
        lists = _divided(dataset, val_fraction, block_deg, seed, progress)
    # Those of all modalities there are, so that each gives the same place, converted now or later.
    everywhere = {m: Path(root) / (folders or {}).get(m, FOLDERS[m]) for m in _RAW}
    everywhere = {m: folder for m, folder in everywhere.items() if folder.is_dir()}
    jobs = []
    for split, places in lists.items():
        if not places:
            raise ValueError(f'The split {split} has no complete place; choose others.')
        groups = list(_groups(places, dates, places_per_file, seed))
        names = [file_name(split, number) for number in range(1, len(groups) + 1)]
        for name, chosen in zip(names, groups, strict=True):
            for modality in dataset.modalities:
                count = dates[chosen[0]][modality]
                group = V10Group(modality, everywhere, chosen, count, dataset.size)
                options = {'format': 'v1.1', 'places': list(chosen), 'dates': count, 'codec': codec}
                write = partial(group.write, codec)
                jobs.append(
                    Job(
                        f'{split}/{modality}/{name}',
                        f'{split}/{modality}/',
                        options,
                        group.stamps,
                        write,
                    )
                )
        lines = ''.join(f'{name}\n' for name in names)
        listing = split_list(split)
        write_list = partial(_write_text, lines)
        jobs.append(Job(listing, listing, {'files': names}, dict, write_list))
    report = convert([jobs], output, scheduler=scheduler, workers=workers, progress=progress)
    if saturated := report.counts.get('saturated_px', 0):
        _log.warning('%d pixels above 31767 DN became 31767.', saturated)
    return report


def _listed(
    train: Ids | None, val: Ids | None, val_fraction: float | None
) -> dict[Split, list[int]]:
    """Return the places of each split that has a list."""
    given: dict[Split, Ids | None] = {'train': train, 'val': val}
    lists = {split: place_ids(ids) for split, ids in given.items() if ids is not None}
    if lists and val_fraction is not None:
        raise ValueError(
            'val_fraction divides all places, but there are lists; give one of the two.'
        )
    if both := sorted(set(lists.get('train', ())) & set(lists.get('val', ()))):
        raise ValueError(f'The places {both[:5]} are in both train and val.')
    return lists


def _dates(
    dataset: SSL4EOS12v10, incomplete: Incomplete, progress: bool
) -> dict[int, dict[Modality, int]]:
    """Return how many dates each place has of each modality.

    Raises:
        ValueError: If places that are not to be kept as they are have other than four.
    """
    found = {}
    for place in tqdm(dataset.ids.tolist(), 'Listing the places', disable=not progress):
        name = folder_name(place)
        counts = {m: len(list_scenes(folder / name)) for m, folder in dataset.folders.items()}
        found[place] = counts
    others = {p: c for p, c in found.items() if set(c.values()) != {DATES}}
    if empty := [place for place, counts in others.items() if 0 in counts.values()]:
        raise ValueError(f'Places have no date of a modality, such as {folder_name(empty[0])}.')
    if others and incomplete != 'keep':
        place, counts = next(iter(others.items()))
        raise ValueError(
            f'{len(others)} of {len(found)} places have other than {DATES} dates, the first is '
            f"{folder_name(place)} with {json.dumps(counts)}. Leave them out with incomplete='skip', or "
            "take them as they are with 'keep'."
        )
    return found


def _divided(
    dataset: SSL4EOS12v10, val_fraction: float | None, block_deg: float, seed: int, progress: bool
) -> dict[Split, list[int]]:
    """Divide all places by region."""
    ids = dataset.ids
    if val_fraction is None:
        return {'train': ids.tolist()}
    bar = tqdm(ids.tolist(), 'Locating the places', disable=not progress)
    lonlat = np.array([dataset.location(place) for place in bar], np.float64)
    chosen = split_by_block(lonlat, val_fraction, block_deg, seed)
    return {'train': ids[~chosen].tolist(), 'val': ids[chosen].tolist()}


def _groups(
    places: Sequence[int], dates: Mapping[int, Mapping[Modality, int]], length: int, seed: int
) -> Iterable[tuple[int, ...]]:
    """Yield the places of each file: mixed, and with equal numbers of dates."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(places))
    mixed = [places[number] for number in order.tolist()]
    kinds: dict[tuple[int, ...], list[int]] = {}
    for place in mixed:
        kinds.setdefault(tuple(dates[place].values()), []).append(place)
    # Those with most dates first.
    for kind in sorted(kinds, reverse=True):
        for first in range(0, len(kinds[kind]), length):
            yield tuple(kinds[kind][first : first + length])


def _write_text(text: str, path: Path) -> Mapping[str, int]:
    path.write_text(text, encoding='utf-8')
    return {}
