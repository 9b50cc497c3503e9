"""The climate study from files to table, on a made-up Earth whose land decides its climate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from torchgeo_copernicus.cli import main
from torchgeo_copernicus.datasets.embed import write_map
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.lookalike.era5 import land_map, make_era5, paint_era5
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.climate.cell_vectors import cell_vectors, valid_cells
from torchgeo_copernicus.embedding.climate.published import TARGETS
from torchgeo_copernicus.embedding.climate.study import (
    INPUTS,
    StudyOptions,
    StudyResult,
    climate_study,
)
from torchgeo_copernicus.embedding.climate.study_table import markdown, study_table, write_result

REGION = (-60.0, -40.0, -40.0, -10.0)
EXAMPLE = Path(__file__).parents[2] / 'docs' / 'examples' / 'climate_study.yaml'
CELLS = 500


@pytest.fixture(scope='module')
def land() -> xr.Dataset:
    # Larger than ERA5, which decides then.
    return land_map(MapWindow.of_region((-62.0, -42.0, -40.0, -10.0)))


@pytest.fixture(scope='module')
def era5() -> xr.Dataset:
    return paint_era5(MapWindow.of_region(REGION), (2019, 2019))


@pytest.fixture(scope='module')
def result(land: xr.Dataset, era5: xr.Dataset) -> StudyResult:
    return climate_study(land, era5, StudyOptions(cells=CELLS))


def error(result: StudyResult, name: str, target: str) -> float:
    return result.mean_rmse(name)[target][0]


def test_embeddings_that_see_the_land_beat_coordinates(result: StudyResult) -> None:
    # Pressure is of height, which coordinates do not know ...
    assert error(result, 'embedding', 'sp mean') < 0.3 * error(result, 'fourier', 'sp mean')
    assert error(result, 'coordinates', 'sp mean') > 0.9 * result.spread['sp mean']
    # ... at sea level it is of latitude, which embeddings do not see, and temperature of both.
    assert error(result, 'fourier', 'msl mean') < 0.1 * error(result, 'embedding', 'msl mean')
    both = error(result, 'embedding+coordinates', 't2m mean')
    for name in ('coordinates', 'fourier', 'embedding'):
        assert both < 0.3 * error(result, name, 't2m mean')
    for target in TARGETS:
        assert error(result, 'embedding+fourier', target) < result.spread[target]


def test_embeddings_of_other_cells_tell_nothing(land: xr.Dataset, era5: xr.Dataset) -> None:
    # Else the test above may see something but the land.
    values = np.random.default_rng(0).normal(size=(*land['valid'].shape, 150)).astype(np.float32)
    noise = land.drop_vars('embedding').assign(embedding=(land['embedding'].dims, values))
    found = climate_study(noise, era5, StudyOptions(cells=CELLS, inputs=['embedding']))
    # Measured on the cells that it was fitted on, noise would seem to tell half of it.
    assert error(found, 'embedding', 'sp mean') > found.spread['sp mean']


def test_a_study_is_the_same_every_time_and_runs_differ(
    result: StudyResult, land: xr.Dataset, era5: xr.Dataset
) -> None:
    again = climate_study(land.chunk({'lat': 7}), era5, StudyOptions(cells=CELLS))
    assert again.rmse == result.rmse
    assert again.data == result.data
    assert len(set(result.rmse['embedding']['t2m mean'])) == 3
    assert result.cells == [(300, 100, 100)] * 3
    assert result.data['cells_of_both'] < result.data['cells_with_embedding']  # type: ignore[operator]
    changed = era5.assign(sp=era5['sp'] + np.float32(1))
    moved = climate_study(land, changed, StudyOptions(cells=CELLS, inputs=['coordinates']))
    assert moved.data['sha256'] != result.data['sha256']


@pytest.mark.parametrize(
    'option',
    [
        {'cells_seed': 1},
        {'seeds': [5]},
        {'split': 'blocks', 'block_deg': 5},
        {'shares': (0.5, 0.25, 0.25)},
        {'frequencies': 3},
        {'ridge': 0.1},
        {'ridge': 'validation'},
        {'cells': None},
    ],
    ids=str,
)
def test_every_option_has_an_effect(
    result: StudyResult, land: xr.Dataset, era5: xr.Dataset, option: dict[str, object]
) -> None:
    options = StudyOptions(**{'cells': CELLS, 'inputs': ['fourier'], **option})  # type: ignore[arg-type]
    found = climate_study(land, era5, options)
    assert found.rmse['fourier'] != result.rmse['fourier']
    assert found.options != result.options
    if option.get('ridge') == 'validation':
        assert len(set(found.ridge['fourier']['t2m mean'])) >= 1
    if option.get('cells', CELLS) is None:
        assert found.data['cells'] == found.data['cells_of_both']


def test_vectors_are_those_of_their_cells(land: xr.Dataset) -> None:
    ids = valid_cells(land)[::50]
    found = cell_vectors(land, ids[::-1])
    np.testing.assert_array_equal(found.grid_id, ids)
    for number, vector in zip(ids.tolist(), found.vectors, strict=True):
        at = land['embedding'].sel(lat=Cell(number).latitude, lon=Cell(number).longitude)
        np.testing.assert_array_equal(at, vector)
    with pytest.raises(ValueError, match=r'no data of 1 cells, such as \[0\]'):
        cell_vectors(land, np.array([0]))


def table_of(land: xr.Dataset, path: Path) -> Path:
    found = cell_vectors(land, valid_cells(land))
    names = [Cell(number).name for number in found.grid_id.tolist()]
    vectors = pa.array(list(found.vectors), pa.list_(pa.float32()))
    pq.write_table(pa.table({'grid_id_coord': names, 'embedding': vectors}), path)
    return path


def test_tables_and_maps_of_the_same_embeddings_agree(
    result: StudyResult, land: xr.Dataset, era5: xr.Dataset, tmp_path: Path
) -> None:
    options = StudyOptions(cells=CELLS, inputs=['embedding'])
    table = table_of(land, tmp_path / 'table.parquet')
    zarr = write_map(land, tmp_path / 'map.zarr')
    for given, name in (
        (str(table), 'table.parquet'),
        ([table], 'table.parquet'),
        (zarr, 'map.zarr'),
    ):
        found = climate_study(given, era5, options)
        assert found.rmse['embedding'] == result.rmse['embedding']
        assert found.data['embeddings'] == name


def test_the_result_is_written_with_what_it_depends_on(result: StudyResult, tmp_path: Path) -> None:
    files = write_result(result, tmp_path / 'out' / 'study.json')
    assert [file.name for file in sorted((tmp_path / 'out').iterdir())] == [
        'study.json',
        'study.md',
    ]
    document = json.loads(files[0].read_text())
    assert document['options']['study']['seeds'] == [0, 1, 2]
    assert document['options']['targets']['deviation_of'] == 'months'
    assert {'torchgeo-copernicus', 'python'} <= set(document['versions'])
    assert len(document['data']['sha256']) == 64
    assert document['months'] == ['2019-01', '2019-12']
    assert document['rmse']['embedding']['sp mean'] == result.rmse['embedding']['sp mean']
    assert document['published']['arXiv:2503.11849']['Embed']['sp mean'] == [1627.21, 30.13]
    with pytest.raises(ValueError, match=r'must end with .json'):
        write_result(result, tmp_path / 'study.yaml')


def test_ours_stand_beside_the_published_ones(result: StudyResult) -> None:
    lines = markdown(result).splitlines()
    row = next(line for line in lines if line.startswith('| embedding |'))
    mean, spread = result.mean_rmse('embedding')['sp mean']
    assert f'{mean:.2f} ({spread:.2f})' in row
    published = lines[lines.index(row) + 1]
    assert published.startswith('| Embed | arXiv:2503.11849 | 2.66 (0.01) | 1.72 (0.00) |')
    # Two runs of 3 and 5: mean 4, and deviation 1 of all runs.
    two = StudyResult({'fourier': {'t2m mean': [3, 5]}}, {}, {}, [], ('', ''), {}, {})
    assert two.mean_rmse('fourier')['t2m mean'] == (4, 1)
    table = study_table(result)
    assert table.row_count == 2 * len(INPUTS) + 2
    assert len(table.columns) == 2 + len(TARGETS)


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('cells', 2, 'cells is 2'),
        ('cells', 1.5, 'cells must be a whole number'),
        ('cells_seed', -1, 'cells_seed must be'),
        ('seeds', [], r'seeds is \[\]'),
        ('seeds', [1, 1], 'each once'),
        ('seeds', [0.5], 'seeds must be a whole'),
        ('seeds', 3, 'seeds is 3'),
        ('inputs', ['satclip'], "Unknown inputs 'satclip'"),
        ('inputs', 'embedding', "inputs is 'embedding'"),
        ('split', 'rows', 'Unknown split'),
        ('split', 'blocks', 'blocks need their side'),
        ('block_deg', 10, 'nothing else has one'),
        ('ridge', -1, 'ridge is -1'),
    ],
)
def test_wrong_options_are_named(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StudyOptions(**{name: value})  # type: ignore[arg-type]


def test_too_few_cells_are_refused(land: xr.Dataset, era5: xr.Dataset) -> None:
    with pytest.raises(ValueError, match=r'\d+ cells in common, 10000 were to be drawn'):
        climate_study(land, era5)
    with pytest.raises(
        ValueError, match='embedding has 16 weights, but there are 12 training cells'
    ):
        climate_study(land, era5, StudyOptions(cells=20, inputs=['embedding']))
    climate_study(land, era5, StudyOptions(cells=20, inputs=['embedding'], ridge=0.1))
    elsewhere = land_map(MapWindow.of_region((60.0, 0.0, 61.0, 1.0)))
    elsewhere['valid'][:] = False
    with pytest.raises(ValueError, match='no cell in common'):
        climate_study(elsewhere, era5, StudyOptions(cells=None))
    with pytest.raises(ValueError, match='The dataset has no embedding'):
        climate_study(era5, era5)


def test_the_example_runs_as_written_but_for_its_size(
    land: xr.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    table_of(land, tmp_path / 'embeddings_avg_220k_aligned.parquet')
    make_era5(tmp_path, REGION, (2011, 2011))
    shutil.copy(EXAMPLE, 'climate_study.yaml')
    given = ['embeddings', 'climate', '--config', 'climate_study.yaml', '--study.cells', '400']
    main([*given, '--targets.years', '[2011, 2011]'])
    assert 'Wrote climate_study.json and climate_study.md' in capsys.readouterr().out
    document = json.loads(Path('climate_study.json').read_text())
    assert document['options']['study']['cells'] == 400
    assert document['options']['study']['seeds'] == [0, 1, 2]
    assert document['options']['targets']['years'] == [2011, 2011]


def test_the_example_asks_for_what_the_paper_did() -> None:
    yaml = pytest.importorskip('yaml')
    example = yaml.safe_load(EXAMPLE.read_text())
    wanted = StudyOptions()
    assert example['study']['cells'] == wanted.cells == 10_000
    assert tuple(example['study']['seeds']) == tuple(wanted.seeds)
    first, last = example['targets']['years']
    assert last - first + 1 == 10
