"""Cuts a split of SSL4EO-S12 v1.1 into parts of so many places, for converters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torchgeo_copernicus.datasets.ssl4eo.statistics import OFFSET_DN, Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.aligned import align
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import Split
from torchgeo_copernicus.datasets.ssl4eo.v11.open_split import open_split
from torchgeo_copernicus.datasets.ssl4eo.v11.place_source import PlaceSource, has_clouds

#: Compressors within Blosc, with shuffled bytes.
Codec = Literal['lz4', 'zstd']


@dataclass(frozen=True)
class SplitPart:
    """Consecutive places of one modality of a split.

    Attributes:
        split: Which split.
        modality: Which images.
        edition: Edition they are read from.
        first: Number of the first place in the split.
        total: Places of the split.
        ids: Their ids.
        source: Reads them.
        clouds: Whether the modality has cloud masks.
    """

    split: Split
    modality: Modality
    edition: Edition
    first: int
    total: int
    ids: tuple[int, ...]
    source: PlaceSource
    clouds: bool

    @property
    def offset(self) -> float:
        """What the source adds to reflectance x 10000 (DN)."""
        has = self.edition == 'zarr' and self.modality in ('S2L1C', 'S2L2A')
        return OFFSET_DN if has else 0.0


def parts_of(
    root: Path | str,
    split: Split,
    modalities: Sequence[Modality],
    edition: Edition | None,
    files: Sequence[str] | None,
    length: int,
    codec: Codec,
) -> list[SplitPart]:
    """Return the parts of all modalities; those of one number have the same places in the same order.

    Args:
        root: Folder or address with `train` and `val`.
        split: Which split.
        modalities: Which images.
        edition: `zarr` or `webdataset`; told by what is there when None.
        files: Names of files to take; those of the split's list that are there when None.
        length: Places of a part.
        codec: Compressor that the converter will use, to be checked along.

    Raises:
        ValueError: If an argument is impossible, or files are damaged or do not fit each other.
    """
    names = () if isinstance(modalities, str) else tuple(modalities)
    if not names or len(set(names)) < len(names) or not set(names) <= set(get_args(Modality)):
        raise ValueError(
            f'modalities is {modalities!r}; wanted a list of one or more of {list(get_args(Modality))}, '
            'each once.'
        )
    for name, value, allowed in (('split', split, Split), ('codec', codec, Codec)):
        if value not in get_args(allowed):
            raise ValueError(f'Unknown {name} {value!r}. Allowed: {list(get_args(allowed))}.')
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f'A part must have at least 1 place, got {length!r}.')
    opened = open_split(root, split, names, edition, files, None)
    places = align(opened.indices, opened.where)
    parts = []
    for modality in names:
        clouds = has_clouds(opened.indices[modality])
        for first in range(0, len(places.ids), length):
            rows = places.rows[modality][first : first + length]
            ids = tuple(places.ids[first : first + length].tolist())
            source = PlaceSource.of(opened, modality, rows)
            parts.append(
                SplitPart(
                    split, modality, opened.edition, first, len(places.ids), ids, source, clouds
                )
            )
    return parts
