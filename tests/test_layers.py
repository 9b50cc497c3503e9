"""The floors of the house: who may import whom, read from the sources without running them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = 'torchgeo_copernicus'
ROOT = Path(__file__).parents[1] / PACKAGE

FILES = {
    **dict.fromkeys(
        (
            'sensors',
            'metadata',
            'compat',
            'download',
            'archive',
            'registry',
            'require',
            'late_import',
        ),
        0,
    ),
    **dict.fromkeys(('cli', 'plugin', '__init__', '__main__'), 5),
}
FOLDERS = {
    'datasets': 1,
    'models': 1,
    'collect': 2,
    'datamodules': 2,
    'tasks': 3,
    'terratorch': 3,
    'benchmark': 4,
    'embedding': 4,
}
FLOORS = FILES | FOLDERS


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    module: str
    text: str
    is_folder: bool = False

    @property
    def unit(self) -> str:
        return unit_of(self.module)


@dataclass(frozen=True)
class Import:
    """One imported module, and whether the import runs when the importing file is loaded."""

    module: str
    at_load: bool


def sources() -> list[Source]:
    found = []
    for path in sorted(ROOT.rglob('*.py')):
        parts = path.relative_to(ROOT.parent).with_suffix('').parts
        is_folder = parts[-1] == '__init__'
        module = '.'.join(parts[:-1] if is_folder else parts)
        found.append(Source(module, path.read_text(), is_folder))
    return found


SOURCES = sources()
MODULES = {source.module: source for source in SOURCES}


def unit_of(module: str) -> str:
    """Return the file or folder right under the package that a module of it belongs to."""
    return [*module.split('.'), '__init__'][1]


def is_own(module: str) -> bool:
    return module.split('.')[0] == PACKAGE


def imports_of(source: Source) -> Iterator[Import]:
    return _imports(ast.parse(source.text), source, at_load=True)


def _imports(node: ast.AST, source: Source, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for module in _imported(child, source):
            yield Import(module, at_load)
        yield from _imports(child, source, at_load and not lazy)


def _imported(node: ast.AST, source: Source) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ''
        if node.level:
            up = node.level - source.is_folder
            folder = source.module.split('.')[: -up or None]
            base = '.'.join([*folder, base] if base else folder)
        for alias in node.names:
            # `from package import name` may name a module.
            whole = f'{base}.{alias.name}'
            is_module = whole in MODULES or (base == PACKAGE and alias.name in FLOORS)
            yield whole if is_module else base
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        first = node.args[0] if node.args else None
        if name in ('import_module', '__import__') and isinstance(first, ast.Constant):
            yield str(first.value)


def wrong_arrows(source: Source) -> list[str]:
    """Return the imports of a file that run up, or sideways between folders of one floor."""
    wrong = []
    for module in {found.module for found in imports_of(source) if is_own(found.module)}:
        upper, lower = source.unit, unit_of(module)
        for unit in (upper, lower):
            assert unit in FLOORS, f'{unit} has no floor yet: name it in {__file__}'
        siblings = FLOORS[lower] == FLOORS[upper] and {upper, lower} <= set(FILES)
        if upper != lower and FLOORS[lower] >= FLOORS[upper] and not siblings:
            wrong.append(f'{source.module} (floor {FLOORS[upper]}) -> {module} ({FLOORS[lower]})')
    return sorted(wrong)


def loaded_by(module: str) -> tuple[set[str], set[str]]:
    """Return the modules of the package and of others that are loaded along with one."""
    own, foreign, waiting = set(), set(), [module]
    while waiting:
        name = waiting.pop()
        if name in own:
            continue
        own.add(name)
        for found in imports_of(MODULES[name]):
            if found.at_load and is_own(found.module):
                waiting.append(found.module)
            elif found.at_load:
                foreign.add(found.module)
    return own, foreign


def version_questions(source: Source) -> list[str]:
    """Return the lines of a file that ask which version of something is installed."""
    modules = ('importlib.metadata', 'importlib_metadata', 'packaging', 'pkg_resources')
    asking = []
    for node in ast.walk(ast.parse(source.text)):
        names = list(_imported(node, source))
        if isinstance(node, ast.ImportFrom):
            names += [f'{node.module}.{alias.name}' for alias in node.names]
            names = [name for name in names if not is_own(name)]
        asks = any(f'{name}.'.startswith(f'{module}.') for name in names for module in modules)
        asks |= any(name.endswith('.__version__') for name in names)
        asks |= isinstance(node, ast.Attribute) and node.attr == '__version__'
        asks |= isinstance(node, ast.Call) and any(
            isinstance(a, ast.Constant) and a.value == '__version__' for a in node.args
        )
        if asks:
            asking.append(f'{source.module}: {ast.unparse(node)}')
    return asking


@pytest.mark.parametrize('source', SOURCES, ids=lambda source: source.module)
def test_no_import_runs_up_or_sideways(source: Source) -> None:
    assert wrong_arrows(source) == []


@pytest.mark.parametrize('floor', [0, 5])
def test_the_files_of_one_floor_import_each_other_in_no_circle(floor: int) -> None:
    graph = {
        source.unit: {unit_of(i.module) for i in imports_of(source) if is_own(i.module)}
        & {unit for unit in FILES if FILES[unit] == floor}
        for source in SOURCES
        if FILES.get(source.unit) == floor
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f'circle: {error.args[1]}')


def test_only_compat_asks_for_versions() -> None:
    asking = [line for s in SOURCES if s.unit != 'compat' for line in version_questions(s)]
    assert asking == []
    assert version_questions(MODULES[f'{PACKAGE}.compat']), 'the check sees nothing any more'


def test_only_the_bridge_imports_terratorch() -> None:
    outside = [
        f'{source.module} -> {found.module}'
        for source in SOURCES
        if source.unit != 'terratorch'
        for found in imports_of(source)
        if found.module.split('.')[0] == 'terratorch'
    ]
    assert outside == []


def test_registration_needs_no_more_of_terratorch_than_its_registry() -> None:
    # It may run while TerraTorch is being imported, when anything more is half initialised.
    own, foreign = loaded_by(f'{PACKAGE}.terratorch.registration')
    assert f'{PACKAGE}.terratorch.backbone' in own
    hosts = {module for module in foreign if module.split('.')[0] == 'terratorch'}
    assert hosts <= {'terratorch.registry'}


def test_importing_the_package_loads_the_standard_library_alone() -> None:
    own, foreign = loaded_by(PACKAGE)
    assert own == {PACKAGE, f'{PACKAGE}.plugin'}
    assert {module.split('.')[0] for module in foreign} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ('module', 'line'),
    [
        ('models.x', f'from {PACKAGE}.datasets import y'),
        ('datasets.a.b', 'from ...models import y'),
        ('datasets.a', 'from .. import models'),
        ('sensors', f'def f():\n    import {PACKAGE}.models.weights'),
        ('sensors', f'from {PACKAGE} import __version__'),
        ('metadata', 'if TYPE_CHECKING:\n    from . import datamodules'),
        ('tasks.x', f'import_module("{PACKAGE}.terratorch.tasks")'),
        ('terratorch.x', 'from torchgeo_copernicus import cli'),
    ],
)
def test_the_check_sees_a_forbidden_import(module: str, line: str) -> None:
    assert len(wrong_arrows(Source(f'{PACKAGE}.{module}', line))) == 1


@pytest.mark.parametrize(
    ('module', 'line'),
    [
        ('metadata', f'from {PACKAGE} import sensors'),
        ('models.x', f'from {PACKAGE}.models import y\nfrom . import z\nimport torch'),
        ('terratorch.x', 'from ..models.builders import SIZES\nimport terratorch.tasks'),
        ('cli', f'import {PACKAGE}.tasks.report'),
    ],
)
def test_the_check_leaves_allowed_imports_alone(module: str, line: str) -> None:
    assert wrong_arrows(Source(f'{PACKAGE}.{module}', line)) == []


@pytest.mark.parametrize(
    'line',
    [
        'from importlib.metadata import version',
        'from importlib import metadata',
        'import packaging.version',
        'import kornia\nkornia.__version__',
        'from torchgeo import __version__',
        'getattr(zarr, "__version__")',
    ],
)
def test_the_check_sees_a_question_for_a_version(line: str) -> None:
    assert version_questions(Source(f'{PACKAGE}.models.x', line))
