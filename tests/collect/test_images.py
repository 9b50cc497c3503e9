"""Images that would be of another place, day, quality or half a pixel off."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine

from tests.collect.fake_earth_engine import FakeEarthEngine, Scene
from tests.collect.world import (
    AROUND,
    PLACE,
    TILE,
    TILE_CRS,
    constant,
    cut_off,
    s1_scene,
    s2_scene,
    s3_scene,
    s5p_scene,
    tile_pixels,
    world,
)
from torchgeo_copernicus.collect.images import TaskImages, images_of
from torchgeo_copernicus.collect.pixels import MOST_BYTES
from torchgeo_copernicus.collect.place import Place
from torchgeo_copernicus.collect.recipe import Recipe
from torchgeo_copernicus.collect.request import Asker, Pace, Retry
from torchgeo_copernicus.collect.seasons import SEASON_DATES, season_windows
from torchgeo_copernicus.collect.task import Task
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName

S2, S1, S3 = 'COPERNICUS/S2_HARMONIZED', 'COPERNICUS/S1_GRD', 'COPERNICUS/S3/OLCI'
NO2 = 'COPERNICUS/S5P/OFFL/L3_NO2'


def found(
    client: FakeEarthEngine,
    modality: ModalityName,
    cell: Cell = PLACE.cell,
    place: Place = PLACE,
    **choices: object,
) -> TaskImages:
    ask = Asker(Retry(1), Pace(), (client.EEException,))
    task = Task(modality, place.cell, place) if MODALITIES[modality].local else Task(modality, cell)
    return images_of(client, ask, task, Recipe(**choices))  # type: ignore[arg-type]


def names(images: TaskImages) -> list[str]:
    return [image.name for image in images.images]


def in_season(offset: int, back: int = 0) -> list[date]:
    return [day.replace(year=day.year - back) + timedelta(days=offset) for day in SEASON_DATES]


def test_sentinel2_pixels_are_those_of_the_tile_in_every_resolution() -> None:
    images = found(world(), 's2_toa')
    assert images.grid.crs == TILE_CRS
    column, row = (~TILE @ images.grid.transform) @ (0, 0)
    # A corner of pixels of 60 m, and so of those of 20 m too.
    assert (column % 6, row % 6) == (0, 0)
    columns, rows = np.meshgrid(column + np.arange(264), row + np.arange(264))
    for index, size in ((0, 6), (1, 1), (4, 2), (12, 2)):
        wanted = tile_pixels(size, index)(columns, rows)
        for image in images.images:
            assert image.pixels.dtype == np.uint16
            np.testing.assert_array_equal(image.pixels[index], wanted)
    # Whole pixels of 60 m: none is cut at the edge.
    blocks = images.images[0].pixels[0].reshape(44, 6, 44, 6)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert [image.resampled for image in images.images] == [False] * 4


@pytest.mark.parametrize('shift', [Affine.translation(0.5, 0), Affine.translation(2, 0)])
def test_a_scene_off_the_lattice_is_marked(shift: Affine) -> None:
    client = world()
    # B1 has pixels of 60 m.
    tile = TILE @ shift @ Affine.scale(6)
    client.scenes[S2] = [s2_scene(day, transform=tile) for day in in_season(0)]
    assert all(image.resampled for image in found(client, 's2_toa').images)
    client.scenes[S2] = [s2_scene(day, transform=TILE @ Affine.scale(6)) for day in in_season(0)]
    assert not any(image.resampled for image in found(client, 's2_toa').images)


def test_a_missing_season_is_looked_for_in_earlier_years() -> None:
    client = world()
    this, earlier, last = in_season(-30), in_season(30, back=1), in_season(5, back=2)
    days = [this[0], earlier[0], earlier[1], last[1], this[2], last[3]]
    client.scenes[S2] = [s2_scene(day) for day in days]
    wanted = [this[0], earlier[1], this[2], last[3]]
    assert [name[:8] for name in names(found(client, 's2_toa'))] == [
        day.strftime('%Y%m%d') for day in wanted
    ]


def test_days_outside_of_the_windows_are_not_taken() -> None:
    client = world()
    days = in_season(0)
    for offset in (-31, 31):
        client.scenes[S2] = [s2_scene(day) for day in (days[0] + timedelta(offset), *days[1:])]
        images = found(client, 's2_toa')
        assert images.images == ()
        assert '2022-11-21_2023-01-21' in images.reason


@pytest.mark.parametrize(
    'changes',
    [
        {'properties': {'CLOUDY_PIXEL_PERCENTAGE': 20.5}},
        {'properties': {}},
        # Its edge runs through the place.
        {'footprint': (174.55, -40, 176, -37)},
        # A tile of another zone would be resampled.
        {'tile': 'T01HAB'},
        {'footprint': (0, -40, 1, -37)},
    ],
    ids=['clouds', 'no cloud share', 'half', 'zone', 'elsewhere'],
)
def test_a_scene_that_does_not_fit_leaves_no_place_with_three_seasons(
    changes: dict[str, object],
) -> None:
    client = world()
    first, *rest = in_season(0)
    client.scenes[S2] = [s2_scene(first, **changes), *map(s2_scene, rest)]  # type: ignore[arg-type]
    assert found(client, 's2_toa').images == ()


def test_the_cloud_share_decides() -> None:
    client = world()
    cloudy = {'CLOUDY_PIXEL_PERCENTAGE': 35.0}
    client.scenes[S2] = [s2_scene(day, properties=cloudy) for day in in_season(0)]
    assert names(found(client, 's2_toa')) == []
    assert len(names(found(client, 's2_toa', cloud_percent=35))) == 4


def test_published_radiometry_is_another_collection() -> None:
    client = world()
    assert found(client, 's2_toa', harmonized=False).images == ()
    assert set(client.asked) == {'COPERNICUS/S2'}


def test_an_image_without_data_is_not_a_season() -> None:
    client = world()
    first, *rest = in_season(0)
    empty = Scene(
        f'{first:%Y%m%dT000000}_{first:%Y%m%dT000000}_T60HTB',
        first,
        {name: constant(np.nan) for name in s2_scene(first).bands},
        TILE_CRS,
        TILE,
        AROUND,
        {'CLOUDY_PIXEL_PERCENTAGE': 1.0},
    )
    client.scenes[S2] = [empty, s2_scene(first + timedelta(1)), *map(s2_scene, rest)]
    taken = names(found(client, 's2_toa'))
    assert taken[0][:8] == (first + timedelta(1)).strftime('%Y%m%d')
    client.scenes[S2].pop(1)
    assert found(client, 's2_toa').images == ()


def test_sentinel1_of_some_seasons_is_kept() -> None:
    client = world()
    client.scenes[S1] = client.scenes[S1][:2]
    images = found(client, 's1_grd')
    assert len(images.images) == 2
    pixels = images.images[0].pixels
    assert pixels.shape == (2, 264, 264) and pixels.dtype == np.float32
    assert (pixels[0] == -10).all() and (pixels[1] == -11).all()


def test_polar_images_have_other_polarisations_and_years() -> None:
    client = world()
    days = [date(year, 3, 20) for year in (2023, 2022, 2021, 2020)]
    half_year = timedelta(days=180)
    client.scenes[S1] = [s1_scene(day + half_year, 'EW', ('HH', 'HV')) for day in days]
    assert found(client, 's1_grd').images == ()
    polar = names(found(client, 's1_grd', polar=True))
    assert [name[17:21] for name in polar] == ['2023', '2022', '2021', '2020']
    # Extra Wide with one polarisation only, or another mode, is no such image.
    client.scenes[S1] = [s1_scene(days[0], 'EW', ('HH',)), s1_scene(days[1], 'IW', ('HH', 'HV'))]
    assert found(client, 's1_grd', polar=True).images == ()


def test_shifted_dates_are_those_of_the_place() -> None:
    client = world()
    client.scenes[S1] = [s1_scene(date(2020, 1, 1) + timedelta(days=k)) for k in range(0, 1100, 9)]
    plain = names(found(client, 's1_grd'))
    one = names(found(client, 's1_grd', shifted=True))
    other = Place(PLACE.number + 1, PLACE.longitude, PLACE.latitude)
    assert one == names(found(client, 's1_grd', shifted=True))
    assert (
        len({tuple(plain), tuple(one), tuple(names(found(client, 's1_grd', shifted=True, seed=1)))})
        == 3
    )
    assert one != names(found(client, 's1_grd', place=other, shifted=True))


def test_the_draw_of_sentinel3_depends_on_the_seed_and_on_nothing_else() -> None:
    client = world()
    images = found(client, 's3_olci')
    taken = names(images)
    assert len(taken) == 8 and taken == sorted(taken)
    assert images.images[0].pixels.shape[0] == 21
    client.scenes[S3].reverse()
    assert names(found(client, 's3_olci')) == taken
    assert names(found(client, 's3_olci', seed=1)) != taken
    assert names(found(client, 's3_olci', PLACE.cell.neighbours()[0])) != taken
    # One scene more changes one image at most.
    client.scenes[S3].append(s3_scene(date(2021, 6, 30)))
    assert len(set(names(found(client, 's3_olci'))) - set(taken)) <= 1


def test_sentinel3_wants_eight_scenes_of_the_year() -> None:
    client = world()
    assert found(client, 's3_olci', year=2020).reason == '0 scenes of 2020, wanted 8'
    client.scenes[S3] = client.scenes[S3][:7]
    assert found(client, 's3_olci').reason == '7 scenes of 2021, wanted 8'


def test_bright_scenes_are_left_out_but_not_near_the_poles() -> None:
    client = world()
    client.scenes[S3] = [
        s3_scene(date(2021, 3, k), bright=20 if k > 8 else 19.9) for k in range(1, 20)
    ]
    assert all(name[4:12] < '20210309' for name in names(found(client, 's3_olci')))
    for scenes in client.scenes.values():
        scenes[:] = [Scene(**{**vars(s), 'footprint': (-180, -90, 180, 90)}) for s in scenes]  # type: ignore[index]
    south = found(client, 's3_olci', Cell.at(174.5, -55.0))
    assert len(south.images) == 8
    assert any(name[4:12] >= '20210309' for name in names(south))


def test_scenes_with_a_gap_in_the_cell_are_left_out() -> None:
    client = world()
    # Column 35450 of 0.01 degrees is within the cell, 35400 is west of it.
    for column, wanted in ((35_450, 0), (35_400, 8)):
        client.scenes[S3] = [
            s3_scene(date(2021, 1, k), pixels=lambda value, c=column: cut_off(value, c))  # type: ignore[misc]
            for k in range(1, 12)
        ]
        assert len(found(client, 's3_olci', Cell.at(174.5, -39.0)).images) == wanted
    # The same where the footprint ends.
    half = (174.5, -42.0, 179.0, -35.0)
    client.scenes[S3] = [
        Scene(**{**vars(s3_scene(date(2021, 1, k))), 'footprint': half}) for k in range(1, 12)
    ]
    assert found(client, 's3_olci', Cell.at(174.5, -39.0)).images == ()


def test_monthly_means_are_of_whole_scenes_and_whole_months() -> None:
    client = world()
    client.scenes[NO2] = [
        s5p_scene(date(2021, 1, 5), 's5p_no2', constant(2.0)),
        s5p_scene(date(2021, 1, 6), 's5p_no2', constant(4.0)),
        s5p_scene(date(2021, 1, 7), 's5p_no2', cut_off(100.0, 35_450)),
        s5p_scene(date(2021, 2, 3), 's5p_no2', cut_off(100.0, 35_450)),
        s5p_scene(date(2021, 12, 31), 's5p_no2', constant(6.0)),
        s5p_scene(date(2022, 1, 1), 's5p_no2', constant(100.0)),
    ]
    images = found(client, 's5p_no2')
    # The published December lacks its last day.
    assert names(images) == ['2021-01-01_2021-02-01', '2021-12-01_2022-01-01']
    january, december = (image.pixels for image in images.images)
    assert (january == 3).all() and (december == 6).all()
    assert january.shape == (1, images.grid.height, images.grid.width)
    assert names(found(client, 's5p_no2', year=2022)) == ['2022-01-01_2022-02-01']
    assert 'no scene without gaps in 2020' in found(client, 's5p_no2', year=2020).reason


def test_sea_has_no_elevation_and_a_coast_has_nan() -> None:
    client = world()
    assert found(client, 'dem', Cell.at(-150.0, 20.0)).reason == 'no tile, as over open sea'
    images = found(client, 'dem')
    assert names(images) == ['dem']
    assert np.isfinite(images.images[0].pixels).all()
    half = (174.5, -42.0, 179.0, -35.0)
    client.scenes['COPERNICUS/DEM/GLO30'] = [
        Scene('tile', date(2015, 1, 1), {'DEM': constant(0.0)}, footprint=half)
    ]
    pixels = found(client, 'dem').images[0].pixels
    # Zero is an elevation: what is missing is not.
    assert 0.3 < np.isnan(pixels).mean() < 0.7 and np.nanmax(pixels) == 0
    client.scenes['COPERNICUS/DEM/GLO30'] = [
        Scene('tile', date(2015, 1, 1), {'DEM': constant(np.nan)})
    ]
    assert found(client, 'dem').reason == 'no data'


@pytest.mark.parametrize('longitude', [-180.0, 179.75])
def test_a_cell_across_the_date_line_is_whole(longitude: float) -> None:
    client = world()

    def at(column: np.ndarray, row: np.ndarray) -> np.ndarray:
        return np.asarray(column % 36_000)

    client.scenes[NO2] = [s5p_scene(date(2021, 1, 5), 's5p_no2', at)]
    images = found(client, 's5p_no2', Cell.at(longitude, 60.0))
    first = images.images[0].pixels[0, 0]
    start = round((images.grid.transform.c + 180) / 0.01)
    np.testing.assert_array_equal(first, (start + np.arange(len(first))) % 36_000)
    assert 0 in first and 35_999 in first
    assert client.requests.count('computePixels') == 2


def test_places_too_near_to_a_pole_say_so() -> None:
    client = world()
    north = Cell.at(0.0, 87.5)
    client.scenes['COPERNICUS/DEM/GLO30'] = [
        Scene('tile', date(2015, 1, 1), {'DEM': constant(1.0)})
    ]
    with pytest.raises(ValueError, match=rf'of dem are \d+ bytes; Earth Engine sends {MOST_BYTES}'):
        found(client, 'dem', north)
    with pytest.raises(ValueError, match='beyond UTM'):
        found(client, 's2_toa', place=Place(1, 10.0, 85.0))


def test_answers_of_another_kind_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = world()
    for answer, match in (
        (np.zeros((3, 3), [('DEM', 'f4')]), r'sent \(3, 3\) pixels'),
        (np.zeros((3, 3)), 'with bands float64'),
        (b'', 'sent bytes'),
    ):
        monkeypatch.setattr(client.data, 'computePixels', lambda params, sent=answer: sent)
        with pytest.raises(ValueError, match=match):
            found(client, 'dem')


def test_scene_names_of_another_kind_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = world()
    monkeypatch.setattr('tests.collect.fake_earth_engine.Value.getInfo', lambda self: {'a': 1})
    with pytest.raises(ValueError, match='wanted a list of names'):
        found(client, 's1_grd')


def test_a_projection_without_a_transform_is_not_taken_for_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = world()
    where: object = {'crs': TILE_CRS}
    monkeypatch.setattr(
        'tests.collect.fake_earth_engine.FakeImage.projection',
        lambda self: type('P', (), {'getInfo': staticmethod(lambda: where)}),
    )
    assert all(image.resampled for image in found(client, 's2_toa').images)
    where = None
    with pytest.raises(ValueError, match='wanted named values'):
        found(client, 's2_toa')


def test_windows_of_seasons_do_not_overlap() -> None:
    windows = [window for season in season_windows() for window in season]
    for one in windows:
        for other in windows:
            assert one == other or one.stop <= other.start or other.stop <= one.start
