"""Brings the modalities of a split together, place by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import SEASON_MONTHS, Season
from torchgeo_copernicus.datasets.ssl4eo.v11.place_index import PlaceIndex


@dataclass(frozen=True)
class AlignedPlaces:
    """Places that every modality has.

    Attributes:
        ids: Id of each place, `[N]`, in the order of the first modality's files.
        rows: Number of each place in the index of a modality, `[N]`.
    """

    ids: NDArray[np.int32]
    rows: Mapping[Modality, NDArray[np.int64]]


def align(indices: Mapping[Modality, PlaceIndex], where: str) -> AlignedPlaces:
    """Match places by id, not by position.

    Args:
        indices: Index of each modality.
        where: Name of the data, for messages.

    Raises:
        ValueError: If a modality lacks files or places of another, or has a place twice.
    """
    names = list(indices)
    first = indices[names[0]]
    for name in names[1:]:
        _same(set(first.files.tolist()), set(indices[name].files.tolist()), names[0], name, where)
    dates = {name: index.seconds.shape[1] for name, index in indices.items()}
    if len(set(dates.values())) > 1:
        raise ValueError(
            f'{where}: the modalities have different numbers of dates, {dates}, and cannot be read '
            'together. Read each by itself.'
        )
    rows: dict[Modality, NDArray[np.int64]] = {}
    for name, index in indices.items():
        ids, counts = np.unique(index.sample_id, return_counts=True)
        if counts.max() > 1:
            twice = ids[counts > 1][:3].tolist()
            raise ValueError(
                f'{where}: {name} has the places {twice} twice; is a file there in two copies?'
            )
        _same(set(first.sample_id.tolist()), set(ids.tolist()), names[0], name, where)
        sorting = np.argsort(index.sample_id)
        found = np.searchsorted(index.sample_id, first.sample_id, sorter=sorting)
        rows[name] = sorting[found]
    return AlignedPlaces(first.sample_id, rows)


def _same(a: set[object], b: set[object], name_a: str, name_b: str, where: str) -> None:
    what = 'files' if any(isinstance(item, str) for item in a | b) else 'places'
    for have, lack, mine, others in ((name_a, name_b, a, b), (name_b, name_a, b, a)):
        if missing := sorted(map(str, mine - others)):
            raise ValueError(
                f'{where}: {len(missing)} {what} of {have} are not in {lack}, such as {missing[:3]}. '
                f'Download them, leave {lack} out of modalities, or name the files that are complete '
                'with files=.'
            )


@dataclass(frozen=True)
class Items:
    """What a dataset's numbers stand for.

    Attributes:
        place: Number of the place, `[N]`.
        allowed: Dates that may be read of it, in chronological order, `[N, T]`.
    """

    place: NDArray[np.int64]
    allowed: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.place)


def select(
    seconds: NDArray[np.int64],
    *,
    each: bool,
    at_least: int,
    season: Season | None,
    cloud_share: NDArray[np.float32] | None,
    max_cloud: float | None,
    chosen: NDArray[np.bool_] | None,
) -> Items:
    """Choose places and dates.

    Args:
        seconds: Acquisition times of the first modality (s since 1970-01-01 UTC), `[N, T]`.
        each: One item for each place and date, not for each place.
        at_least: A place counts only with so many dates.
        season: Three months of the calendar that dates must lie in.
        cloud_share: Share of each image that does not see the ground, `[N, T]`.
        max_cloud: Largest allowed share.
        chosen: Places to keep, `[N]`.
    """
    allowed = np.ones(seconds.shape, bool)
    if season is not None:
        months = seconds.astype('datetime64[s]').astype('datetime64[M]').astype(np.int64) % 12 + 1
        allowed &= np.isin(months, SEASON_MONTHS[season])
    if max_cloud is not None and cloud_share is not None:
        allowed &= cloud_share <= max_cloud
    allowed &= (allowed.sum(axis=1) >= at_least)[:, None]
    if chosen is not None:
        allowed &= chosen[:, None]
    if each:
        place, date = np.nonzero(allowed)
        return Items(place, np.eye(seconds.shape[1], dtype=bool)[date])
    place = np.flatnonzero(allowed.any(axis=1))
    return Items(place, allowed[place])


def numbers_of(places: Sequence[int | str], ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which of *ids* are among *places*.

    Raises:
        ValueError: If one is not there.
    """
    wanted = np.array([int(place) for place in places], np.int64)
    if unknown := wanted[~np.isin(wanted, ids)][:3].tolist():
        raise ValueError(f'The places {unknown} are not in the data; it has {len(ids)} places.')
    return np.isin(ids, wanted)
