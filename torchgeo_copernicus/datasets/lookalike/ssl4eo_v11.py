"""Make places of SSL4EO-S12 v1.1: four dates of Sentinel-1 and -2, in both editions.

The layout, the types and the chunks are those of the release. So is the defect of the Zarr edition:
Sentinel-1 lies in the order of product names, all of 1A before 1B, while its times are in order.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
from numcodecs.abc import Codec
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.lookalike.dfc2020 import paint_tile
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    Grid,
    grid_around,
    random_place,
    write_list,
)
from torchgeo_copernicus.datasets.lookalike.land import sample_rng
from torchgeo_copernicus.datasets.lookalike.spectra import NATIVE_PX, spectrum
from torchgeo_copernicus.datasets.lookalike.terrain import smooth_field
from torchgeo_copernicus.datasets.ssl4eo.statistics import (
    MODALITY_BANDS,
    OFFSET_DN,
    Edition,
    Modality,
)
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import (
    DATES,
    GSD_M,
    Split,
    file_name,
    split_list,
    stored_names,
)
from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip_writer import (
    DEFAULT_CODEC,
    NewArray,
    write_zarr_zip,
)

_L1C, _L2A = MODALITY_BANDS['S2L1C'], MODALITY_BANDS['S2L2A']
_FIRST_ID = 173


@dataclass(frozen=True)
class SeasonalPlace:
    """One place on four dates.

    Attributes:
        name: Its id, seven digits.
        pixels: Images of each modality as stored, `[T, C, H, W]`, in chronological order.
        clouds: Class of each pixel, `[T, H, W]`.
        times: Acquisition times of Sentinel-2 and Sentinel-1, `[T]` each.
        products: Product names of Sentinel-2 and Sentinel-1, in the same order.
        grid: Where the pixels lie.
        lon: Longitude of the centre (deg).
        lat: Latitude of the centre (deg).
    """

    name: str
    pixels: Mapping[Modality, NDArray[np.generic]]
    clouds: NDArray[np.uint8]
    times: tuple[NDArray[np.datetime64], NDArray[np.datetime64]]
    products: tuple[tuple[str, ...], tuple[str, ...]]
    grid: Grid
    lon: float
    lat: float


def paint_place(seed: int, index: int, size: int) -> SeasonalPlace:
    """Paint a place; it depends on the arguments only."""
    rng = sample_rng(seed, index)
    radar, optical, _ = paint_tile(rng, size, index)
    place = random_place(rng)
    start = np.datetime64('2020-01-20T10:30:00', 's') + rng.integers(0, 40 * 86_400)
    steps = np.arange(DATES) * 91 * 86_400 + rng.integers(-8 * 86_400, 8 * 86_400, DATES)
    optical_times = (start + steps).astype('datetime64[s]')
    gaps = rng.integers(-5 * 86_400, 5 * 86_400, DATES)
    radar_times = (optical_times + gaps).astype('datetime64[s]')

    green = optical[_L1C.index('B08')] > 2 * optical[_L1C.index('B04')]
    toa = np.empty((DATES, *optical.shape), np.float64)
    surface = np.empty((DATES, len(_L2A), size, size), np.float64)
    clouds = np.zeros((DATES, size, size), np.uint8)
    path = 1e4 * spectrum('path', _L1C)[:, None, None]
    cover = 1e4 * spectrum('cloud', _L1C)[:, None, None]
    keep = [_L1C.index(band) for band in _L2A]
    water = optical[_L1C.index('B08')] < 600
    for date in range(DATES):
        # Plants are darker in winter, lighter in red and short-wave infrared.
        phase = 0.25 * np.cos(2 * np.pi * (date - 0.5 + 2 * (place.lat < 0)) / DATES)
        scene = optical * np.where(green, 1 - phase, 1 + phase / 3)
        scene += np.stack([_noise(rng, band, size) for band in _L1C])
        field = smooth_field(rng, size, size / 3, 2.5)
        # Most scenes are clear; a few have a cloud.
        thick = field > (1.2 if rng.random() < 0.3 else 9)
        clouds[date] = np.where(thick, 4, np.where(water, 1, 0))
        toa[date] = np.where(thick, cover, scene)
        surface[date] = 1.12 * (toa[date] - path)[keep]
    green_to_blue = [_L2A.index(band) for band in MODALITY_BANDS['S2RGB']]
    echo = radar[None] + rng.normal(0, 0.8, (DATES, *radar.shape))
    pixels: dict[Modality, NDArray[np.generic]] = {
        'S1GRD': echo.astype(np.float16),
        'S2L1C': (np.rint(np.clip(toa, 1, 28_000)) + OFFSET_DN).astype(np.int16),
        'S2L2A': (np.rint(np.clip(surface, -900, 28_000)) + OFFSET_DN).astype(np.int16),
        'S2RGB': np.clip(surface[:, green_to_blue] / 12, 0, 255).astype(np.uint8),
    }
    zone = f'T{place.utm_zone:02d}ABC'
    stamps = [
        [str(t).translate({45: None, 58: None}) for t in ts] for ts in (optical_times, radar_times)
    ]
    # Satellites take turns at random.
    radars = tuple(
        f'S1{"AB"[int(rng.integers(2))]}_IW_GRDH_1SDV_{stamp}_{stamp}_0{index:05d}_03CFBA_{date:04X}'
        for date, stamp in enumerate(stamps[1])
    )
    return SeasonalPlace(
        f'{_FIRST_ID + 17 * index:07d}',
        pixels,
        clouds,
        (optical_times, radar_times),
        (tuple(f'{stamp}_{stamp}_{zone}' for stamp in stamps[0]), radars),
        grid_around(place, size),
        place.lon,
        place.lat,
    )


def _noise(rng: np.random.Generator, band: str, size: int) -> NDArray[np.float64]:
    """Draw the noise of a band (DN), the same in all pixels of 10 m of one native pixel."""
    side = NATIVE_PX.get(band, 1)
    native = rng.normal(0, 12, (-(-size // side),) * 2)
    return native.repeat(side, axis=0).repeat(side, axis=1)[:size, :size]


def file_arrays(places: Sequence[SeasonalPlace], modality: Modality) -> dict[str, NewArray]:
    """Return the variables of one file of the Zarr edition.

    Args:
        places: Places of the file, in its order.
        modality: Which images.
    """
    radar = modality == 'S1GRD'
    size = places[0].clouds.shape[-1]
    images, products = [], []
    for place in places:
        names = np.array(place.products[1 if radar else 0])
        # The defect of the release: names and pixels in the order of names, times in theirs.
        order = np.argsort(names) if radar else np.arange(DATES)
        images.append(np.asarray(place.pixels[modality])[order])
        products.append(names[order])
    bands = np.stack(images)
    axis = np.arange(size)
    x = np.stack([p.grid.transform.c + GSD_M * (axis + 0.5) for p in places])
    y = np.stack([p.grid.transform.f - GSD_M * (axis + 0.5) for p in places])
    labels = [[f'{p.name}_{date}' for date in range(DATES)] for p in places]
    times = np.stack([np.sort(p.times[1 if radar else 0]) for p in places])
    epsg = [p.grid.crs.to_epsg() if p.grid.crs else 0 for p in places]
    stored = stored_names(modality, MODALITY_BANDS[modality])
    since = {'units': 'seconds since 1970-01-01', 'calendar': 'proleptic_gregorian'}
    arrays = {
        'band': NewArray(np.array(stored), ('band',)),
        'bands': NewArray(
            bands, ('sample', 'time', 'band', 'y', 'x'), (len(places), 1, *bands.shape[2:])
        ),
        'center_lat': NewArray(np.array([p.lat for p in places]), ('sample',)),
        'center_lon': NewArray(np.array([p.lon for p in places]), ('sample',)),
        'crs': NewArray(np.array(epsg, np.int64), ('sample',)),
        'file_id': NewArray(np.array(products), ('sample', 'time')),
        'sample': NewArray(np.array([p.name for p in places]), ('sample',)),
        'sample_id': NewArray(np.array(labels), ('sample', 'time')),
        'time': NewArray(np.arange(DATES), ('time',)),
        'time_': NewArray(times.astype(np.int64), ('sample', 'time'), attributes=since),
        'x': NewArray(axis, ('x',)),
        'x_': NewArray(x, ('sample', 'x')),
        'y': NewArray(axis, ('y',)),
        'y_': NewArray(y, ('sample', 'y')),
    }
    if not radar:
        masks = np.stack([p.clouds for p in places])
        chunks = (len(places), 1, size, size)
        arrays['cloud_mask'] = NewArray(masks, ('sample', 'time', 'y', 'x'), chunks)
    return arrays


def member_arrays(place: SeasonalPlace, modality: Modality) -> dict[str, NewArray]:
    """Return the variables of one member of a tar archive of the WebDataset edition.

    A member is one place: no axis of places, no offset, Sentinel-1 in the order of time.

    Args:
        place: The place.
        modality: Which images.
    """
    arrays = {}
    order = np.argsort(np.argsort(place.products[1])) if modality == 'S1GRD' else np.arange(DATES)
    for name, array in file_arrays([place], modality).items():
        values = array.values
        if 'sample' not in array.dims:
            arrays[name] = array
            continue
        values = values[0]
        if name in ('bands', 'file_id'):
            values = values[order]
        if name == 'bands' and modality in ('S2L1C', 'S2L2A'):
            values = values - np.int16(OFFSET_DN)
        arrays[name] = NewArray(values, array.dims[1:], attributes=array.attributes)
    return arrays


def _write_tar(
    path: Path, places: Mapping[int, SeasonalPlace], split: Split, modality: Modality
) -> None:
    with TemporaryDirectory() as folder, tarfile.open(path, 'w') as archive:
        for number, place in places.items():
            name = f'ssl4eos12_{split}_seasonal_data_{number:07d}.zarr.zip'
            write_zarr_zip(Path(folder) / name, member_arrays(place, modality))
            archive.add(Path(folder) / name, name)


def make_ssl4eo_v11(
    directory: Path,
    n: int,
    seed: int,
    size: int,
    *,
    per_file: int = 4,
    modalities: Sequence[Modality] = get_args(Modality),
    codec: Codec | None = DEFAULT_CODEC,
    edition: Edition = 'zarr',
) -> Path:
    """Write `ssl4eo_v11/{train,val}/<modality>/*` and, for the Zarr edition, the lists of the splits.

    Args:
        directory: Existing folder to write into.
        n: Number of places; a fifth, and at least one, in val.
        seed: Seed, not negative; place i depends on the seed, i and the size only.
        size: Side of an image in pixels of 10 m (264 in the release).
        per_file: Places of a file (64 in the release).
        modalities: Modalities to write.
        codec: Compressor of the Zarr edition.
        edition: `zarr` files of several places, or `webdataset` archives of members with one each.

    Returns:
        The folder `<directory>/ssl4eo_v11`.

    Raises:
        ValueError: If there are fewer places than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 2:
        raise ValueError(f'ssl4eo_v11 needs n >= 2 places, one per split, got n={n}')
    root = Path(directory) / 'ssl4eo_v11'
    root.mkdir()
    if edition == 'zarr':
        (root / 'splits').mkdir()
    held_out = max(1, n // 5)
    splits: dict[Split, range] = {'train': range(n - held_out), 'val': range(n - held_out, n)}
    for split, indices in splits.items():
        for modality in modalities:
            (root / split / modality).mkdir(parents=True)
        names = []
        for number, start in enumerate(range(indices.start, indices.stop, per_file), 1):
            chosen = range(start, min(start + per_file, indices.stop))
            places = [paint_place(seed, index, size) for index in chosen]
            if edition == 'webdataset':
                for modality in modalities:
                    path = root / split / modality / f'ssl4eos12_shard_{number:06d}.tar'
                    _write_tar(path, dict(zip(chosen, places, strict=True)), split, modality)
                continue
            names.append(file_name(split, number))
            for modality in modalities:
                path = root / split / modality / names[-1]
                write_zarr_zip(path, file_arrays(places, modality), codec)
        if names:
            write_list(root / split_list(split), names)
    return root
