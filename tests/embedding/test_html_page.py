"""The page finds what Python finds, in a real browser, without network, whatever its texts are."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

pytest.importorskip('xarray', reason='maps of embeddings need the extra `embed`')
pytest.importorskip('dask', reason='maps of embeddings need the extra `embed`')

from tests.embedding.chromium import PROGRAM, Browser, browser
from tests.embedding.random_map import NASTY, random_map
from torchgeo_copernicus.datasets.embed import MapWindow, map_dataset, open_map, write_map
from torchgeo_copernicus.datasets.lookalike.embed_world import EmbedWorld
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding import commands_pictures
from torchgeo_copernicus.embedding.pictures import (
    fit_colours,
    html_page,
    similar_places,
    similarity_to,
    write_page,
)
from torchgeo_copernicus.embedding.pictures.html_page import MOST_BYTES, Page
from torchgeo_copernicus.embedding.pictures.map_axes import NO_DATA
from torchgeo_copernicus.embedding.pictures.quantised_vectors import (
    QuantisedVectors,
    quantise,
    similarity_error,
)


def parts_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """Data and picture in a page."""
    text = path.read_text()
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    picture = re.search(r'src="data:image/png;base64,([^"]*)"', text)
    assert data is not None and picture is not None
    return json.loads(data[1]), base64.b64decode(picture[1])


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text), -15)


@pytest.fixture(scope='module')
def tab() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip('Chromium is not installed')
    with browser() as opened:
        opened.size(1200, 800)
        yield opened


@pytest.fixture
def chromium(tab: Browser) -> Iterator[Browser]:
    """A tab, of which no test may leave an error behind."""
    tab.problems.clear()
    tab.requests.clear()
    yield tab
    tab.value('0')
    assert tab.problems == []


@pytest.fixture(scope='module')
def ds() -> xr.Dataset:
    """A region with land and sea, whose similarities are no ties."""
    window = MapWindow.of_region((-170, 30, -40, 84))
    values = EmbedWorld(16, 1).vectors(window.lon, window.lat[:, None])
    return map_dataset(values, window, source='/private/folder/' + NASTY)


@pytest.fixture(scope='module')
def page(ds: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp('page') / 'page.html'
    return write_page(ds, path, components=6, k=4, min_distance_km=700, title=NASTY)


def of_bytes(ds: xr.Dataset, quantised: QuantisedVectors) -> xr.Dataset:
    """The map as the page has it."""
    vectors = quantised.vectors()
    cells = np.zeros((*quantised.valid.shape, vectors.shape[1]), np.float32)
    cells[quantised.valid] = vectors
    return map_dataset(cells, quantised.window, source='made')


def land(ds: xr.Dataset, number: int = 3000) -> Cell:
    row, column = (int(places[number]) for places in np.nonzero(ds['valid'].to_numpy()))
    return Cell.at(float(ds['lon'][column]), float(ds['lat'][row]))


def listed(chromium: Browser) -> list[tuple[int, float]]:
    found = chromium.value(
        "[...document.querySelectorAll('#places li')].map("
        'item => [Number(item.dataset.gridId), Number(item.dataset.similarity)])'
    )
    return [(int(number), float(similarity)) for number, similarity in found]


def said(chromium: Browser, name: str = 'status') -> str:
    return str(chromium.value(f"document.getElementById('{name}').textContent"))


def test_the_error_that_the_page_states_grows_with_fewer_components(tmp_path: Path) -> None:
    ds = random_map()
    errors = [similarity_error(ds, quantise(ds, n)).rmse for n in (1, 3, 8)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    page = write_page(ds, tmp_path / 'page.html', components=3)
    assert page.error.rmse == errors[1]
    assert f'off by {errors[1]:.2g} (root mean square)' in page.path.read_text()


@pytest.mark.parametrize('channels', [1, 2, 5])
def test_maps_of_few_channels_have_a_page(channels: int, tmp_path: Path) -> None:
    page = write_page(random_map(channels), tmp_path / 'page.html')
    assert page.components == channels
    assert page.error.largest < 0.01


def test_cells_that_are_all_the_same_have_a_page(tmp_path: Path) -> None:
    cells = np.ones((2, 1, 3), np.float32)
    ds = map_dataset(cells, MapWindow(9, 9, 2, 1), source='made')
    assert write_page(ds, tmp_path / 'page.html').error.largest < 1e-6
    assert (quantise(ds).step > 0).all()


def test_the_page_holds_the_picture_and_the_cells_of_the_map(ds: xr.Dataset, page: Page) -> None:
    about, png = parts_of(page.path)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), fit_colours(ds)[1])
    bits = np.unpackbits(np.frombuffer(unpacked(about['valid']), np.uint8), bitorder='little')
    valid = ds['valid'].to_numpy()
    np.testing.assert_array_equal(bits[: valid.size].reshape(valid.shape), valid)
    vectors = np.frombuffer(unpacked(about['vectors']), np.int8).reshape(6, -1)
    np.testing.assert_array_equal(vectors, quantise(ds, 6).values)
    assert page.size_bytes == page.path.stat().st_size
    assert (page.cells, page.components) == (int(valid.sum()), 6)


def test_the_world_fits_with_24_components_even_if_nothing_can_be_compressed() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((721, 1440)) < 0.299
    cells = int(mask.sum())
    assert cells > 310_000
    vectors = html_page._packed(rng.integers(-127, 128, (24, cells), np.int8).tobytes())
    bits = html_page._packed(np.packbits(mask).tobytes())
    picture = np.zeros((721, 1440, 4), np.uint8)
    picture[mask] = np.insert(rng.integers(0, 256, (cells, 3)), 3, 255, axis=1)
    assert len(vectors) + len(bits) + len(html_page._png(picture)) + 50_000 < MOST_BYTES


def test_a_page_that_would_be_too_large_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_page, 'MOST_BYTES', 50_000)
    with pytest.raises(ValueError, match='fewer than 24 components'):
        write_page(random_map(), tmp_path / 'page.html')
    assert not list(tmp_path.iterdir())


def test_texts_are_escaped_and_no_folder_is_told(page: Page) -> None:
    text = page.path.read_text()
    assert '<script>alert' not in text
    assert text.count('</script>') == 2
    assert text.count('<title>&lt;/script&gt;&lt;script&gt;alert(1)') == 1
    assert 'home' not in text.split('<main>')[0]


def test_nothing_of_the_page_is_from_elsewhere_or_made_of_text(page: Page) -> None:
    text = page.path.read_text()
    assert not re.findall(r'https?://|//cdn|@import|url\(|fetch\(|XMLHttp|importScripts', text)
    assert not re.findall(
        r'\beval\b|new Function|innerHTML|insertAdjacentHTML|document\.write', text
    )
    assert "default-src 'none'" in text


WRONG: list[tuple[str, dict[str, Any]]] = [
    ('must end with .html', {'path': 'page.htm'}),
    ('components is 0', {'components': 0}),
    ('components is 65', {'components': 65}),
    ('components must be a whole', {'components': 2.5}),
    ('k must', {'k': 0}),
    ('min_distance_km', {'min_distance_km': -1}),
    ('min_distance_km', {'min_distance_km': float('inf')}),
    ('title', {'title': None}),
    ('colours is a str', {'colours': 'viridis'}),
]


@pytest.mark.parametrize(('message', 'options'), WRONG)
def test_wrong_arguments_are_named(message: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / options.pop('path', 'page.html')
    with pytest.raises(ValueError, match=message):
        write_page(random_map(4), path, **options)


@pytest.mark.parametrize('cells', [0, 1])
def test_a_map_with_nothing_to_compare_has_no_page(cells: int, tmp_path: Path) -> None:
    values = np.zeros((3, 3, 2), np.float32)
    values.reshape(-1, 2)[:cells] = 1
    with pytest.raises(ValueError, match=f'{cells} cells with data'):
        write_page(map_dataset(values, MapWindow(0, 0, 3, 3), source=''), tmp_path / 'page.html')


def test_the_command_writes_the_page_of_the_region(tmp_path: Path) -> None:
    path = write_map(random_map(6), tmp_path / 'map.zarr')
    told = commands_pictures.page(
        str(path), str(tmp_path / 'page.html'), region=[0.0, 52.0, 5.0, 60.0], components=3, k=2
    )
    about, _ = parts_of(tmp_path / 'page.html')
    wanted = open_map(path, (0, 52, 5, 60))
    assert (about['rows'], about['columns']) == wanted['valid'].shape
    assert (about['components'], about['places']) == (3, 2)
    assert f'{int(wanted["valid"].sum()):,} cells' in told


def test_colours_of_another_map_are_those_of_the_page(tmp_path: Path) -> None:
    ds = random_map(6)
    colours, picture = fit_colours(ds)
    part = ds.isel(lat=slice(0, 20))
    write_page(part, tmp_path / 'page.html', colours=colours)
    _, png = parts_of(tmp_path / 'page.html')
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), picture[:20])


# In the browser.


def test_the_page_opens_without_a_problem_and_asks_for_nothing(
    chromium: Browser, page: Page
) -> None:
    chromium.open(page.path)
    assert chromium.value('document.body.dataset.state') == 'ready'
    assert said(chromium) == 'Choose a place.'
    assert chromium.problems == []
    assert {address.split(':')[0] for address in chromium.requests} <= {'file', 'data', 'about'}
    assert chromium.value('document.title').startswith('</script><script>alert(1)')
    assert chromium.value("document.querySelectorAll('script').length") == 2


def test_a_place_in_the_address_lists_the_places_that_python_finds(
    chromium: Browser, page: Page, ds: xr.Dataset
) -> None:
    place = land(ds)
    chromium.open(page.path, f'#select={place.longitude},{place.latitude}')
    kept = of_bytes(ds, quantise(ds, 6))
    wanted = similar_places(similarity_to(kept, place.longitude, place.latitude), 4, 700)
    found = listed(chromium)
    assert [number for number, _ in found] == wanted['grid_id'].tolist()
    np.testing.assert_allclose([s for _, s in found], wanted['similarity'], atol=1e-5)
    assert place.name in said(chromium)
    # And as similar in truth, but for the error that the page states.
    whole = similarity_to(ds, place.longitude, place.latitude)
    by_number = dict(
        zip(MapWindow.of_coordinates(ds['lat'], ds['lon']).grid_ids.ravel(), whole.to_numpy().ravel(), strict=True)
    )  # fmt: skip
    assert page.error.largest < 0.05
    for number, similarity in found:
        assert abs(by_number[number] - similarity) <= 2 * page.error.largest


def at_cell(chromium: Browser, ds: xr.Dataset, place: Cell) -> tuple[float, float]:
    """Where a cell is on the screen, when the whole map is shown."""
    x, y, width, height = chromium.value(
        "(() => { const b = document.getElementById('map').getBoundingClientRect();"
        ' return [b.x + 1, b.y + 1, b.width - 2, b.height - 2]; })()'
    )
    rows, columns = ds['valid'].shape
    lat, lon = float(ds['lat'][0]), float(ds['lon'][0])
    aspect = 1 / np.cos(np.radians(float(ds['lat'].mean())))
    zoom = min(width / columns, height / (rows * aspect))
    left, top = (width - columns * zoom) / 2, (height - rows * zoom * aspect) / 2
    column, row = (place.longitude - lon) / 0.25, (lat - place.latitude) / 0.25
    return x + left + (column + 0.5) * zoom, y + top + (row + 0.5) * zoom * aspect


def test_a_click_compares_with_the_cell_under_it_and_hovering_names_it(
    chromium: Browser, page: Page, ds: xr.Dataset
) -> None:
    chromium.open(page.path)
    place = land(ds, 9000)
    x, y = at_cell(chromium, ds, place)
    chromium.mouse('mouseMoved', x, y)
    named = re.search(r'cell (\d{7})_', said(chromium, 'readout'))
    assert named is not None
    near = Cell(int(named[1]))
    # A pixel of the screen is about a cell.
    assert abs(near.longitude - place.longitude) <= 0.5
    assert abs(near.latitude - place.latitude) <= 0.5
    chromium.click(x, y)
    assert near.name in said(chromium)
    assert len(listed(chromium)) == 4
    assert chromium.value('location.hash') == f'#select={near.longitude:g},{near.latitude:g}'
    chromium.mouse('mouseMoved', x, y)
    assert said(chromium, 'readout').endswith('· 1.000')
    chromium.value("document.querySelector('#places button').click()")
    assert near.name not in said(chromium)


def test_zooming_keeps_what_is_under_the_mouse_and_dragging_is_no_click(
    chromium: Browser, page: Page, ds: xr.Dataset
) -> None:
    chromium.open(page.path)
    x, y = at_cell(chromium, ds, land(ds, 9000))
    chromium.mouse('mouseMoved', x, y)
    before = said(chromium, 'readout')
    for _ in range(4):
        chromium.mouse('mouseWheel', x, y, deltaX=0, deltaY=-300)
    chromium.mouse('mouseMoved', x, y)
    assert said(chromium, 'readout') == before
    chromium.mouse('mousePressed', x, y, button='left', buttons=1, clickCount=1)
    chromium.mouse('mouseMoved', x - 100, y - 50, button='left', buttons=1)
    chromium.mouse('mouseReleased', x - 100, y - 50, button='left', clickCount=1)
    chromium.mouse('mouseMoved', x - 100, y - 50)
    assert said(chromium, 'readout') == before
    assert said(chromium) == 'Choose a place.'
    chromium.mouse('mouseMoved', x, y)
    assert said(chromium, 'readout') != before


def test_it_can_be_used_with_the_keyboard_alone(
    chromium: Browser, page: Page, ds: xr.Dataset
) -> None:
    chromium.open(page.path)
    order = []
    for _ in range(9):
        chromium.key('Tab')
        order.append(chromium.value('document.activeElement.id'))
    assert order[:5] == ['show-colours', 'zoom-out', 'zoom-in', 'zoom-all', 'map']
    chromium.value("document.getElementById('map').focus()")
    rows, columns = ds['valid'].shape
    row, column = np.argwhere(ds['valid'].to_numpy())[5000]
    for value, middle, plus, minus in (
        (row, rows // 2, 'ArrowDown', 'ArrowUp'),
        (column, columns // 2, 'ArrowRight', 'ArrowLeft'),
    ):
        key = plus if value > middle else minus
        far, near = divmod(abs(int(value) - middle), 10)
        for modifiers, times in ((8, far), (0, near)):
            for _ in range(times):
                chromium.key(key, modifiers)
    chromium.key('Enter')
    place = Cell.at(float(ds['lon'][column]), float(ds['lat'][row]))
    assert place.name in said(chromium)
    chromium.key('Escape')
    assert said(chromium) == 'Choose a place.'
    assert chromium.value("document.getElementById('result').hidden")
    assert chromium.value("document.getElementById('show-similarity').disabled")


def test_a_place_at_sea_is_told_where_the_nearest_data_is(
    chromium: Browser, page: Page, ds: xr.Dataset
) -> None:
    row, column = np.argwhere(~ds['valid'].to_numpy())[4000]
    lon, lat = float(ds['lon'][column]), float(ds['lat'][row])
    with pytest.raises(ValueError) as told:
        similarity_to(ds, lon, lat)
    away = re.search(r'(\d+) km away', str(told.value))
    assert away is not None
    chromium.open(page.path, f'#select={lon},{lat}')
    assert f'{away[1]} km away' in said(chromium)
    assert listed(chromium) == []


@pytest.mark.parametrize(
    'fragment', ['#select=1', '#select=1.2.3,4', '#select=0,95', '#select=a,b']
)
def test_an_address_without_a_place_is_told(chromium: Browser, page: Page, fragment: str) -> None:
    chromium.open(page.path, fragment)
    assert 'names no place' in said(chromium)
    assert chromium.value('document.body.dataset.state') == 'ready'


def test_a_place_outside_of_the_region_is_told(chromium: Browser, page: Page) -> None:
    for fragment in ('#select=100,60', '#select=-100,-60', '#select=-100,89'):
        chromium.open(page.path, fragment)
        assert 'not on the map' in said(chromium)


def test_the_form_takes_any_turn_of_a_longitude(
    chromium: Browser, page: Page, ds: xr.Dataset
) -> None:
    chromium.open(page.path)
    place = land(ds)
    chromium.value(
        f"document.getElementById('lon').value = {place.longitude + 360.1};"
        f"document.getElementById('lat').value = {place.latitude - 0.1};"
        "document.querySelector('#go button').click()"
    )
    assert place.name in said(chromium)


def test_a_map_across_the_date_line_finds_its_cells(chromium: Browser, tmp_path: Path) -> None:
    ds = random_map(12, MapWindow.of_region((170, -5, -170, 5)), sea=0.1)
    write_page(ds, tmp_path / 'page.html', k=5, min_distance_km=300)
    chosen = [land(ds, number) for number in (5, 40)]
    assert [cell.longitude > 0 for cell in chosen] == [True, False]
    kept = of_bytes(ds, quantise(ds))
    for place in chosen:
        chromium.open(tmp_path / 'page.html', f'#select={place.longitude},{place.latitude}')
        assert place.name in said(chromium)
        wanted = similar_places(similarity_to(kept, place.longitude, place.latitude), 5, 300)
        assert [number for number, _ in listed(chromium)] == wanted['grid_id'].tolist()


def test_a_damaged_page_says_so(chromium: Browser, page: Page, tmp_path: Path) -> None:
    text = page.path.read_text()
    vectors = parts_of(page.path)[0]['vectors']
    empty = base64.b64encode(b'\x03\x00').decode()
    (tmp_path / 'page.html').write_text(text.replace(vectors, empty))
    chromium.open(tmp_path / 'page.html')
    assert chromium.value('document.body.dataset.state') == 'failed'
    assert 'the file is damaged' in said(chromium)
    assert 'the file is damaged' in ''.join(chromium.problems)
    chromium.problems.clear()


def test_a_window_of_another_size_shows_the_whole_map_again(chromium: Browser, page: Page) -> None:
    chromium.open(page.path)
    width = "document.getElementById('map').clientWidth"
    wide = chromium.value(width)
    chromium.size(420, 800)
    for _ in range(100):
        if chromium.value(f"document.getElementById('map').width === {width} && {width} < {wide}"):
            break
        time.sleep(0.05)
    else:
        pytest.fail('the canvas has not followed')
    assert chromium.value('document.documentElement.scrollWidth') <= 420
    chromium.size(1200, 800)


def test_cells_are_drawn_where_the_mouse_finds_them(
    chromium: Browser, page: Page, ds: xr.Dataset, tmp_path: Path
) -> None:
    chromium.open(page.path)
    chromium.screenshot(tmp_path / 'shot.png')
    shot = np.asarray(Image.open(tmp_path / 'shot.png').convert('RGB')).astype(int)
    valid = ds['valid'].to_numpy()
    # The upper left and the lower right cell tell where all are.
    (left, top), (right, bottom) = (
        at_cell(chromium, ds, Cell.at(float(ds['lon'][end]), float(ds['lat'][end])))
        for end in (0, -1)
    )
    rows = np.linspace(top, bottom, len(valid)).astype(int)
    columns = np.linspace(left, right, valid.shape[1]).astype(int)
    sea = np.array([int(NO_DATA[i : i + 2], 16) for i in (1, 3, 5)])
    drawn = np.abs(shot[np.ix_(rows, columns)] - sea).max(axis=2) > 3
    # Lines and labels are on a few of them.
    lines = drawn.mean(axis=0) > 0.98, drawn.mean(axis=1) > 0.98
    drawn, valid = drawn[~lines[1]][:, ~lines[0]], valid[~lines[1]][:, ~lines[0]]
    assert (drawn != valid).mean() < 0.015


def test_the_similarity_is_drawn_in_the_colours_of_the_legend(
    chromium: Browser, page: Page, ds: xr.Dataset, tmp_path: Path
) -> None:
    place = land(ds, 9000)
    chromium.open(page.path, f'#select={place.longitude},{place.latitude}')
    x, y = at_cell(chromium, ds, place)
    chromium.screenshot(tmp_path / 'shot.png')
    shot = np.asarray(Image.open(tmp_path / 'shot.png').convert('RGB')).astype(int)
    # Beside the mark of the place all is alike: the last colour of viridis.
    around = shot[int(y), int(x) + 12]
    assert abs(around - np.array([253, 231, 37])).max() < 30
    chromium.value("document.getElementById('show-colours').click()")
    chromium.screenshot(tmp_path / 'shot.png')
    shot = np.asarray(Image.open(tmp_path / 'shot.png').convert('RGB')).astype(int)
    wanted = fit_colours(ds)[1]
    row = round((float(ds['lat'][0]) - place.latitude) / 0.25)
    column = round((place.longitude - float(ds['lon'][0])) / 0.25)
    near = wanted[row - 3 : row + 4, column + 6 : column + 20, :3].reshape(-1, 3).astype(int)
    assert np.abs(near - shot[int(y), int(x) + 16]).max(axis=1).min() < 20
