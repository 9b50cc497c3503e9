"""Both hosts know the models here, whichever is imported first, and the import stays light.

This process imported the package before the hosts (`conftest.py` did); other orders get their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from torchgeo_copernicus import plugin
from torchgeo_copernicus.compat import has_terratorch
from torchgeo_copernicus.registry import enter

HEAVY = {'torch', 'torchvision', 'torchgeo', 'terratorch', 'timm', 'lightning', 'numpy', 'pyproj'}
SIZES = [f'copernicus_fm_{size}' for size in ('small', 'base', 'large', 'huge')]
DECODERS = ['CopernicusUPerNetDecoder', 'CopernicusFCNDecoder', 'CopernicusLinearProbeDecoder']


def check_torchgeo() -> None:
    from torchgeo.models import get_model, get_model_weights, get_weight, list_models

    from torchgeo_copernicus.models import (
        CopernicusFM,
        CopernicusFMBase16_Weights,
        copernicus_fm_base,
    )

    assert set(SIZES) <= set(list_models())
    model = get_model('copernicus_fm_small', num_classes=3)
    assert isinstance(model, CopernicusFM)
    assert model.num_classes == 3
    weight = get_weight('CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN')
    assert weight is CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN
    assert get_model_weights('copernicus_fm_base') is CopernicusFMBase16_Weights
    assert get_model_weights(copernicus_fm_base) is CopernicusFMBase16_Weights


def check_terratorch() -> None:
    from terratorch.registry import BACKBONE_REGISTRY, DECODER_REGISTRY, NECK_REGISTRY

    from torchgeo_copernicus.terratorch.backbone import CopernicusFMBackbone

    for registry, names in (
        (BACKBONE_REGISTRY, SIZES),
        (NECK_REGISTRY, ['Feature2Pyramid']),
        (DECODER_REGISTRY, DECODERS),
    ):
        for name in names:
            assert name in registry
            assert f'terratorch_{name}' in registry
            found = registry.find_class(name)
            assert found.__module__.startswith('torchgeo_copernicus.')
            assert registry.find_class(f'terratorch_{name}') is found
    arguments = {'model_bands': ['VV'], 'out_indices': [0]}
    for name in ('copernicus_fm_small', 'terratorch_copernicus_fm_small'):
        assert isinstance(BACKBONE_REGISTRY.build(name, **arguments), CopernicusFMBackbone)


def tables() -> list[dict]:
    """Return the tables of the loaded hosts that hold our names."""
    from torchgeo.models import api

    found: list[dict] = [api._model, api._model_weights]
    if has_terratorch():
        from terratorch import registry

        found += [
            registry.TERRATORCH_BACKBONE_REGISTRY._registry,
            registry.TERRATORCH_NECK_REGISTRY._registry,
            registry.TERRATORCH_DECODER_REGISTRY._registry,
        ]
    return found


def run(code: str, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, where nothing is imported yet."""
    command = [sys.executable, '-W', 'ignore', *options, '-c', code]
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    code = 'import sys, torchgeo_copernicus; print(*{name.split(".")[0] for name in sys.modules})'
    done = run(code, tmp_path, '-X', 'importtime')
    tried = set(re.findall(r'\| +(\w+)[\w.]*$', done.stderr, re.MULTILINE))
    loaded = set(done.stdout.split())
    assert 'torchgeo_copernicus' in tried & loaded
    assert not (tried | loaded) & HEAVY


@pytest.mark.smoke
def test_torchgeo_imported_later_knows_the_models() -> None:
    check_torchgeo()


@pytest.mark.smoke
@pytest.mark.terratorch
def test_terratorch_imported_later_knows_the_models() -> None:
    check_terratorch()


@pytest.mark.smoke
def test_torchgeo_imported_first_knows_the_models(tmp_path: Path) -> None:
    code = 'import torchgeo.models, torchgeo_copernicus\n'
    run(f'{code}from tests.test_plugin import check_torchgeo\ncheck_torchgeo()', tmp_path)


@pytest.mark.smoke
def test_loaded_hosts_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [dict(table) for table in tables()]
    for table in tables():
        for key in [*SIZES, *DECODERS, 'Feature2Pyramid']:
            monkeypatch.delitem(table, key, raising=False)
    assert [dict(table) for table in tables()] != before
    plugin.install()
    assert [dict(table) for table in tables()] == before


