"""Copernicus-Pretrain from the command line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from torchgeo_copernicus.cli import main
from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain import CopernicusPretrainGeoTIFF, commands
from torchgeo_copernicus.datasets.pretrain.index.index_table import read_index

PACKAGE = 'torchgeo_copernicus.datasets.pretrain'


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('made')
    make_pretrain_geotiff(folder, 2, 0, 16)
    make_pretrain_shards(folder, 2, 0, 16)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    main(['pretrain', *map(str, arguments)])
    return capsys.readouterr().out


def test_a_copy_is_indexed_and_measured(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('dask', reason='conversions need the extra `convert`')
    pytest.importorskip('pyarrow', reason='an index needs the extra `convert`')
    for name in ('geotiff', 'shards'):
        out = tmp_path / name
        options = ('--modalities', '[s5p_co,dem]', '--scheduler', 'synchronous')
        text = run(capsys, 'index', made / f'pretrain_{name}', out, *options)
        count = len(read_index(out))
        assert text.startswith(f'Wrote 1 files to {out}; {count} images')
        again = run(capsys, 'index', made / f'pretrain_{name}', out, *options)
        assert again.startswith(f'Wrote 0 files to {out}; 1 were there already')
        text = run(capsys, 'stats', out, '--output', out / 'a.json', '--modalities', '[s5p_co]')
        assert f'Wrote means and standard deviations to {out / "a.json"}' in text
        assert list(json.loads((out / 'a.json').read_text())) == ['s5p_co']
        assert len(run(capsys, 'stats', out).splitlines()) == 3


def test_a_copy_is_verified_and_damage_is_an_exit_code(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ('geotiff', 'shards'):
        out = run(capsys, 'verify', made / f'pretrain_{name}', '--limit', 0)
        assert out.endswith('No problem found.\n')
    with pytest.raises(SystemExit, match=r'PROBLEM .* missing') as caught:
        run(capsys, 'verify', made / 'pretrain_shards', '--published', '100_example')
    assert isinstance(caught.value.code, str)
    with pytest.raises(SystemExit, match=r'^torchgeo-copernicus: .* holds neither'):
        run(capsys, 'verify', tmp_path)
    with pytest.raises(SystemExit):
        run(capsys, 'verify', made / 'pretrain_shards', '--published', '100k')


def test_both_formats_are_converted(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('dask', reason='conversions need the extra `convert`')
    options = ('--modalities', '[dem]', '--scheduler', 'synchronous')
    root = made / 'pretrain_geotiff'
    text = run(capsys, 'convert', 'shards', root, tmp_path / 'a', '--resize', 'false', *options)
    assert text.startswith(f'Wrote 1 files to {tmp_path / "a"}; 2 cells')
    run(capsys, 'convert', 'geotiff', tmp_path / 'a', tmp_path / 'b', *options)
    assert len(CopernicusPretrainGeoTIFF(tmp_path / 'b')) == 2
    for name in 'ab':
        assert 'SHA-256' in run(capsys, 'verify', tmp_path / name, '--limit', 0)


OPTIONS: list[tuple[str, str, list[str], dict[str, object]]] = [
    (
        'index',
        'convert_index',
        [
            *('in', 'out', '--file_list', 'l', '--modalities', '[dem]', '--grids', '[3,1]'),
            *('--cells_per_file', '7', '--index_folder', 'i', '--scheduler', 'processes'),
            *('--workers', '2'),
        ],
        {
            'root': 'in',
            'output': 'out',
            'file_list': 'l',
            'modalities': ['dem'],
            'grids': [3, 1],
            'cells_per_file': 7,
            'index_folder': 'i',
            'scheduler': 'processes',
            'workers': 2,
        },
    ),
    (
        'convert shards',
        'convert_shards',
        [
            *('in', 'out', '--file_list', 'l', '--modalities', '[dem]', '--grids', '[3,1]'),
            *('--cells_per_shard', '7', '--seed', '5', '--pad', 'false', '--resize', 'false'),
            *('--on_error', 'skip', '--scheduler', 'processes', '--workers', '2'),
        ],
        {
            'root': 'in',
            'output': 'out',
            'file_list': 'l',
            'modalities': ['dem'],
            'grids': [3, 1],
            'cells_per_shard': 7,
            'seed': 5,
            'pad': False,
            'resize': False,
            'on_error': 'skip',
            'scheduler': 'processes',
            'workers': 2,
        },
    ),
    (
        'convert geotiff',
        'convert_geotiff',
        [
            *('in', 'out', '--modalities', '[dem]', '--grids', '[3,1]', '--on_error', 'skip'),
            *('--scheduler', 'processes', '--workers', '2'),
        ],
        {
            'shards': 'in',
            'output': 'out',
            'modalities': ['dem'],
            'grids': [3, 1],
            'on_error': 'skip',
            'scheduler': 'processes',
            'workers': 2,
        },
    ),
]


@pytest.mark.parametrize(('command', 'function', 'given', 'wanted'), OPTIONS)
def test_every_option_reaches_the_conversion(
    command: str,
    function: str,
    given: list[str],
    wanted: dict[str, object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = 'index' if command == 'index' else 'convert'
    module = import_module(f'{PACKAGE}.{package}.{function}')
    signature = inspect.signature(getattr(module, function))
    seen: dict[str, Any] = {}

    def fake(*arguments: Any, **options: Any) -> ConversionReport:
        seen.update(signature.bind(*arguments, **options).arguments)
        return ConversionReport(('a',), (), {'images': 3, 'void': 0})

    monkeypatch.setattr(module, function, fake)
    assert run(capsys, *command.split(), *given) == 'Wrote 1 files to out; 3 images\n'
    assert seen == wanted
    # Nothing that the function can do is left out of the command.
    assert set(signature.parameters) == {*wanted, 'progress'}


@pytest.mark.parametrize(
    ('command', 'function'),
    [
        (commands.index, 'index.convert_index.convert_index'),
        (commands.shards, 'convert.convert_shards.convert_shards'),
        (commands.geotiff, 'convert.convert_geotiff.convert_geotiff'),
        (commands.stats, 'index.index_statistics.index_statistics'),
        (commands.verify, 'verify.verify_pretrain.verify_pretrain'),
    ],
)
def test_defaults_are_those_of_the_functions(command: Callable[..., str], function: str) -> None:
    module, _, name = function.rpartition('.')
    theirs = inspect.signature(getattr(import_module(f'{PACKAGE}.{module}'), name)).parameters
    for option in inspect.signature(command).parameters.values():
        if option.name in theirs and option.name != 'scheduler':
            assert option.default == theirs[option.name].default, option.name


def test_the_list_of_commands_names_them_without_loading_what_they_need(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(['--help'])
    text = ' '.join(capsys.readouterr().out.split())
    assert 'pretrain index' in text
    assert 'pretrain convert' in text
    program = (
        'import sys\nfrom torchgeo_copernicus.cli import main\n'
        'try:\n    main(["--help"])\nexcept SystemExit:\n    pass\n'
        'sys.exit(any(m in sys.modules for m in ("torch", "geopandas", "dask", "pyarrow")))'
    )
    subprocess.run([sys.executable, '-c', program], check=True, capture_output=True)
