"""Opens monthly ERA5: NetCDF or Zarr by path, or what xarray has opened, under names of one style.

Data and names: Hersbach et al. (2023), "ERA5 monthly averaged data on single levels from 1940 to present",
Copernicus Climate Change Service, doi:10.24381/cds.f17050d7.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import xarray as xr

from torchgeo_copernicus.embedding.climate.published import VARIABLES, Variable

#: Path or Dataset, or several: of other variables, or of other months.
Era5 = str | os.PathLike[str] | xr.Dataset | Sequence[str | os.PathLike[str] | xr.Dataset]
# Other names of the variables: those of requests to the CDS, and of older files.
_ALIASES: Mapping[str, Variable] = {
    '2m_temperature': 't2m',
    'VAR_2T': 't2m',
    'total_precipitation': 'tp',
    'surface_pressure': 'sp',
    'mean_sea_level_pressure': 'msl',
    '10m_u_component_of_wind': 'u10',
    'VAR_10U': 'u10',
    '10m_v_component_of_wind': 'v10',
    'VAR_10V': 'v10',
}
_AXES = {'valid_time': 'time', 'date': 'time', 'lat': 'latitude', 'lon': 'longitude'}
_LAYOUT = ('time', 'latitude', 'longitude')
_ENGINES = ('h5netcdf', 'netCDF4')


def open_era5(given: Era5) -> dict[Variable, list[xr.DataArray]]:
    """Open files, and bring variables under the names `t2m`, `tp`, `sp`, `msl`, `u10` and `v10`.

    Nothing but coordinates is read.

    Args:
        given: NetCDF files, Zarr folders or addresses, or Datasets. Names are those of files of the CDS (`t2m`,
            `u10`, ...; `valid_time` or `time`) or of its requests (`2m_temperature`, ...).

    Returns:
        By variable its parts, each over `time`, `latitude` and `longitude`; months as they are.

    Raises:
        ValueError: If nothing is given, a file is of another format or needs a package that is missing, an axis
            is missing or too many, or a variable is in no file.
        OSError: If a file cannot be read.
    """
    items = [given] if isinstance(given, str | os.PathLike | xr.Dataset) else list(given)
    found: dict[Variable, list[xr.DataArray]] = {name: [] for name in VARIABLES}
    others: set[str] = set()
    for item in items:
        if not isinstance(item, str | os.PathLike | xr.Dataset):
            raise ValueError(f'era5 has a {type(item).__name__}; give paths or xarray Datasets.')
        ds = item if isinstance(item, xr.Dataset) else _opened(os.fspath(item))
        where = 'The Dataset' if isinstance(item, xr.Dataset) else os.fspath(item)
        for label, variable in ds.data_vars.items():
            name = _variable(str(label))
            if name is None:
                others.add(str(label))
            else:
                found[name].append(_in_layout(variable, f'{label} of {where}').rename(name))
    if lacking := [name for name in VARIABLES if not found[name]]:
        raise ValueError(
            f'ERA5 lacks {lacking} (or by their long names '
            f'{[long for long, short in _ALIASES.items() if short in lacking and long.islower()]}); '
            f'there are others: {sorted(others)}.'
        )
    return found


def _variable(label: str) -> Variable | None:
    return next((name for name in VARIABLES if name == label), _ALIASES.get(label))


def _in_layout(variable: xr.DataArray, where: str) -> xr.DataArray:
    """Return a variable with its axes in order and under usual names."""
    names = {name: _AXES[str(name)] for name in variable.dims if str(name) in _AXES}
    found = variable.rename(names)
    extra = [name for name in found.dims if name not in _LAYOUT]
    if long := [name for name in extra if found.sizes[name] > 1]:
        raise ValueError(
            f'{where} has the axes {list(variable.dims)}: choose one of {long} first (of expver, 1 is final and 5 '
            'preliminary).'
        )
    # Of one value, such as number.
    found = found.squeeze(extra, drop=True)
    if lacking := [name for name in _LAYOUT if name not in found.dims or name not in found.coords]:
        raise ValueError(
            f'{where} has the axes {list(variable.dims)}; wanted {list(_LAYOUT)} with coordinates, lacks '
            f'{lacking}.'
        )
    if found['time'].dtype.kind != 'M':
        raise ValueError(f'time of {where} is {found["time"].dtype}; wanted dates.')
    return found.reset_coords(drop=True).transpose(*_LAYOUT)


def _opened(path: str) -> xr.Dataset:
    if path.rstrip('/').endswith('.zarr') or Path(path).is_dir():
        chunks: dict[str, int] | None = {} if find_spec('dask') else None
        opened: xr.Dataset = xr.open_zarr(path, chunks=chunks)
        return opened
    if not Path(path).is_file():
        raise ValueError(f'{path} is not there; ERA5 is a NetCDF file or a Zarr folder.')
    with open(path, 'rb') as file:
        start = file.read(8)
    if start[:4] in (b'CDF\x01', b'CDF\x02'):
        return xr.open_dataset(path, engine='scipy')
    if start[:4] == b'PK\x03\x04':
        raise ValueError(
            f'{path} is a zip archive, as the CDS sends; unpack it, and give all files.'
        )
    if start[:4] == b'GRIB':
        raise ValueError(
            f'{path} is GRIB; download NetCDF, or convert it (cdo -f nc copy, cfgrib).'
        )
    if start != b'\x89HDF\r\n\x1a\n' and start[:4] != b'CDF\x05':
        raise ValueError(f'{path} is no NetCDF file: it starts with {start!r}.')
    engines = _ENGINES if start[:1] == b'\x89' else _ENGINES[1:]
    installed = [engine for engine in engines if find_spec(engine)]
    if not installed:
        raise ValueError(
            f'{path} is NetCDF {"4" if len(engines) > 1 else "of 64-bit data"}, which xarray reads through another '
            f'package: pip install {engines[0].lower()}.'
        )
    if installed[0] == 'h5netcdf':
        return xr.open_dataset(path, engine='h5netcdf')
    return xr.open_dataset(path, engine='netcdf4')
