"""Targets of the climate study: the right cells, months and units, whatever style the files have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.lookalike.era5 import make_era5, paint_era5
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.climate import era5_files
from torchgeo_copernicus.embedding.climate import targets as module
from torchgeo_copernicus.embedding.climate.era5_files import Era5
from torchgeo_copernicus.embedding.climate.options import ClimateOptions
from torchgeo_copernicus.embedding.climate.published import TARGETS
from torchgeo_copernicus.embedding.climate.targets import ClimateSource

# West of Greenwich, where longitudes are told in two ways.
REGION = (-3.0, 49.0, -0.5, 51.0)
WINDOW = MapWindow.of_region(REGION)
IDS = np.sort(WINDOW.grid_ids.reshape(-1))[::7]


@pytest.fixture(scope='module')
def era5() -> xr.Dataset:
    return paint_era5(WINDOW, (2019, 2020))


def values(given: Era5, **options: object) -> np.ndarray:
    return ClimateSource(given, ClimateOptions(**options)).targets(IDS).values  # type: ignore[arg-type]


def by_hand(era5: xr.Dataset) -> np.ndarray:
    found = []
    for number in IDS.tolist():
        cell = Cell(number)
        at = era5.sel(latitude=cell.latitude, longitude=cell.longitude).astype(np.float64)
        for name, factor, shift in (
            ('t2m', 1, -273.15), ('tp', 365.2425, 0), ('sp', 1, 0), ('msl', 1, 0), ('u10', 1, 0), ('v10', 1, 0),
        ):  # fmt: skip
            series = at[name].to_numpy() * factor + shift
            found += [series.mean(), series.std()]
    return np.reshape(found, (len(IDS), len(TARGETS)))


def test_targets_are_mean_and_deviation_at_the_cells(era5: xr.Dataset) -> None:
    np.testing.assert_allclose(values(era5), by_hand(era5), rtol=1e-6)


def test_blocks_of_months_change_nothing(era5: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = values(era5)
    monkeypatch.setattr(module, '_BLOCK_BYTES', 8 * WINDOW.rows * WINDOW.columns * 5)
    np.testing.assert_array_equal(values(era5), whole)


def styles(era5: xr.Dataset, folder: Path) -> dict[str, Era5]:
    names = {
        't2m': '2m_temperature', 'tp': 'total_precipitation', 'sp': 'surface_pressure',
        'msl': 'mean_sea_level_pressure', 'u10': '10m_u_component_of_wind',
        'v10': '10m_v_component_of_wind',
    }  # fmt: skip
    instant, daily = era5.drop_vars('tp'), era5[['tp']]
    late = daily.assign_coords(valid_time=daily['valid_time'] + np.timedelta64(6, 'h'))
    era5.to_zarr(folder / 'era5.zarr', zarr_format=2)
    split = [era5.isel(valid_time=slice(12, None)), era5.isel(valid_time=slice(0, 12))]
    noisy = era5.assign_coords(latitude=era5['latitude'] + np.float32(2e-5))
    return {
        'south first': era5.isel(latitude=slice(None, None, -1)),
        'longitudes above 180': era5.assign_coords(longitude=era5['longitude'] % 360),
        'long names': era5.rename(names),
        'time': era5.rename(valid_time='time', latitude='lat', longitude='lon'),
        'other axes first': era5.transpose('longitude', 'valid_time', 'latitude'),
        'number': era5.expand_dims(number=[0]).assign_coords(expver='0001'),
        'hour of precipitation': [instant, late],
        'years in files': split,
        'more variables': era5.assign(skt=era5['t2m']),
        'dask': era5.chunk({'valid_time': 5}),
        'zarr': folder / 'era5.zarr',
        'coordinates with noise': noisy,
        'reversed months': era5.isel(valid_time=slice(None, None, -1)),
    }


def test_every_style_of_files_gives_the_same_targets(era5: xr.Dataset, tmp_path: Path) -> None:
    wanted = values(era5)
    found = {name: values(given) for name, given in styles(era5, tmp_path).items()}
    for name, numbers in found.items():
        np.testing.assert_allclose(numbers, wanted, rtol=1e-12, err_msg=name)


def test_the_whole_earth_of_the_cds_starts_at_greenwich() -> None:
    world = paint_era5(MapWindow(row=160, rows=2), (2020, 2020))
    assert float(world['longitude'][0]) == 0 and float(world['longitude'][-1]) == 359.75
    ids = MapWindow(row=160, rows=2).grid_ids[0, [0, 719, 720, 1439]]
    found = ClimateSource(world).targets(ids).values[:, TARGETS.index('sp mean')]
    for number, value in zip(ids.tolist(), found, strict=True):
        cell = Cell(number)
        at = world['sp'].sel(latitude=cell.latitude, longitude=cell.longitude % 360)
        assert value == pytest.approx(float(at.astype(np.float64).mean()))
    west = world.assign_coords(longitude=(world['longitude'] + 180) % 360 - 180)
    for given in (west, west.sortby('longitude')):
        again = ClimateSource(given).targets(ids).values[:, TARGETS.index('sp mean')]
        np.testing.assert_array_equal(again, found)


def test_files_of_the_maker_are_read(era5: xr.Dataset, tmp_path: Path) -> None:
    wanted = values(era5)
    for kind in ('nc', 'zarr'):
        paths = make_era5(tmp_path / kind, REGION, kind=kind)
        np.testing.assert_allclose(values(paths), wanted, rtol=1e-12)
    with pytest.raises(FileExistsError, match='exists'):
        make_era5(tmp_path / 'nc', REGION)
    with pytest.raises(ValueError, match="kind is 'grib'"):
        make_era5(tmp_path, kind='grib')
    with pytest.raises(ValueError, match='first and the last'):
        paint_era5(WINDOW, (2020, 2019))


def scaled(era5: xr.Dataset, name: str, factor: float, shift: float, unit: str) -> xr.Dataset:
    changed = (era5[name].astype(np.float64) * factor + shift).assign_attrs(units=unit)
    return era5.assign({name: changed})


@pytest.mark.parametrize(
    ('name', 'factor', 'shift', 'unit'),
    [
        ('t2m', 1, -273.15, 'degC'),
        ('sp', 0.01, 0, 'hPa'),
        ('tp', 1000, 0, 'mm'),
        ('tp', 1000, 0, 'mm/day'),
        ('tp', 1, 0, 'm day**-1'),
        ('u10', 1, 0, 'm/s'),
    ],
)
def test_units_are_read_not_guessed(
    era5: xr.Dataset, name: str, factor: float, shift: float, unit: str
) -> None:
    np.testing.assert_allclose(
        values(scaled(era5, name, factor, shift, unit)), values(era5), rtol=1e-9
    )


@pytest.mark.parametrize(('name', 'unit'), [('t2m', ''), ('t2m', 'F'), ('tp', 'kg m-2 s-1')])
def test_unknown_units_are_refused(era5: xr.Dataset, name: str, unit: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} has the unit '{unit}'; wanted one of"):
        ClimateSource(scaled(era5, name, 1, 0, unit))


def test_precipitation_is_told_as_asked(era5: xr.Dataset) -> None:
    column = TARGETS.index('tp mean')
    year, month, day = (values(era5, precipitation=p)[:, column] for p in ('year', 'month', 'day'))
    np.testing.assert_allclose(year, day * 365.2425)
    assert (np.abs(month / day - 30.4) < 0.5).all()
    # Sums of months, from daily means: the length of each month counts.
    days = era5['valid_time'].dt.days_in_month
    monthly = era5.assign(tp=(era5['tp'] * days).assign_attrs(units='m'))
    np.testing.assert_allclose(values(monthly, accumulation='month'), values(era5), rtol=1e-5)
    hourly = scaled(era5, 'tp', 1 / 24, 0, 'm')
    np.testing.assert_allclose(values(hourly, accumulation='hour'), values(era5), rtol=1e-9)
    with pytest.raises(ValueError, match='not accumulated over a day'):
        values(monthly)
    with pytest.raises(ValueError, match=r"unit 'm/day', but accumulation is 'hour'"):
        values(scaled(era5, 'tp', 1, 0, 'm/day'), accumulation='hour')


def test_the_deviation_is_of_months_or_of_years(era5: xr.Dataset) -> None:
    column = TARGETS.index('t2m std')
    months = values(era5)[:, column]
    years = values(era5, deviation_of='years')[:, column]
    t2m = era5['t2m'].astype(np.float64).groupby('valid_time.year').mean()
    cell = Cell(int(IDS[3]))
    at = t2m.sel(latitude=cell.latitude, longitude=cell.longitude)
    np.testing.assert_allclose(years[3], at.std('year'), rtol=1e-9)
    assert (months > 5 * years).all()
    np.testing.assert_array_equal(values(era5), values(era5, years=(2019, 2020)))
    one = values(era5, years=(2020, 2020))
    np.testing.assert_allclose(one, by_hand(era5.sel(valid_time='2020')), rtol=1e-6)


def test_seasons_weigh_the_same(era5: xr.Dataset) -> None:
    for given, options, message in (
        (era5.isel(valid_time=slice(0, 23)), {}, '2019-01 to 2020-11. Wanted are whole years'),
        (era5.drop_isel(valid_time=5), {}, r'but not 2019-06 \(1 are lacking\)'),
        (era5, {'years': (2019, 2021)}, r'but not 2021-01 \(12 are lacking\)'),
        (era5, {'years': (1990, 1999)}, r'no month of \(1990, 1999\)'),
        ([era5, era5.isel(valid_time=[4])], {}, '2019-05 more than once'),
        (
            [era5.drop_vars('tp'), era5[['tp']].isel(valid_time=slice(0, 12))],
            {},
            'tp has the months 2019-01 to 2019-12, others 2019-01 to 2020-12',
        ),
    ):
        with pytest.raises(ValueError, match=message):
            values(given, **options)
    # Any twelve months are a whole year.
    assert np.isfinite(values(era5.isel(valid_time=slice(3, 15)))).all()


def test_files_that_are_something_else_are_refused(
    era5: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start, message in (
        (b'PK\x03\x04', 'zip archive'),
        (b'GRIB0000', 'is GRIB'),
        (b'<html>00', 'no NetCDF file'),
        (b'\x89HDF\r\n\x1a\n', 'pip install h5netcdf'),
        (b'CDF\x050000', 'pip install netcdf4'),
    ):
        path = tmp_path / 'file.nc'
        path.write_bytes(start + bytes(8))
        with monkeypatch.context() as patch, pytest.raises(ValueError, match=message):
            patch.setattr(era5_files, 'find_spec', lambda _: None)
            ClimateSource(path)
    with pytest.raises(ValueError, match='is not there'):
        ClimateSource(tmp_path / 'nowhere.nc')
    with pytest.raises(ValueError, match='era5 has a int'):
        ClimateSource([3])  # type: ignore[list-item]
    # Other packages are used as they are there.
    used = []

    def opened(_: str, engine: str) -> xr.Dataset:
        used.append(engine)
        return era5

    path.write_bytes(b'\x89HDF\r\n\x1a\n')
    for name in ('h5netcdf', 'netCDF4'):
        monkeypatch.setattr(era5_files, 'find_spec', lambda asked, name=name: asked == name or None)
        monkeypatch.setattr(era5_files.xr, 'open_dataset', opened)
        ClimateSource(path)
    assert used == ['h5netcdf', 'netcdf4']


def test_datasets_that_do_not_fit_are_refused(era5: xr.Dataset) -> None:
    coarse = era5.isel(latitude=slice(None, None, 2))
    cut = [era5.drop_vars('tp'), era5[['tp']].isel(latitude=slice(1, None))]
    masked = era5.assign(sp=era5['sp'].where(era5['latitude'] < 50))
    twice = xr.concat([era5, era5], xr.DataArray([1, 5], dims='expver'))
    for given, message in (
        (era5.drop_vars(['tp', 'u10']), r"lacks \['tp', 'u10'\].*total_precipitation"),
        (coarse, r't2m: latitude of era5 goes in steps'),
        (cut, 'Cut all variables to one region'),
        (masked, r'sp has no value in 2019-01 at cell \d+.*ERA5-Land'),
        (twice, r"choose one of \['expver'\] first"),
        (era5.isel(valid_time=0, drop=True), r"lacks \['time'\]"),
        (era5.assign_coords(valid_time=np.arange(24)), 'time of .* is int64; wanted dates'),
    ):
        with pytest.raises(ValueError, match=message):
            values(given)
    with pytest.raises(ValueError, match=r'no values of 1 cells, such as \[0\]'):
        ClimateSource(era5).targets(np.array([0, IDS[0]]))


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('years', 2019),
        ('years', (2020, 2019)),
        ('years', (2019.0, 2020)),
        ('precipitation', 'week'),
        ('accumulation', 'year'),
        ('deviation_of', 'days'),
    ],
)
def test_wrong_options_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        ClimateOptions(**{name: value})  # type: ignore[arg-type]
