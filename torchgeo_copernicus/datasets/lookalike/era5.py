"""Make look-alikes of monthly ERA5 on the made-up Earth of the embeddings, plausible in physics and in layout.

Temperature falls with latitude and height and swings with the seasons, more so inland; pressure falls with height;
rain follows the tropics, the wind and wet land; winds are trades and westerlies. `land_map` makes embeddings that
see the land of the same seed, and neither climate nor place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.embed.map_dataset import map_dataset
from torchgeo_copernicus.datasets.embed.map_window import MapWindow, Region
from torchgeo_copernicus.datasets.lookalike.embed_world import EmbedWorld
from torchgeo_copernicus.datasets.pretrain.grid import COLUMNS

#: Files of the CDS: means of moments, and of what is accumulated over a day.
FILES = {
    'data_stream-moda_stepType-avgua': ('t2m', 'sp', 'msl', 'u10', 'v10'),
    'data_stream-moda_stepType-avgad': ('tp',),
}
KINDS = ('nc', 'zarr')
_UNITS = {'t2m': 'K', 'tp': 'm', 'sp': 'Pa', 'msl': 'Pa', 'u10': 'm s**-1', 'v10': 'm s**-1'}
_NAMES = {
    't2m': '2 metre temperature',
    'tp': 'Total precipitation',
    'sp': 'Surface pressure',
    'msl': 'Mean sea level pressure',
    'u10': '10 metre U wind component',
    'v10': '10 metre V wind component',
}
_LAPSE_K_PER_M = 6.5e-3
# Waves of the relief, and how often they go around in a radian: lengths of 6 to 36 degrees.
_WAVES, _RADIANS = 24, (10, 60)
_GRAVITY, _GAS_CONSTANT = 9.80665, 287.05  # m/s², J/(kg K)

_Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Land:
    """What decides the climate of places, besides latitude.

    Attributes:
        is_land: bool.
        height_m: 0 at sea.
        inland: 0.1 at sea, to 1.
    """

    is_land: NDArray[np.bool_]
    height_m: _Array
    inland: _Array


def land_at(lon: _Array, lat: _Array, seed: int = 0) -> Land:
    """Return the land of places of the made-up Earth.

    Args:
        lon: Longitudes (deg).
        lat: Latitudes (deg), of a shape that fits.
        seed: Of `EmbedWorld`, which says where there is land.
    """
    relief, inland = _fields(lon, lat, seed, 2)
    is_land = (EmbedWorld(1, seed).vectors(lon, lat) != 0).any(axis=-1)
    height = 700 * np.log1p(np.exp(1.5 * relief))
    share = 0.2 + 0.8 / (1 + np.exp(-1.5 * inland))
    return Land(is_land, np.where(is_land, height, 0.0), np.where(is_land, share, 0.1))


def land_map(window: MapWindow, channels: int = 16, seed: int = 0) -> xr.Dataset:
    """Paint a map of embeddings that see the land: mixtures of its height, of how far inland it is, and of noise.

    Args:
        window: Which cells.
        channels: Numbers of a vector.
        seed: Seed, not negative.

    Returns:
        A map as `open_map` returns it; 0 at sea.
    """
    lat = window.lat[:, None]
    land = land_at(window.lon, lat, seed)
    others = _fields(window.lon, lat, seed + 1, 3)
    seen = np.stack([land.height_m / 1000 - 1, 4 * land.inland - 2.4, *others], axis=-1)
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(seen.shape[-1], channels)) / 2
    vectors = np.tanh(seen @ mix + rng.normal(size=channels) / 2)
    vectors += rng.normal(scale=0.02, size=vectors.shape)
    values = np.where(land.is_land[..., None], vectors, 0).astype(np.float32)
    return map_dataset(values, window, source='land of a made-up Earth')


def _fields(lon: _Array, lat: _Array, seed: int, n: int) -> list[_Array]:
    """Return n fields of mean 0 and deviation 1, with hills of some degrees, seamless on the sphere."""
    east, north = np.broadcast_arrays(np.radians(lon), np.radians(lat))
    places = np.stack(
        [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1
    )
    found = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        directions = rng.normal(size=(3, _WAVES))
        directions *= rng.uniform(*_RADIANS, _WAVES) / np.linalg.norm(directions, axis=0)
        waves = np.sin(places @ directions + rng.uniform(0, 2 * np.pi, _WAVES))
        found.append(waves.sum(axis=-1) / np.sqrt(_WAVES / 2))
    return found


def paint_era5(
    window: MapWindow, years: tuple[int, int] = (2019, 2020), seed: int = 0
) -> xr.Dataset:
    """Paint monthly means of the cells of a window, as the CDS has them.

    Args:
        window: Which cells.
        years: First and last year.
        seed: Seed, not negative; that of the embeddings.

    Returns:
        `t2m`, `tp` (m in a day), `sp`, `msl`, `u10` and `v10` as float32 over `valid_time`, `latitude` (from the
        north) and `longitude` (of the whole Earth 0 to 359.75, of a region as the window has them).

    Raises:
        ValueError: If the years are not in order.
    """
    if years[0] > years[1]:
        raise ValueError(f'years is {years}; give the first and the last.')
    rng = np.random.default_rng(seed)
    months = np.arange(np.datetime64(f'{years[0]}-01'), np.datetime64(f'{years[1] + 1}-01'))
    lon = np.sort(window.lon % 360) if window.columns == COLUMNS else window.lon
    lat = window.lat
    land = land_at(lon, lat[:, None], seed)
    fields = [_month(lat[:, None], land, int(m.astype(int)) % 12, rng) for m in months]
    axes = ('valid_time', 'latitude', 'longitude')
    return xr.Dataset(
        {
            name: (
                axes,
                np.stack([field[name] for field in fields]).astype(np.float32),
                {'units': _UNITS[name], 'long_name': _NAMES[name]},
            )
            for name in _UNITS
        },
        {
            'valid_time': months.astype('datetime64[ns]'),
            'latitude': ('latitude', lat, {'units': 'degrees_north'}),
            'longitude': ('longitude', lon, {'units': 'degrees_east'}),
        },
    )


def make_era5(
    directory: Path | str,
    region: Region = (0.0, 35.0, 15.0, 60.0),
    years: tuple[int, int] = (2019, 2020),
    seed: int = 0,
    kind: str = 'nc',
) -> list[Path]:
    """Write the files that the CDS sends for a request of the six variables.

    Args:
        directory: Folder to write into; made where it is missing.
        region: West, south, east and north (deg).
        years: First and last year.
        seed: Seed, not negative; that of the embeddings.
        kind: `nc` (NetCDF 3; the CDS sends NetCDF 4), or `zarr`.

    Returns:
        Two files, or folders: moments, and what is accumulated.

    Raises:
        ValueError: If an argument is not allowed.
        FileExistsError: If a file is there.
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; allowed: {KINDS}.')
    ds = paint_era5(MapWindow.of_region(region), years, seed)
    paths = [Path(directory) / f'{name}.{kind}' for name in FILES]
    if there := [path for path in paths if path.exists()]:
        raise FileExistsError(f'{there[0]} exists.')
    Path(directory).mkdir(parents=True, exist_ok=True)
    for path, names in zip(paths, FILES.values(), strict=True):
        part = ds[list(names)]
        if 'tp' in names:
            # Accumulated values have another hour.
            part = part.assign_coords(valid_time=part['valid_time'] + np.timedelta64(6, 'h'))
        if kind == 'nc':
            part.to_netcdf(path, engine='scipy')
        else:
            part.to_zarr(path, zarr_format=2, consolidated=True)
    return paths


