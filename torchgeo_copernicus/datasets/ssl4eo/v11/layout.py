"""Names and facts of SSL4EO-S12 v1.1: folders, files, dates, cloud classes.

Source: arXiv:2503.00168 and the README of its repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality

#: Splits; there is no test split.
Split = Literal['train', 'val']
#: Three months of the calendar, whatever the hemisphere: December to February and so on.
Season = Literal['DJF', 'MAM', 'JJA', 'SON']

#: Dates of a place.
DATES = 4
#: Places of a file (Zarr edition).
PLACES_PER_FILE = 64
#: Side of an image (px).
IMAGE_SIZE = 264
#: Side of a pixel (m), of every band: those of 20 and 60 m were enlarged to the nearest pixel.
GSD_M = 10.0

#: Classes of `cloud_mask`, as SEnSeI v2 gave them: the output of a model, not ESA's scene classification.
CLOUD_CLASSES: tuple[str, ...] = (
    'land',
    'water',
    'snow',
    'thin cloud',
    'thick cloud',
    'cloud shadow',
    'no data',
)
#: Classes that see the ground. Not only class 0: water and snow are clear too.
CLEAR_CLASSES = (0, 1, 2)

#: Months of each season.
SEASON_MONTHS: Mapping[Season, tuple[int, int, int]] = {
    'DJF': (12, 1, 2),
    'MAM': (3, 4, 5),
    'JJA': (6, 7, 8),
    'SON': (9, 10, 11),
}

#: Files of each modality, and places of each split (64 a file; the 512 of a tar archive are too).
PUBLISHED_FILES: Mapping[Edition, Mapping[Split, int]] = {
    'zarr': {'train': 3812, 'val': 34},
    'webdataset': {'train': 477, 'val': 5},
}
PUBLISHED_PLACES: Mapping[Split, int] = {'train': 243_968, 'val': 2_176}

#: Ends of the names of files of each edition.
SUFFIX: Mapping[Edition, str] = {'zarr': '.zarr.zip', 'webdataset': '.tar'}


def split_list(split: Split) -> str:
    """Return where the list of a split's files lies under the root."""
    return f'splits/ssl4eos12_{split}.txt'


def split_table(split: Split) -> str:
    """Return where the GeoParquet table of a split lies under the root."""
    return f'splits/{split}_metadata.parquet'


def file_name(split: Split, number: int) -> str:
    """Return the name of a file of the Zarr edition.

    Args:
        split: Its split.
        number: Its number, from 1 on.
    """
    return f'ssl4eos12_{split}_seasonal_data_{number:06d}.zarr.zip'


def stored_names(modality: Modality, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return how the bands of a modality are called in its files."""
    return tuple(name.lower() for name in names) if modality == 'S1GRD' else names
