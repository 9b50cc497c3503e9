"""The images of a cell of Copernicus-Pretrain, from a sample of either format."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datamodules.pretrain_images import images_of
from torchgeo_copernicus.datamodules.pretrain_statistics import pretrain_inputs
from torchgeo_copernicus.datasets.pretrain.faults import LOSSES, Fault
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.embedding.footprint import box_corners, square_corners
from torchgeo_copernicus.embedding.image import EmbeddingImage, ImageKind

_log = logging.getLogger(__name__)
_EPOCH = date(1970, 1, 1)


class CellImage(NamedTuple):
    """An image of a cell.

    Attributes:
        modality: Which.
        local_id: Number of the local patch; None for images of the whole cell.
        metadata: Longitude, latitude (deg), days since 1970-01-01, ground sampling distance (m).
        number: Counts images of a place and a day.
    """

    modality: ModalityName
    local_id: int | None
    metadata: tuple[float, float, float, float]
    number: int


class Origin(NamedTuple):
    """Where an image is from: file, or shard and key, and the name of the local patch if it is of one."""

    source: str
    local_id_coord: str | None


def pretrain_kinds(modalities: Sequence[ModalityName]) -> dict[str, ImageKind]:
    """Return what the images are; columns of Sentinel-5P are not scaled, as in the published training."""
    columns = any(name.startswith('s5p_') for name in modalities)
    inputs = pretrain_inputs(modalities, s5p='published' if columns else 'standardise')
    return {
        name: ImageKind(
            name,
            MODALITIES[name].sensor,
            MODALITIES[name].sensor.bands,
            given.statistics,
            given.size_px,
            'metres' if MODALITIES[name].local else 'degrees',
        )
        for name, given in inputs.items()
    }


def cell_images(
    sample: Sample, modalities: Sequence[ModalityName], origin_of: Callable[[CellImage], Origin]
) -> list[EmbeddingImage]:
    """Return the images of a sample, modality by modality.

    Args:
        sample: Of all patches and dates.
        modalities: Which to take.
        origin_of: Says what an image is from.

    Raises:
        ValueError: If the sample is not as it should be.
    """
    cell = Cell(int(sample['grid_id']))
    found = []
    for name in modalities:
        seen: Counter[str] = Counter()
        for one in images_of(sample, name):
            longitude, latitude, days, gsd_m = one.metadata.tolist()
            metadata = (longitude, latitude, days, gsd_m)
            when = '' if math.isnan(days) else str(_EPOCH + timedelta(days))
            patch = '' if one.local_id is None else f'{one.local_id:07d}'
            place = f'{cell.grid_id:07d}/{name}/{patch}/{when}'
            # Two images of a place and a day are told apart by their number.
            image = CellImage(name, one.local_id, metadata, seen[place])
            seen[place] += 1
            height, width = one.image.shape[1:]
            corners = (
                box_corners(*cell.bounds)
                if one.local_id is None
                else square_corners(metadata, height, width, 'metres')
            )
            source, local_id_coord = origin_of(image)
            found.append(
                EmbeddingImage(
                    f'{place}/{image.number}',
                    name,
                    one.image,
                    one.metadata,
                    source,
                    corners,
                    cell.grid_id,
                    one.local_id,
                    local_id_coord,
                )
            )
    return found


def in_region(
    grid_ids: NDArray[np.int64], region: Sequence[float] | None, grids: Sequence[int] | None
) -> NDArray[np.bool_]:
    """Return which cells have their centre in a region, and are among some.

    Args:
        grid_ids: Numbers of cells, `[N]`.
        region: West, south, east and north (deg), across the date line where west is above east; all if None.
        grids: Numbers of cells; all if None.

    Raises:
        ValueError: If an argument is no such thing, or no cell is left.
    """
    keep = np.ones(len(grid_ids), bool)
    if grids is not None:
        keep &= np.isin(grid_ids, np.asarray(list(grids), np.int64))
    if region is not None:
        west, south, east, north = checked_region(region)
        longitude = grid_ids % COLUMNS * CELL_DEG - 180
        latitude = grid_ids // COLUMNS * CELL_DEG - 90
        between = (longitude >= west) & (longitude <= east)
        if west > east:
            between = (longitude >= west) | (longitude <= east)
        keep &= between & (latitude >= south) & (latitude <= north)
    if not keep.any():
        raise ValueError(
            f'None of the {len(grid_ids)} cells is in region {region} and among grids {grids}.'
        )
    return keep


def checked_region(region: object) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a region.

    Raises:
        ValueError: If it is none.
    """
    if (
        not isinstance(region, list | tuple)
        or len(region) != 4
        or not all(isinstance(value, int | float) for value in region)
        or not (-180 <= region[0] <= 180 and -180 <= region[2] <= 180)
        or not -90 <= region[1] <= region[3] <= 90
    ):
        raise ValueError(
            f'region is {region!r}; wanted [west, south, east, north] in degrees, -180 to 180 and -90 to 90.'
        )
    west, south, east, north = region
    return west, south, east, north


def tell_faults(faults: Sequence[Fault], on_error: str) -> None:
    """Raise for images that cannot be read, or say what is left out; images without a value always are.

    Raises:
        ValueError: If there is one, and *on_error* is `raise`.
    """
    bad = [fault for fault in faults if fault.kind in LOSSES]
    if bad and on_error == 'raise':
        raise ValueError(
            f'{bad[0].shard}, {bad[0].key}: {bad[0].reason} ({len(bad)} faults here). Get the file again, or '
            "set on_error to 'skip' to leave such images out."
        )
    for fault in faults:
        _log.warning('Left out: %s, %s: %s', fault.shard, fault.key, fault.reason)


def sha256_of_parts(*parts: object) -> str:
    """Return a hash of what decides on a source."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        digest.update(b'\n')
    return digest.hexdigest()
