"""The variables of a file of SSL4EO-S12 v1.1: of several places, or of one in a tar archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import stored_names
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import NewArray

_SINCE = {'units': 'seconds since 1970-01-01', 'calendar': 'proleptic_gregorian'}


@dataclass(frozen=True)
class PlaceRecord:
    """All that is known of a place but its pixels; dates in chronological order.

    Attributes:
        name: Its id, seven digits.
        seconds: Acquisition times (s since 1970-01-01 UTC), int64 `[T]`.
        products: Names of the products, `[T]`.
        crs: EPSG code of its grid.
        lon: Longitude of the centre (deg).
        lat: Latitude of the centre (deg).
        x: Eastings of the middle of each column (m), float64 `[W]`.
        y: Northings of the middle of each row (m), float64 `[H]`.
    """

    name: str
    seconds: NDArray[np.int64]
    products: tuple[str, ...]
    crs: int
    lon: float
    lat: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def record_arrays(records: Sequence[PlaceRecord], modality: Modality) -> dict[str, NewArray]:
    """Return the variables of some places without `bands` and `cloud_mask`.

    Args:
        records: N places, all with T dates and images of one size.
        modality: Of their images.
    """
    first = records[0]
    dates = len(first.seconds)
    labels = [[f'{r.name}_{date}' for date in range(dates)] for r in records]
    return {
        'band': NewArray(np.array(stored_names(modality, MODALITY_BANDS[modality])), ('band',)),
        'center_lat': NewArray(np.array([r.lat for r in records]), ('sample',)),
        'center_lon': NewArray(np.array([r.lon for r in records]), ('sample',)),
        'crs': NewArray(np.array([r.crs for r in records], np.int64), ('sample',)),
        'file_id': NewArray(np.array([r.products for r in records]), ('sample', 'time')),
        'sample': NewArray(np.array([r.name for r in records]), ('sample',)),
        'sample_id': NewArray(np.array(labels), ('sample', 'time')),
        'time': NewArray(np.arange(dates), ('time',)),
        'time_': NewArray(
            np.stack([r.seconds for r in records]), ('sample', 'time'), attributes=_SINCE
        ),
        'x': NewArray(np.arange(len(first.x)), ('x',)),
        'x_': NewArray(np.stack([r.x for r in records]), ('sample', 'x')),
        'y': NewArray(np.arange(len(first.y)), ('y',)),
        'y_': NewArray(np.stack([r.y for r in records]), ('sample', 'y')),
    }


def member_arrays(
    record: PlaceRecord,
    modality: Modality,
    image: NDArray[np.generic],
    clouds: NDArray[np.generic] | None,
) -> dict[str, NewArray]:
    """Return the variables of a member of a tar archive: one place, without an axis of places.

    Args:
        record: The place.
        modality: Of its images.
        image: As to be stored, `[T, C, H, W]`; each date becomes a chunk.
        clouds: Classes of the cloud mask, uint8 `[T, H, W]`, or None.
    """
    arrays = {
        name: NewArray(array.values[0], array.dims[1:], attributes=array.attributes)
        if 'sample' in array.dims
        else array
        for name, array in record_arrays([record], modality).items()
    }
    arrays['bands'] = NewArray(image, ('time', 'band', 'y', 'x'), (1, *image.shape[1:]))
    if clouds is not None:
        arrays['cloud_mask'] = NewArray(clouds, ('time', 'y', 'x'), (1, *clouds.shape[1:]))
    return arrays
