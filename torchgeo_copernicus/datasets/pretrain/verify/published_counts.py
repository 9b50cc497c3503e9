"""Numbers of cells in the published sets of shards, by modality (arXiv:2503.11849, table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torchgeo_copernicus.datasets.pretrain.modality import MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import PUBLISHED, shard_names


@dataclass(frozen=True)
class PublishedSet:
    """A published set of shards.

    Attributes:
        name: Its name.
        cells: Number of its cells.
        modalities: Of these, cells with each modality; none where it was not published.
    """

    name: str
    cells: int
    modalities: Mapping[ModalityName, int]

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of its files, without folders."""
        return tuple(name.rpartition('/')[2] for name in shard_names(self.name))


_ALIGNED_CELLS, _UNION_CELLS = 219_543, 312_567
_UNION: Mapping[ModalityName, int] = {
    's1_grd': 247_723,
    's2_toa': 247_723,
    's3_olci': 281_375,
    's5p_co': 306_097,
    's5p_no2': 291_449,
    's5p_o3': 306_218,
    's5p_so2': 262_259,
    'dem': 297_665,
}
_ALIGNED: Mapping[ModalityName, int] = dict.fromkeys(MODALITY_NAMES, _ALIGNED_CELLS)
# What the aligned shards have, those of the rest lack.
_REST = {name: count - _ALIGNED_CELLS for name, count in _UNION.items()}
#: The sets of `PUBLISHED`.
PUBLISHED_SETS: Mapping[str, PublishedSet] = {
    '220k_aligned': PublishedSet('220k_aligned', _ALIGNED_CELLS, _ALIGNED),
    '220k_310k_union': PublishedSet('220k_310k_union', _UNION_CELLS - _ALIGNED_CELLS, _REST),
    '310k_union': PublishedSet('310k_union', _UNION_CELLS, _UNION),
    '100_example': PublishedSet('100_example', 100, {}),
}


def published_set(name: str) -> PublishedSet:
    """Return a set by name.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in PUBLISHED_SETS:
        raise ValueError(f'{name!r} is no published set. Allowed: {list(PUBLISHED)}.')
    return PUBLISHED_SETS[name]


def set_of(shards: frozenset[str]) -> PublishedSet | None:
    """Return the set that has just these files, by their names without folders, or None."""
    return next((s for s in PUBLISHED_SETS.values() if frozenset(s.shards) == shards), None)
