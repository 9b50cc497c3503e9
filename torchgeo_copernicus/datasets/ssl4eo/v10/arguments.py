"""Arguments of the SSL4EO-S12 v1.0 dataset: checked before anything is read or downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v10.place import DATES
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import Variant
from torchgeo_copernicus.sensors import S1_GRD, S2_TOA

Dates = Literal['all', 'random', 'each']
Incomplete = Literal['raise', 'skip', 'keep']

_MODALITIES: Mapping[Variant, tuple[Modality, ...]] = {
    'raw': ('S1GRD', 'S2L1C', 'S2L2A'),
    '8bit': ('S1GRD', 'S2L1C', 'S2L2A'),
    'rgb': ('S2RGB',),
}


def chosen_modalities(given: Sequence[Modality] | None, variant: Variant) -> tuple[Modality, ...]:
    """Return the modalities to read, those of the variant when None.

    Raises:
        ValueError: If there is none, one twice, or one that the variant has not.
    """
    allowed = _MODALITIES[variant]
    if given is None:
        return ('S2L1C',) if variant != 'rgb' else allowed
    names = tuple(given) if not isinstance(given, str) else ()
    if not names or len(set(names)) < len(names) or not set(names) <= set(allowed):
        raise ValueError(
            f'modalities is {given!r}; wanted a list of one or more of {list(allowed)}, each once, for '
            f'variant={variant!r}.'
        )
    return names


def bands_of(
    given: Sequence[str] | Mapping[Modality, Sequence[str]] | None, modalities: tuple[Modality, ...]
) -> dict[Modality, tuple[str, ...]]:
    """Return the names of the bands of each modality, in the order wanted.

    Raises:
        ValueError: If a band or a modality is unknown, or it is not clear whose bands are meant.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        if len(modalities) > 1:
            raise ValueError(
                f'bands is {given!r}; for {len(modalities)} modalities give a dict such as '
                "{'S2L1C': ['B04', 'B03', 'B02']}."
            )
        given = {modalities[0]: given}
    if unknown := [name for name in given if name not in modalities]:
        raise ValueError(f'bands names {unknown}, which are not among {list(modalities)}.')
    found: dict[Modality, tuple[str, ...]] = {}
    for modality in modalities:
        stored = MODALITY_BANDS[modality]
        sensor = S1_GRD if modality == 'S1GRD' else S2_TOA
        names = tuple(band.name for band in sensor.select(given.get(modality, stored)))
        if absent := [name for name in names if name not in stored]:
            raise ValueError(f'{modality} has no band {absent}. Allowed: {list(stored)}.')
        found[modality] = names
    return found


def chosen_seasons(given: Sequence[int] | None, incomplete: Incomplete) -> tuple[int, ...] | None:
    """Return positions among the four dates, or None for all.

    Raises:
        ValueError: If one is none of them or given twice, or places may have other than four dates.
    """
    if given is None:
        return None
    positions = () if isinstance(given, str | int) else tuple(given)
    allowed = range(DATES)
    if (
        not positions
        or len(set(positions)) < len(positions)
        or not all(type(position) is int and position in allowed for position in positions)
    ):
        raise ValueError(
            f'seasons is {given!r}; wanted a list of one or more of {list(allowed)}, each once: positions '
            'of the dates in the order of time.'
        )
    if incomplete == 'keep':
        raise ValueError(
            "seasons are positions among four dates, and incomplete='keep' takes places with others; use "
            'one of the two.'
        )
    return positions
