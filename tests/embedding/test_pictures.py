"""Colours and similarities land on the right cells, and odd maps do not break them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.image
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from shapely import LineString, box

pytest.importorskip('xarray', reason='maps of embeddings need the extra `embed`')
pytest.importorskip('dask', reason='maps of embeddings need the extra `embed`')

from torchgeo_copernicus.datasets.embed import (
    MapWindow,
    Projection,
    map_dataset,
    nearest,
    open_map,
    row_blocks,
    write_map,
)
from torchgeo_copernicus.datasets.lookalike.embed_world import EmbedWorld
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding import commands_pictures
from torchgeo_copernicus.embedding.pictures import (
    draw_pca_map,
    draw_similarity_map,
    fit_colours,
    map_colours,
    similar_places,
    similarity_to,
)
from torchgeo_copernicus.embedding.pictures.map_axes import (
    NO_DATA,
    extent,
    latitude_label,
    longitude_label,
    map_figure,
)

SEA = np.round(255 * np.array(to_rgb(NO_DATA)))


def region(
    west: float, south: float, east: float, north: float, channels: int = 8, seed: int = 3
) -> xr.Dataset:
    """A region of random vectors, a fifth of it sea."""
    window = MapWindow.of_region((west, south, east, north))
    rng = np.random.default_rng(seed)
    shape = (window.rows, window.columns)
    cells = rng.normal(size=(*shape, channels)).astype(np.float32)
    cells[rng.random(shape) < 0.2] = 0
    return map_dataset(cells, window, source='made')


def world(rows: slice = slice(0, 721), channels: int = 4) -> xr.Dataset:
    """Some rows of a made-up Earth."""
    window = MapWindow(rows.start, 0, rows.stop - rows.start, 1440)
    values = EmbedWorld(channels, 1).vectors(window.lon, window.lat[:, None])
    return map_dataset(values, window, source='made')


def pixels(figure: Figure) -> NDArray[np.uint8]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def colour_at(figure: Figure, lon: float, lat: float) -> NDArray[np.float64]:
    """Colour of a place of a drawn figure."""
    drawn = pixels(figure)
    x, y = figure.axes[0].transData.transform((lon, lat))
    return drawn[len(drawn) - 1 - int(y), int(x)].astype(float)


def darkest_near(figure: Figure, lon: float, lat: float) -> float:
    """Brightness of the darkest pixel at a place, for lines are thin."""
    drawn = pixels(figure)
    x, y = figure.axes[0].transData.transform((lon, lat))
    row, column = len(drawn) - 1 - int(y), int(x)
    return float(drawn[row - 1 : row + 2, column - 1 : column + 2].max(axis=2).min())


# In the middle, at both edges of the world, and at a pole.
PLACES = [(8.75, 50.75), (-180, 10), (179.75, -33), (-70.25, -55.25), (0, 90), (20, -90)]


@pytest.mark.parametrize(('lon', 'lat'), PLACES)
def test_a_cell_is_drawn_at_its_place_and_nowhere_else(lon: float, lat: float) -> None:
    cells = np.zeros((721, 1440, 3), np.float32)
    row, column = Cell.at(lon, lat).map_pixel
    # Large enough to be more than a pixel of the picture.
    cells[max(0, row - 6) : row + 7, max(0, column - 6) : column + 7] = 1
    figure = draw_pca_map(map_dataset(cells, MapWindow(), source='made'))
    inside = (float(np.clip(lon, -179.5, 179.25)), float(np.clip(lat, -89.5, 89.5)))
    # A little of the frame may be in it.
    np.testing.assert_allclose(colour_at(figure, *inside), 128, atol=12)
    away = (lon - 20 if lon > 0 else lon + 20, lat - 20 if lat > 0 else lat + 20)
    np.testing.assert_allclose(colour_at(figure, *away), SEA, atol=1)


def test_east_is_right_and_north_is_up() -> None:
    ds = region(10, 40, 20, 50)
    ds['embedding'][:] = 0
    ds['embedding'][:20, 20:40] = np.arange(8, dtype=np.float32)
    figure = draw_pca_map(ds.assign(valid=(ds['embedding'] != 0).any('channel')))
    assert colour_at(figure, 17.5, 47.5).tolist() == [128, 128, 128]
    for lon, lat in ((12.5, 47.5), (17.5, 42.5), (12.5, 42.5)):
        np.testing.assert_allclose(colour_at(figure, lon, lat), SEA, atol=1)


def test_colours_are_the_components_from_percentile_to_percentile() -> None:
    ds = region(0, 0, 10, 10, channels=3)
    cells, valid = ds['embedding'].to_numpy(), ds['valid'].to_numpy()
    cells *= np.array([9, 3, 1], np.float32)
    colours, picture = fit_colours(ds, (5, 90))
    vectors = cells[valid].astype(np.float64)
    _, _, directions = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    for number, direction in enumerate(directions):
        sign = np.sign(direction[np.abs(direction).argmax()])
        seen = (vectors - vectors.mean(0)) @ (direction * sign)
        low, high = np.percentile(seen, (5, 90), method='inverted_cdf')
        wanted = 255 * np.clip((seen - low) / (high - low), 0, 1)
        np.testing.assert_allclose(picture[valid][:, number], wanted, atol=0.51)
    assert (picture[valid][:, 3] == 255).all()
    assert not picture[~valid].any()
    assert not np.array_equal(fit_colours(ds)[1], picture)
    np.testing.assert_array_equal(colours.picture(ds), picture)


def test_a_region_with_the_colours_of_the_world_looks_as_in_the_world() -> None:
    ds = region(0, 0, 20, 10)
    colours, picture = fit_colours(ds)
    part = ds.isel(lat=slice(5, 20), lon=slice(30, 60))
    np.testing.assert_array_equal(colours.picture(part), picture[5:20, 30:60])
    assert not np.array_equal(fit_colours(part)[1], picture[5:20, 30:60])
    drawn = draw_pca_map(part, colours).axes[0].images[0].get_array()
    np.testing.assert_array_equal(drawn, picture[5:20, 30:60])


def test_weights_by_area_make_high_latitudes_count_less() -> None:
    # The north varies along one channel, the equator along the other: more cells there, more area here.
    cells = np.zeros((340, 20, 2), np.float32)
    rng = np.random.default_rng(0)
    cells[:200, :, 0] = 1 + 3 * rng.normal(size=(200, 20))
    cells[200:, :, 1] = 1 + 3 * rng.normal(size=(140, 20))
    ds = map_dataset(cells, MapWindow(20, 0, 340, 20), source='made')
    plain, _ = fit_colours(ds)
    weighted, picture = fit_colours(ds, area_weighted=True)
    assert plain.projection is not None and weighted.projection is not None
    assert abs(plain.projection.components[0]).argmax() == 0
    assert abs(weighted.projection.components[0]).argmax() == 1
    # The percentiles, too: half of the area, not of the cells, is below that of 50.
    middle = fit_colours(ds, (0.1, 50), area_weighted=True)[0].high[0]
    scores = weighted.projection.vectors(cells)[..., 0]
    area = np.broadcast_to(np.cos(np.radians(ds['lat'].to_numpy()))[:, None], scores.shape)
    assert area[scores <= middle].sum() / area.sum() == pytest.approx(0.5, abs=0.001)
    np.testing.assert_array_equal(
        draw_pca_map(ds, area_weighted=True).axes[0].images[0].get_array(), picture
    )


@pytest.mark.parametrize('channels', [1, 2, 3, 40])
def test_any_number_of_channels_has_colours(channels: int) -> None:
    _, picture = fit_colours(region(0, 0, 5, 5, channels))
    varied = [len(np.unique(picture[..., n][picture[..., 3] > 0])) > 20 for n in range(3)]
    assert varied == [channels > n for n in range(3)]
    if channels < 3:
        assert (picture[..., 2][picture[..., 3] > 0] == 128).all()


@pytest.mark.parametrize('cells', [0, 1, 2, 3, 4])
def test_maps_with_hardly_any_cells_are_drawn(cells: int) -> None:
    ds = region(10, 10, 11, 11)
    flat = ds['embedding'].to_numpy().reshape(-1, 8)
    flat[:] = 0
    flat[:cells] = np.random.default_rng(0).normal(size=(cells, 8))
    ds = ds.assign(valid=(ds['embedding'] != 0).any('channel'))
    picture = fit_colours(ds)[1]
    assert (picture[..., 3] > 0).sum() == cells
    pixels(draw_pca_map(ds))


@pytest.mark.parametrize('shape', [(1, 1), (1, 30), (400, 1)])
def test_maps_of_one_cell_row_or_column_are_drawn(shape: tuple[int, int]) -> None:
    cells = np.random.default_rng(0).normal(size=(*shape, 5)).astype(np.float32)
    ds = map_dataset(cells, MapWindow(100, 1430, *shape), source='made')
    assert pixels(draw_pca_map(ds)).std() > 1
    lon, lat = float(ds['lon'][0]), float(ds['lat'][0])
    assert pixels(draw_similarity_map(similarity_to(ds, lon, lat))).std() > 1


def test_cells_that_are_all_the_same_are_grey_and_not_noise() -> None:
    cells = np.ones((8, 8, 6), np.float32)
    # In their last digit they differ.
    cells[np.random.default_rng(0).random(cells.shape) < 0.5] = np.nextafter(np.float32(1), 2)
    _, picture = fit_colours(map_dataset(cells, MapWindow(0, 0, 8, 8), source='made'))
    assert (picture[..., :3] == 128).all()


def test_the_title_tells_how_much_the_colours_show() -> None:
    ds = region(0, 0, 5, 5)
    assert 'of the variance' in draw_pca_map(ds).axes[0].get_title('left')
    assert draw_pca_map(ds, title='Mine').axes[0].get_title('left') == 'Mine'


def test_lazily_opened_maps_give_the_same_and_are_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = region(0, 30, 20, 50)
    path = write_map(ds, tmp_path / 'map.zarr')
    _, wanted = fit_colours(ds)
    similarity = similarity_to(ds, 10, 40.5).to_numpy()
    in_memory: list[int] = []
    project = Projection.vectors

    def noted(self: Projection, values: NDArray[np.floating]) -> NDArray[np.float32]:
        in_memory.append(values.nbytes)
        return project(self, values)

    tenth = ds['embedding'].nbytes // 10
    monkeypatch.setattr(Projection, 'vectors', noted)
    monkeypatch.setattr(row_blocks, '_BLOCK_BYTES', tenth)
    monkeypatch.setattr(map_colours, '_CHUNK_BYTES', tenth)
    for chunks in ('auto', 7, None):
        opened = open_map(path, chunks=chunks)  # type: ignore[arg-type]
        # Sums in another order may round the other way.
        np.testing.assert_allclose(fit_colours(opened)[1].astype(int), wanted, rtol=0, atol=1)
        found = similarity_to(opened, 10, 40.5)
        np.testing.assert_allclose(found, similarity, rtol=0, atol=1e-12)
    assert 0 < max(in_memory) <= tenth


def test_maps_across_the_date_line_are_in_one_piece() -> None:
    ds = region(170, -5, -170, 5)
    figure = draw_pca_map(ds)
    west, east = figure.axes[0].get_xlim()
    assert (west, east) == (169.875, 190.125)
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert {'175°E', '180°', '175°W'} <= set(labels)
    similarity = similarity_to(ds, -174.75, 0)
    marked = draw_similarity_map(similarity, 3, 100).axes[0].lines[0]
    assert marked.get_xdata()[0] == 185.25  # type: ignore[index]
    places = similar_places(similarity, 3, 100)
    assert places['longitude'].between(-180, 179.75).all()
    for place in places.itertuples():
        cell = Cell.at(place.longitude, place.latitude)  # type: ignore[arg-type]
        assert cell.grid_id == place.grid_id


def test_marks_at_the_edges_are_round_and_name_their_side() -> None:
    _, axis = map_figure(MapWindow())
    assert [t.get_text() for t in axis.get_yticklabels()][1:-1] == [
        '90°S', '60°S', '30°S', '0°', '30°N', '60°N', '90°N'
    ]  # fmt: skip
    assert longitude_label(190) == '170°W' and longitude_label(-180) == longitude_label(180)
    assert latitude_label(-12.5) == '12.5°S'
    assert extent(MapWindow()) == (-180.125, 179.875, -90.125, 90.125)
    tiny = map_figure(MapWindow(360, 720, 2, 2))[1]
    assert len(tiny.get_xticks()) < 10


def test_similarity_is_the_cosine_and_sea_has_none() -> None:
    ds = region(0, 40, 10, 50)
    ds['embedding'][12, 12] = 3
    ds['valid'][12, 12] = True
    lon, lat = float(ds['lon'][12]), float(ds['lat'][12])
    similarity = similarity_to(ds, lon + 360, lat + 0.1)
    cells = ds['embedding'].to_numpy().astype(np.float64)
    with np.errstate(invalid='ignore'):
        wanted = cells @ np.ones(8) / np.linalg.norm(cells, axis=2) / np.sqrt(8)
    np.testing.assert_allclose(similarity.to_numpy(), wanted, atol=1e-6)
    assert (np.isnan(similarity) == ~ds['valid']).all()
    assert similarity[12, 12] == pytest.approx(1)
    assert similarity.attrs['grid_id'] == Cell.at(lon, lat).grid_id
    assert similarity.dims == ('lat', 'lon') and 'spatial_ref' in similarity.coords


def test_a_place_without_data_says_which_cell_near_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each row is a block.
    monkeypatch.setattr(row_blocks, '_BLOCK_BYTES', 1)
    ds = region(170, -5, -170, 5)
    ds['embedding'][:] = 0
    # Across the date line and nearer than the other.
    for lon, lat in ((-179.0, 1.25), (175.0, -1.25), (175.0, 3)):
        row, column = (v[0] for v in MapWindow.of_region((170, -5, -170, 5)).positions(
            np.array([lon]), np.array([lat])
        ))  # fmt: skip
        ds['embedding'][row, column] = 1
    ds = ds.assign(valid=(ds['embedding'] != 0).any('channel'))
    with pytest.raises(ValueError, match=r'nearest one that has is at \(-179.0, 1.25\), 167 km'):
        similarity_to(ds, 179.5, 1.25)
    with pytest.raises(ValueError, match='No cell of the map has data'):
        similarity_to(ds.assign(embedding=0 * ds['embedding'], valid=ds['valid'] & False), 180, 0)


def test_the_places_alike_are_apart_and_in_order() -> None:
    ds = world(slice(0, 300))
    row, column = (int(v[len(v) // 2]) for v in np.nonzero(ds['valid'].to_numpy()))
    lon, lat = float(ds['lon'][column]), float(ds['lat'][row])
    similarity = similarity_to(ds, lon, lat)
    places = similar_places(similarity, 6, 800)
    assert len(places) == 6
    assert (np.diff(places['similarity']) <= 0).all()
    assert (places['distance_km'] >= 800).all()
    first = nearest(ds, 1, place=(lon, lat), min_distance_km=800).iloc[0]
    assert places['grid_id'][0] == first['grid_id']
    for one in range(6):
        other = similarity_to(ds, places['longitude'][one], places['latitude'][one])
        found = similar_places(other, 2000, 0).merge(places, on='grid_id')
        assert (found['distance_km_x'][found['grid_id'] != places['grid_id'][one]] >= 800).all()
    every = similar_places(similarity, 40, 0)
    np.testing.assert_array_equal(every['grid_id'], nearest(ds, 40, place=(lon, lat))['grid_id'])
    assert every['grid_id'][0] == Cell.at(lon, lat).grid_id
    assert len(similar_places(similarity, 5, 30_000)) == 0


def test_of_the_same_similarity_the_lower_number_comes_first() -> None:
    cells = np.ones((4, 5, 2), np.float32)
    ds = map_dataset(cells, MapWindow(100, 100, 4, 5), source='made')
    found = similar_places(similarity_to(ds, -155, 65), 20, 0)['grid_id']
    assert found.tolist() == sorted(found) and len(found) == 20


def test_the_similarity_map_marks_the_place_and_lists_the_others() -> None:
    ds = region(0, 40, 20, 50)
    ds['embedding'][20, 20] = 1
    ds['valid'][20, 20] = True
    lon, lat = float(ds['lon'][20]), float(ds['lat'][20])
    similarity = similarity_to(ds, lon, lat)
    places = similar_places(similarity, 3, 200)
    figure = draw_similarity_map(similarity, 3, 200)
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines]  # type: ignore[index]
    assert marks == [(lon, lat), *zip(places['longitude'], places['latitude'], strict=True)]
    listed = figure.get_supxlabel()
    assert all(f'{s:.3f}' in listed for s in places['similarity'])
    assert 'cosine' in figure.axes[1].get_xlabel()
    image = figure.axes[0].images[0]
    assert image.get_clim() == (pytest.approx(np.nanpercentile(similarity, 2)), 1)
    sea = np.argwhere(~ds['valid'].to_numpy())[50]
    at = (float(ds['lon'][sea[1]]), float(ds['lat'][sea[0]]))
    np.testing.assert_allclose(colour_at(figure, *at), SEA, atol=1)
    assert draw_similarity_map(similarity, 3, 30_000).get_supxlabel() == ''
    assert draw_similarity_map(similarity, title='Mine').axes[0].get_title('left') == 'Mine'


def test_outlines_are_drawn_where_they_are_in_any_system() -> None:
    ds = region(0, 40, 10, 50)
    square = gpd.GeoSeries([box(4, 44, 6, 46)], crs='EPSG:4326')
    for shapes in (square, gpd.GeoDataFrame(geometry=square.to_crs('EPSG:3035'))):
        figure = draw_pca_map(ds, outlines=shapes)
        assert darkest_near(figure, 4, 45) < 100
        plain = colour_at(draw_pca_map(ds), 5.05, 45.05)
        np.testing.assert_array_equal(colour_at(figure, 5.05, 45.05), plain)
        assert figure.axes[0].get_xlim() == extent(MapWindow.of_region((0, 40, 10, 50)))[:2]
    across = gpd.GeoSeries([LineString([(-179, -4), (-179, 4)])], crs='EPSG:4326')
    similarity = similarity_to(region(170, -5, -170, 5), 179, 0)
    assert darkest_near(draw_similarity_map(similarity, 1, outlines=across), 181, 2) < 100
    assert darkest_near(draw_similarity_map(similarity, 1), 181, 2) > 100


BAD: list[tuple[str, dict[str, Any]]] = [
    ('percentiles', {'percentiles': (98, 2)}),
    ('percentiles', {'percentiles': (2, 101)}),
    ('percentiles', {'percentiles': 2}),
    ('percentiles', {'percentiles': ('2', '98')}),
]


@pytest.mark.parametrize(('message', 'options'), BAD)
def test_wrong_percentiles_are_named(message: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        fit_colours(region(0, 0, 5, 5), **options)


def test_wrong_arguments_are_named() -> None:
    ds = region(0, 0, 5, 5)
    colours, picture = fit_colours(ds)
    similarity = similarity_to(ds, 2.5, 2.5)
    outlines = gpd.GeoSeries([box(0, 0, 1, 1)])
    wrong: list[tuple[str, Any]] = [
        ('area_weighted is of the fit', lambda: draw_pca_map(ds, colours, area_weighted=True)),
        ('colours is a ndarray', lambda: draw_pca_map(ds, picture)),  # type: ignore[arg-type]
        ('is no map', lambda: draw_pca_map(picture)),  # type: ignore[arg-type]
        ('no coordinate reference', lambda: draw_pca_map(ds, outlines=outlines)),
        ('GeoDataFrame', lambda: draw_pca_map(ds, outlines='coast.shp')),  # type: ignore[arg-type]
        ('channels', lambda: colours.picture(region(0, 0, 5, 5, 3))),
        ('k must', lambda: similar_places(similarity, 0)),
        ('min_distance_km', lambda: similar_places(similarity, 1, -1)),
        ('min_distance_km', lambda: similar_places(similarity, 1, float('nan'))),
        ('similarity_to', lambda: similar_places(ds['valid'])),
        ('not in the map', lambda: similarity_to(ds, 100, 2)),
        ('a number each', lambda: similarity_to(ds, [1, 2], [1, 2])),  # type: ignore[arg-type]
        ('longitude and latitude', lambda: similarity_to(ds, 1, 91)),
    ]
    for message, call in wrong:
        with pytest.raises(ValueError, match=message):
            call()


def test_the_commands_write_what_the_functions_draw(tmp_path: Path) -> None:
    path = str(write_map(region(0, 40, 10, 50), tmp_path / 'map.tif'))
    coast = tmp_path / 'coast.geojson'
    gpd.GeoSeries([box(4, 44, 6, 46)], crs='EPSG:4326').to_file(coast)
    out = str(tmp_path / 'made' / 'pca.png')
    part = [2.0, 42.0, 8.0, 48.0]
    commands_pictures.pca(path, out, region=part, dpi=50, outlines=str(coast), title='Mine')
    assert matplotlib.image.imread(out).shape[1] == 535
    ds = open_map(path, part)
    lon, lat = (float(ds[a][0]) for a in ('lon', 'lat'))
    if not bool(ds['valid'][0, 0]):
        pytest.fail('choose another seed: this cell has no data')
    told = commands_pictures.similar(path, lon, lat, region=part, k=2, min_distance_km=200)
    wanted = similar_places(similarity_to(ds, lon, lat), 2, 200)
    assert all(str(number) in told for number in wanted['grid_id'])
    out = str(tmp_path / 'similar.png')
    told = commands_pictures.similar(path, lon, lat, out, part, 2, 200, dpi=50, title='Mine')
    assert out in told and matplotlib.image.imread(out).shape[1] == 535
    with pytest.raises(ValueError, match='must end'):
        commands_pictures.pca(path, str(tmp_path / 'map.xyz'))
    with pytest.raises(ValueError, match='dpi'):
        commands_pictures.pca(path, out, dpi=0)
    with pytest.raises(ValueError, match='give output'):
        commands_pictures.similar(path, lon, lat, title='Mine')
