"""Commands that would overwrite a table, hide a failure or collect what is not wanted."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.collect.fake_earth_engine import EEException, FakeEarthEngine
from tests.collect.world import PLACE, world
from torchgeo_copernicus.collect import collect_task
from torchgeo_copernicus.collect.client import HIGH_VOLUME_URL, EarthEngineLogin
from torchgeo_copernicus.collect.collector import CollectionReport
from torchgeo_copernicus.collect.commands import COMMANDS
from torchgeo_copernicus.collect.place import Place, read_places, write_places
from torchgeo_copernicus.collect.recipe import Recipe

cities, fill, download, list_files = (
    COMMANDS[name] for name in ('cities', 'fill', 'download', 'list')
)
TABLE = 'name,lon,lat,population\nA,10,50,5\nB,20,-50,9\n'


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / 'cities.csv'
    path.write_text(TABLE)
    return str(path)


class Module(SimpleNamespace):
    """The package `ee` before it is initialised."""

    def Initialize(self, project: str, url: str) -> None:
        if project == 'refused':
            raise EEException('not registered')
        self.given = project, url


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeEarthEngine:
    client = world()
    names = ('Image', 'ImageCollection', 'Filter', 'Geometry', 'Reducer', 'data')
    module = Module(EEException=EEException, **{name: getattr(client, name) for name in names})
    monkeypatch.setitem(sys.modules, 'ee', module)
    collect_task.connected.cache_clear()
    return client


def test_places_are_drawn_and_cells_filled_from_the_command_line(
    tmp_path: Path, table: str
) -> None:
    path = tmp_path / 'places.csv'
    told = cities(table, str(path), 12, seed=3, largest=1)
    assert told == f'Wrote 12 places to {path}'
    places = read_places(path)
    assert all(place.latitude < 0 for place in places)
    with pytest.raises(ValueError, match='exists; move it away'):
        cities(table, str(path), 3)
    assert read_places(path) == places
    cells = tmp_path / 'cells.txt'
    empty = Place(0, 100.0, 50.0).cell
    cells.write_text(f'{places[0].cell.grid_id}\n{empty.grid_id}\n')
    filled = tmp_path / 'filled.csv'
    told = fill(str(cells), str(filled), str(path), per_cell=2)
    assert told == f'Wrote 12 places and 2 new ones to {filled}'
    assert read_places(filled)[:12] == places
    assert [place.number for place in read_places(filled)[12:]] == [12, 13]
    assert all(place.cell == empty for place in read_places(filled)[12:])


def test_options_of_places_have_an_effect(tmp_path: Path, table: str) -> None:
    options: list[dict[str, object]] = [
        {},
        {'seed': 1},
        {'sigma_km': 5.0},
        {'largest': 1},
        {'spread': 'degrees'},
        {'min_distance_m': 60_000.0},
    ]
    drawn = []
    for number, option in enumerate(options):
        path = tmp_path / f'{number}.csv'
        cities(table, str(path), 10, **option)
        drawn.append(read_places(path))
    assert len(set(drawn)) == len(options)


def test_cells_without_room_are_told(tmp_path: Path) -> None:
    cells = tmp_path / 'cells.txt'
    one = Place(0, 100.0, 50.0).cell
    cells.write_text(' '.join(str(cell.grid_id) for cell in (one, *one.neighbours())))
    told = fill(str(cells), str(tmp_path / 'filled.csv'), min_distance_m=200_000.0)
    assert '0 places and 1 new ones' in told and '8 cells had no room' in told
    cells.write_text('1 two')
    with pytest.raises(ValueError, match='lists no numbers of cells'):
        fill(str(cells), str(tmp_path / 'other.csv'))


def test_sentinel1_is_collected_only_where_sentinel2_is(
    tmp_path: Path, client: FakeEarthEngine
) -> None:
    path, output = tmp_path / 'places.csv', tmp_path / 'out'
    # The other place is at the far edge of the footprints.
    write_places(path, [PLACE, Place(1, 176.5, -38.95)])
    arguments: dict[str, object] = {
        'output': str(output),
        'project': 'mine',
        'places': str(path),
        'scheduler': 'synchronous',
        'workers': 1,
    }
    pytest.importorskip('dask', reason='needs the extra `collect`')
    told = download(**arguments, modalities=['s1_grd', 's2_toa'])
    assert told == f'Collected 2 tasks into {output}; 0 were there, 1 have no images'
    assert sys.modules['ee'].given == ('mine', HIGH_VOLUME_URL)
    document = json.loads(gzip.decompress((output / 'fnames_collected.json.gz').read_bytes()))
    (entry,) = document.values()
    assert list(entry['s1_grd']) == list(entry['s2_toa']) == [PLACE.name]
    # Without Sentinel-2 there is no such condition.
    told = download(**arguments, modalities=['s1_grd'])
    assert told == f'Collected 0 tasks into {output}; 1 were there, 1 have no images'
    name = 'fnames_mine.json.gz'
    assert list_files(str(output), name) == f'Wrote {output / name}'
    assert (output / name).read_bytes() == (output / 'fnames_collected.json.gz').read_bytes()


def test_failures_end_a_command_with_an_error(tmp_path: Path, client: FakeEarthEngine) -> None:
    pytest.importorskip('dask', reason='needs the extra `collect`')
    cells = tmp_path / 'cells.txt'
    cells.write_text(f'{PLACE.cell.grid_id}\n{PLACE.cell.neighbours()[0].grid_id}')
    client.faults = [EEException('Invalid something')]
    with pytest.raises(
        ValueError, match=r'1 failed. Run again for what failed, such as\ndem/.*Inv'
    ):
        download(
            str(tmp_path / 'out'),
            'mine',
            cells=str(cells),
            modalities=['dem'],
            scheduler='synchronous',
            workers=1,
        )
    assert (tmp_path / 'out' / 'fnames_collected.json.gz').exists()


def test_resampled_images_are_told(
    tmp_path: Path, client: FakeEarthEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('dask', reason='needs the extra `collect`')
    monkeypatch.setattr('torchgeo_copernicus.collect.images.on_grid', lambda *_: False)
    path = tmp_path / 'places.csv'
    write_places(path, [PLACE])
    told = download(str(tmp_path / 'out'), 'mine', places=str(path), modalities=['s2_toa'])
    assert told.endswith('4 images of Sentinel-2 were resampled')


def test_nothing_to_collect_is_an_error(tmp_path: Path, client: FakeEarthEngine) -> None:
    with pytest.raises(ValueError, match='give places or cells'):
        download(str(tmp_path), 'mine')


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ee', None)
    with pytest.raises(ValueError, match=r'torchgeo-copernicus\[collect\]'):
        EarthEngineLogin('mine')()


def test_a_refused_login_says_what_to_do(client: FakeEarthEngine) -> None:
    with pytest.raises(ValueError, match=r'refused project refused .*earthengine authenticate'):
        EarthEngineLogin('refused')()
    for wrong in ('', ' ', None):
        with pytest.raises(ValueError, match='give the Google Cloud project'):
            EarthEngineLogin(wrong)  # type: ignore[arg-type]


def test_arguments_of_the_commands_are_understood(tmp_path: Path, table: str) -> None:
    from jsonargparse import auto_cli

    path = tmp_path / 'places.csv'
    given = ['cities', table, str(path), '4', '--spread', 'degrees', '--seed', '2']
    assert auto_cli(dict(COMMANDS), args=given, as_positional=True) == f'Wrote 4 places to {path}'
    with pytest.raises(SystemExit):
        auto_cli(dict(COMMANDS), args=['download', 'out', 'mine', '--modalities', '[s4]'])


def test_every_option_of_a_download_reaches_the_run(
    tmp_path: Path, client: FakeEarthEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []

    def collect(
        tasks: object, output: str, login: object, recipe: object, **rest: object
    ) -> object:
        seen.append((recipe, *rest.values()))
        return CollectionReport((), (), {}, {})

    monkeypatch.setattr('torchgeo_copernicus.collect.collector.collect', collect)
    cells = tmp_path / 'cells.txt'
    cells.write_text('7')
    options: list[dict[str, object]] = [
        {},
        {'polar': True},
        {'harmonized': False},
        {'cloud_percent': 5.0},
        {'year': 2020},
        {'shifted': True},
        {'seed': 1},
        {'scheduler': 'synchronous'},
        {'workers': 1},
        {'tries': 2},
        {'check_hashes': False},
    ]
    for option in options:
        download('out', 'mine', cells=str(cells), modalities=['dem'], **option)
    assert len(set(seen)) == len(options)
    names = ('polar', 'harmonized', 'cloud_percent', 'year', 'shifted', 'seed')
    for option, (recipe, *_) in zip(options, seen, strict=True):
        wanted = {**vars(Recipe()), **{k: v for k, v in option.items() if k in names}}
        assert vars(recipe) == wanted