def _month(lat: _Array, land: Land, month: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the fields of a month (0 is January), `[latitude, longitude]`."""
    phi = np.radians(lat)
    # 1 at midsummer of a hemisphere, -1 at midwinter; seasons lag by a month.
    summer = np.cos(2 * np.pi * (month - 6.5) / 12) * np.sign(lat)
    swing = (2 + 22 * land.inland) * np.abs(np.sin(phi))
    warm = 29 - 47 * np.sin(phi) ** 2 + rng.normal(scale=0.4)
    sea_level_c = warm + swing * summer - 4 * (land.inland - 0.5)
    celsius = sea_level_c - _LAPSE_K_PER_M * land.height_m
    # Highs of the subtropics, lows of 60 degrees, and highs of cold land in winter.
    msl = 101_325 - 700 * np.cos(6 * phi) - 500 * land.inland * summer * np.abs(np.sin(phi))
    msl = msl + rng.normal(scale=60)
    mean_k = 273.15 + (sea_level_c + celsius) / 2
    sp = msl * np.exp(-_GRAVITY * land.height_m / (_GAS_CONSTANT * mean_k))
    # Rain belt that follows the sun, storms of middle latitudes, less inland, more on slopes.
    belt = 8 * np.cos(2 * np.pi * (month - 6.5) / 12)
    tropics = 7e-3 * np.exp(-(((lat - belt) / 12) ** 2))
    storms = 3e-3 * np.exp(-(((np.abs(lat) - 48) / 14) ** 2)) * (1 - 0.3 * summer)
    wet = (1.25 - land.inland) * (1 + land.height_m / 4000)
    tp = (3e-4 + tropics + storms) * wet * rng.uniform(0.9, 1.1)
    friction = 1 - 0.6 * land.inland
    u10 = (rng.normal(scale=0.8) - 7 * np.cos(3 * np.abs(phi))) * friction
    v10 = (rng.normal(scale=0.8) + 3 * np.sin(6 * phi)) * friction
    fields = {'t2m': celsius + 273.15, 'tp': tp, 'sp': sp, 'msl': msl, 'u10': u10, 'v10': v10}
    return {name: np.broadcast_to(field, land.height_m.shape) for name, field in fields.items()}