@pytest.mark.smoke
@pytest.mark.terratorch
def test_custom_modules_register_while_terratorch_is_half_imported(tmp_path: Path) -> None:
    (tmp_path / 'custom_modules').mkdir()
    (tmp_path / 'custom_modules' / '__init__.py').write_text('import torchgeo_copernicus\n')
    code = """
import sys, terratorch
assert 'torchgeo_copernicus' in sys.modules
from tests.test_plugin import check_terratorch, check_torchgeo
check_terratorch()
check_torchgeo()
"""
    run(code, tmp_path)


@pytest.mark.parametrize('call', ['plugin.register_{}()', 'importlib.import_module("{}")'])
def test_registering_by_hand_does_not_need_the_host_to_be_loaded(call: str, tmp_path: Path) -> None:
    # Stand-ins with the hosts' tables, because the hosts take long to load.
    models, registry = tmp_path / 'torchgeo' / 'models', tmp_path / 'terratorch' / 'registry'
    for folder in (models, registry):
        folder.mkdir(parents=True)
        (folder.parent / '__init__.py').touch()
    (models / '__init__.py').write_text('from . import api')
    (models / 'api.py').write_text('_model, _model_weights = {}, {}')
    names = [f'TERRATORCH_{kind}_REGISTRY' for kind in ('BACKBONE', 'NECK', 'DECODER')]
    tables = [f'{name} = SimpleNamespace(_registry={{}})' for name in names]
    (registry / '__init__.py').write_text('\n'.join(['from types import SimpleNamespace', *tables]))
    by_name = 'import_module' in call
    first = 'torchgeo_copernicus.models.registration' if by_name else 'torchgeo'
    second = 'torchgeo_copernicus.terratorch.registration' if by_name else 'terratorch'
    code = f"""
import importlib
from torchgeo_copernicus import plugin
{call.format(first)}
{call.format(second)}
from torchgeo.models import api
from terratorch import registry
assert len(api._model) == 4 + 7 and len(api._model_weights) == 2 * (1 + 7)
assert [len(registry.{names[0]}._registry), len(registry.{names[2]}._registry)] == [4 + 18, 3]
"""
    run(code, tmp_path)


def test_registering_twice_changes_nothing() -> None:
    before = [dict(table) for table in tables()]
    plugin.register_torchgeo()
    if has_terratorch():
        plugin.register_terratorch()
    plugin.install()
    plugin.install()
    assert [dict(table) for table in tables()] == before
    assert sum(isinstance(finder, plugin._HostFinder) for finder in sys.meta_path) == 1


def test_other_modules_are_left_to_other_finders() -> None:
    finder = plugin._HostFinder()
    assert finder.find_spec('json', None) is None
    assert finder.find_spec('torchgeo.models.resnet', None) is None
    # A host that is not there is not found, rather than an error of ours.
    assert finder.find_spec('terratorch.registry', ['/nowhere']) is None


def test_a_name_that_is_taken_is_not_replaced() -> None:
    mine, other = object(), object()
    table = {'mine': mine, 'other': other}
    enter(table, 'mine', mine, 'a host')
    enter(table, 'new', mine, 'a host')
    with pytest.raises(ValueError, match="'other' is already registered in a host"):
        enter(table, 'other', mine, 'a host')
    assert table == {'mine': mine, 'other': other, 'new': mine}


def test_an_equal_value_does_not_hide_a_taken_name() -> None:
    with pytest.raises(ValueError, match='already registered'):
        enter({'name': [1]}, 'name', [1], 'a host')


def assert_refused(
    table: dict, name: str, register: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = object()
    monkeypatch.setitem(table, name, other)
    with pytest.raises(ValueError, match=f'{name!r} is already registered'):
        register()
    assert table[name] is other


@pytest.mark.parametrize('index', [0, 1])
def test_a_name_taken_in_torchgeo_raises(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables()[index]
    assert_refused(table, 'copernicus_fm_base', plugin.register_torchgeo, monkeypatch)


@pytest.mark.terratorch
@pytest.mark.parametrize(
    ('index', 'name'), [(2, SIZES[-1]), (3, 'Feature2Pyramid'), (4, DECODERS[-1])]
)
def test_a_name_taken_in_terratorch_raises(
    index: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(tables()[index], name, plugin.register_terratorch, monkeypatch)
