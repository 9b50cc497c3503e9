"""The commands as they are typed: paths as they are, several of them as lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.embedding.stores import made
from torchgeo_copernicus.cli import main
from torchgeo_copernicus.datasets.embed import open_map, sample
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.read_store import read_store


def test_from_a_store_to_a_page_by_typing(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = read_store(made(shards, tmp_path / 'store').folder, ['grid_id'])
    cells = [Cell(int(number)) for number in frame['grid_id'].unique()]
    main(['embeddings', 'aggregate', 'store', 'cells', '--maps', 'map.tif'])
    out = capsys.readouterr().out
    assert f'{len(cells)} cells of {len(frame)} images' in out and 'Wrote map.tif' in out
    world = open_map('map.tif', chunks=None)
    for cell in cells:
        sample(world, cell.longitude, cell.latitude, missing='raise')
    place = [f'{cells[0].longitude}', f'{cells[0].latitude}']
    main(['embeddings', 'similar', 'map.tif', *place, '--k', '2', '--min_distance_km', '0'])
    assert capsys.readouterr().out.splitlines()[1].split()[0] == str(cells[0].grid_id)
    main(['embeddings', 'page', 'map.tif', 'made/page.html', '--components', '3'])
    assert f'{len(cells)} cells, 3 components' in capsys.readouterr().out
    assert Path('made/page.html').stat().st_size > 10_000


def test_several_tables_and_maps_are_lists(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    made(shards, tmp_path / 'store')
    units = [f'store/rows/unit-{number:08d}.parquet' for number in (0, 1)]
    main(['embeddings', 'aggregate', f'[{", ".join(units)}]', 'some', '--maps', '[a.tif, b.zarr]'])
    assert 'Wrote a.tif' in capsys.readouterr().out
    assert open_map('a.tif')['valid'].equals(open_map('b.zarr')['valid'])
    with pytest.raises(SystemExit, match='nothing is not there'):
        main(['embeddings', 'aggregate', 'nothing', 'other'])
    with pytest.raises(SystemExit, match='overwrite is of maps'):
        main(['embeddings', 'aggregate', 'store', 'other', '--overwrite', 'true'])
