"""Each kind of damage of a copy is found and named, and a right copy has none."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
import torch

from tests.datasets.pretrain.shard_writer import (
    members,
    overwrite,
    painted,
    place_of,
    saved,
    write_shard,
)
from torchgeo_copernicus.datasets.conversion.check_outputs import check_outputs
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.lookalike.pretrain_shards import make_pretrain_shards
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import PUBLISHED, shard_names
from torchgeo_copernicus.datasets.pretrain.verify import published_counts
from torchgeo_copernicus.datasets.pretrain.verify.published_counts import (
    PUBLISHED_SETS,
    PublishedSet,
)
from torchgeo_copernicus.datasets.pretrain.verify.verify_pretrain import verify_pretrain
from torchgeo_copernicus.datasets.pretrain.verify.verify_shards import verify_shards


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('made')
    make_pretrain_geotiff(folder, 4, 0, 16)
    make_pretrain_shards(folder, 6, 0, 16, cells_per_shard=2)
    return folder


@pytest.fixture
def geotiff(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / 'pretrain_geotiff', tmp_path / 'geotiff'))


@pytest.fixture
def shards(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / 'pretrain_shards', tmp_path / 'shards'))


def state(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.stat() for path in folder.rglob('*')}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


def problems(root: Path | str | list[str], limit: int = 0, **options: Any) -> list[str]:
    text, found = verify_pretrain(root, limit, **options)
    lines = [line for line in text.splitlines() if line.startswith('PROBLEM ')]
    assert found == bool(lines)
    return lines


def notes(root: Path, limit: int = 0, **options: Any) -> list[str]:
    text, _ = verify_pretrain(root, limit, **options)
    return [line for line in text.splitlines() if line.startswith('NOTE ')]


def listed(root: Path) -> dict[str, Any]:
    with gzip.open(root / 'fnames_4_union.json.gz') as file:
        found: dict[str, Any] = json.load(file)
    return found


def test_a_right_copy_of_geotiffs_has_no_problem_and_is_left_as_it_was(geotiff: Path) -> None:
    before = state(geotiff)
    text, found = verify_pretrain(geotiff, 0)
    assert not found
    assert state(geotiff) == before
    lines = text.splitlines()
    assert lines[0].endswith('4 cells in ' + str(geotiff / 'fnames_4_union.json.gz') + ', 4 read')
    assert lines[-1] == 'No problem found.'
    local = sum(len(list((geotiff / f).rglob('*.tif'))) for f in ('s2_toa_mix', 's1_grd_utm'))
    read = [int(line.rpartition('; ')[2].split()[0]) for line in lines[1:9]]
    assert sum(read[:2]) == local
    assert sum(read) == len(list(geotiff.rglob('*.tif')))
    assert lines[1].startswith('s1_grd    3 cells, ')


def test_only_so_many_cells_are_read_but_all_are_looked_for(geotiff: Path) -> None:
    assert verify_pretrain(geotiff, 2)[0].splitlines()[0].endswith(', 2 read')
    first = next(iter(listed(geotiff)))
    for path in geotiff.rglob('*.tif'):
        if f'/{first}_' not in str(path):
            path.write_bytes(b'x' * 2000)
    assert problems(geotiff, 1) == []
    assert len(problems(geotiff, 0)) == 8
    for path in geotiff.rglob('dem.tif'):
        path.unlink()
    assert problems(geotiff, 1)[0].startswith('PROBLEM dem: 3 files are listed, but not there')


def rewritten(path: Path, **change: Any) -> None:
    with rasterio.open(path) as file:
        pixels, profile = file.read(), {**file.profile, **change}
    pixels = pixels[: profile['count']].astype(profile['dtype'])
    with rasterio.open(path, 'w', **profile) as file:
        file.write(pixels)
    with path.open('ab') as file:
        file.write(bytes(1000))


def swapped(path: Path) -> None:
    other = next(p for p in sorted(path.parents[1].glob('*/*.tif')) if p.parent != path.parent)
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.parametrize(
    ('pattern', 'damage', 'reason'),
    [
        ('s2_toa_mix/*/*/*/*.tif', Path.unlink, 's2_toa: 1 files are listed, but not there: s2_toa_mix'),
        ('s1_grd_utm/*/*/*/*.tif', lambda p: p.write_bytes(b'II'), 's1_grd: 1 files have fewer than 1000 bytes'),
        (
            's3_olci_wgs/*/*/*.tif',
            lambda p: p.write_bytes(p.read_bytes()[:2000]),
            's3_olci: 1 images cannot be read, or are not what the list says',
        ),
        (
            's5p_l3_wgs/*/*/*/*.tif',
            lambda p: shutil.copy(p, p.with_name('2022-01-01_2022-02-01.tif')),
            's5p_co: 1 files are there, but not listed: s5p_l3_wgs',
        ),
        ('s2_toa_mix/*/*/*/*.tif', lambda p: rewritten(p, count=12), 'has 12 bands, wanted 13'),
        ('s2_toa_mix/*/*/*/*.tif', lambda p: rewritten(p, dtype='float32'), 'is float32; images of s2_toa'),
        ('dem_grid_wgs/*/*/*.tif', swapped, 'dem: 2 images cannot be read.*lies at'),
    ],
)  # fmt: skip
def test_damage_of_geotiffs_is_named(
    geotiff: Path, pattern: str, damage: Callable[[Path], Any], reason: str
) -> None:
    damage(min(geotiff.glob(pattern)))
    (line,) = problems(geotiff)
    assert re.search(reason, line)


def test_files_of_cells_that_are_not_listed_are_found(geotiff: Path) -> None:
    (_, entry), *rest = listed(geotiff).items()
    with gzip.open(geotiff / 'fnames_4_union.json.gz', 'wt') as file:
        json.dump(dict(rest), file)
    count = len(list(geotiff.rglob(f'*{entry["grid_id_coord"]}/**/*.tif')))
    found = problems(geotiff)
    assert len(found) == 8
    assert sum(int(line.split()[2]) for line in found) == count
    assert all('there, but not listed' in line for line in found)


def test_other_names_in_the_folders_are_found(geotiff: Path) -> None:
    (geotiff / 's3_olci_utm' / 'images').mkdir(parents=True)
    (geotiff / 's3_olci_utm' / 'images' / 'x.part').write_text('x')
    assert problems(geotiff) == [
        'PROBLEM s3_olci: 1 files are there, but not listed: s3_olci_utm/images/x.part'
    ]


def test_an_image_without_a_value_is_noted(geotiff: Path) -> None:
    path = min(geotiff.glob('s5p_l3_wgs/*/*/*/*.tif'))
    with rasterio.open(path, 'r+') as file:
        file.write(file.read() * float('nan'))
    assert problems(geotiff) == []
    (line,) = notes(geotiff)
    assert line.startswith('NOTE s5p_co: 1 images have no value: s5p_l3_wgs')


def test_a_copy_of_some_modalities_is_no_problem_when_said(geotiff: Path) -> None:
    count = len(list((geotiff / 's2_toa_mix').rglob('*.tif')))
    shutil.rmtree(geotiff / 's2_toa_mix')
    (line,) = problems(geotiff)
    assert line.startswith(f'PROBLEM s2_toa: {count} files are listed, but not there: s2_toa_mix')
    assert line.endswith(', ...')
    assert problems(geotiff, modalities=['dem', 's1_grd']) == []


def test_a_right_copy_of_shards_has_no_problem_and_is_left_as_it_was(shards: Path) -> None:
    before = state(shards)
    text, found = verify_pretrain(shards, 0)
    assert not found
    assert state(shards) == before
    lines = text.splitlines()
    size = sum(path.stat().st_size for path in shards.glob('*.tar'))
    tensors = sum(len(painted(number).images) for number in range(6))
    assert lines[0] == (
        f'Copernicus-Pretrain, shards: 3 shards, {size} bytes, 6 cells; CRC of {tensors} of {tensors} '
        'tensors compared'
    )
    has = sum('s1_grd' in painted(number).images for number in range(6))
    assert lines[1] == f's1_grd    {has} cells; 16 x 16 px'
    assert lines[-1] == 'No problem found.'
    assert 'NOTE s1_grd: 264 x 264 px were published' in lines


def test_a_flipped_byte_in_a_tensor_is_found_by_its_crc(shards: Path) -> None:
    path = shards / 'example-000001.tar'
    key = f'{painted(2).cell.grid_id:07d}'
    offset, size = place_of(path, f'{key}.s2_toa.pth')
    byte = path.read_bytes()[offset + size // 2]
    overwrite(path, offset + size // 2, bytes([byte ^ 1]))
    (line,) = problems(shards)
    assert line.startswith(
        f'PROBLEM {path}, byte {offset}: {key}.s2_toa.pth is damaged: the CRC of'
    )
    assert '/data/0 differs' in line
    # A look at few cells may not see it.
    assert problems(shards, 1) == []


def cut(path: Path) -> None:
    with path.open('r+b') as file:
        file.truncate(path.stat().st_size // 2)


def program(path: Path) -> None:
    write_shard(path, [members(painted(2), dem=saved(io.StringIO))])


def no_json(path: Path) -> None:
    write_shard(path, [members(painted(2), json=None)])


def broken_zip(path: Path) -> None:
    content = members(painted(2))
    name = f'{painted(2).cell.grid_id:07d}.dem.pth'
    content[name] = content[name][:-40]
    write_shard(path, [content])


def other_shape(path: Path) -> None:
    write_shard(path, [members(painted(2), s3_olci=saved(torch.zeros(3, 21, 4, 4)))])


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (Path.unlink, '1 shards are missing in the sequence: .*example-000001.tar'),
        (cut, 'example-000001.tar: 1 x cut off: byte'),
        (program, 'no tensor needs'),
        (no_json, '1 x metadata: key .* it has no JSON'),
        (broken_zip, '1 x damaged: key .*dem.pth'),
        (other_shape, '1 x damaged: key .* has shape'),
    ],
)  # fmt: skip
def test_damage_of_shards_is_named(
    shards: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    damage(shards / 'example-000001.tar')
    (line,) = problems(shards)
    assert re.search(reason, line)


def test_a_shard_that_is_named_but_not_there_is_a_problem_not_a_traceback(shards: Path) -> None:
    found = problems(f'{shards}/example-{{000000..000004}}.tar')
    assert found == [
        f'PROBLEM 2 shards are not there: {shards}/example-000003.tar, {shards}/example-000004.tar'
    ]


def test_known_oddities_are_noted_and_no_problem(tmp_path: Path) -> None:
    folder = make_pretrain_shards(tmp_path, 4, 0, 16, stale=True)
    assert problems(folder) == []
    assert any('6 x stale: key' in line for line in notes(folder))
    write_shard(folder / 'example-000001.tar', [members(painted(0)), {'0000005.json': b'{}'}])
    assert problems(folder) == []
    again, empty = (line for line in notes(folder) if 'example-000001' in line)
    assert f'1 cells come again and are left out: {painted(0).cell.grid_id} (first in' in again
    assert '1 cells have no image of their own: 5' in empty


def test_tensors_without_a_checksum_are_told_and_not_called_right(tmp_path: Path) -> None:
    old = saved(torch.tensor(painted(0).images['dem']), _use_new_zipfile_serialization=False)
    write_shard(tmp_path / 'a-3.tar', [members(painted(0), dem=old)])
    text, found = verify_pretrain(tmp_path, 0)
    assert not found
    assert 'CRC of 7 of 8 tensors compared' in text
    assert 'NOTE 1 tensors are of a form without CRC' in text
    assert f'NOTE {tmp_path}/a-* begins with number 3' in text


def test_a_shard_that_vanishes_meanwhile_is_a_problem(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.datasets.pretrain.verify import verify_shards as module

    def gone(*arguments: Any) -> Any:
        raise OSError('gone')

    monkeypatch.setattr(module.ShardIndex, 'build', gone)
    assert len(problems(shards)) == 3
    monkeypatch.undo()
    monkeypatch.setattr(module, 'differing_members', gone)
    assert all(line.endswith('gone') for line in problems(shards))


def test_published_numbers_belong_to_the_published_sets() -> None:
    assert list(PUBLISHED_SETS) == list(PUBLISHED)
    assert [len(s.shards) for s in PUBLISHED_SETS.values()] == [2256, 955, 3211, 10]
    aligned, rest, union, _ = PUBLISHED_SETS.values()
    assert aligned.cells + rest.cells == union.cells == 312_567
    assert rest.modalities['s5p_o3'] == 306_218 - 219_543
    assert published_counts.set_of(frozenset(rest.shards)) is rest
    assert published_counts.set_of(frozenset(rest.shards[1:])) is None
    with pytest.raises(ValueError, match='no published set'):
        published_counts.published_set('220k')


def test_a_copy_of_a_published_set_is_compared_with_its_numbers(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = problems(shards, published='100_example')
    assert '7 of 10 shards of 100_example are missing: example-000003.tar' in found[0]
    assert found[1:] == ['PROBLEM 6 cells, 100 were published of 100_example']
    tiny = PublishedSet('100_example', 6, {'dem': 6})
    monkeypatch.setattr(PublishedSet, 'shards', tuple(p.name for p in sorted(shards.glob('*'))))
    monkeypatch.setattr(published_counts, 'PUBLISHED_SETS', {'100_example': tiny})
    assert problems(shards, published='100_example') == []
    text, _ = verify_pretrain(shards)
    assert 'dem       5 cells of 6 in 100_example' in text
    assert 'NOTE dem: 5 cells, 6 were published of 100_example' in text
    write_shard(shards / 'example-000003.tar', [members(painted(6))])
    assert problems(shards, published='100_example') == [
        'PROBLEM 1 shards are not of 100_example: example-000003.tar',
        'PROBLEM 7 cells, 6 were published of 100_example',
    ]
    # Names alone do not make a copy of a published set, so differences are only noted.
    (shards / 'example-000003.tar').unlink()
    write_shard(shards / 'example-000002.tar', [members(painted(6))])
    assert problems(shards) == []
    assert 'NOTE 5 cells, 6 were published of 100_example' in notes(shards)


def test_a_published_name_is_its_set(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchgeo_copernicus.datasets.pretrain.verify import verify_pretrain as module

    seen: list[Any] = []

    def fake(names: Any, limit: int, published: Any) -> Any:
        seen.append((names, limit, published))
        return verify_shards(shard_names(shards), limit, None)

    monkeypatch.setattr(module, 'verify_shards', fake)
    verify_pretrain('100_example', 3)
    ((names, limit, published),) = seen
    assert (len(names), limit, published) == (10, 3, PUBLISHED_SETS['100_example'])


def manifest(folder: Path) -> None:
    rows = {
        path.name: {
            'options': {},
            'sources': '',
            'bytes': path.stat().st_size,
            'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
            'counts': {},
        }
        for path in sorted(folder.glob('*.tar'))
    }
    (folder / 'conversion.json').write_text(json.dumps({'version': 1, 'outputs': rows}))


def test_files_of_a_conversion_are_compared_by_their_sha256(shards: Path) -> None:
    manifest(shards)
    assert verify_pretrain(shards, 0)[0].endswith('Conversion: 3 files, SHA-256 of 3 compared')
    # In the JSON of a cell, which has no other checksum.
    path = shards / 'example-000001.tar'
    offset, _ = place_of(path, f'{painted(2).cell.grid_id:07d}.json')
    content = path.read_bytes()
    at = content.index(b'/2021', offset)
    overwrite(path, at, b'/2019')
    (line,) = problems(shards)
    assert line.startswith('PROBLEM example-000001.tar is not the file that was written')
    assert problems(shards, 1) == []
    path.write_bytes(content + bytes(512))
    (line,) = problems(shards, 1)
    assert f'{len(content) + 512} bytes, {len(content)} were written' in line
    path.unlink()
    assert 'PROBLEM example-000001.tar is missing, which conversion.json lists' in problems(shards)


def test_a_manifest_that_is_damaged_or_unfinished_is_a_problem_and_stays(shards: Path) -> None:
    manifest(shards)
    (shards / '.conversion').mkdir()
    (shards / '.conversion' / 'a.json').write_text('{}')
    before = state(shards)
    (line,) = problems(shards)
    assert 'a conversion was stopped here' in line
    assert state(shards) == before
    shutil.rmtree(shards / '.conversion')
    (shards / 'conversion.json').write_text('{')
    (line,) = problems(shards)
    assert 'is damaged' in line
    assert check_outputs(shards.parent) is None


@pytest.mark.parametrize(
    ('which', 'arguments', 'reason'),
    [
        ('shards', {'limit': -1}, 'limit must be'),
        ('shards', {'published': '220k'}, 'no published set'),
        ('shards', {'modalities': ['dem']}, 'of shards all are checked'),
        ('geotiff', {'published': '100_example'}, 'holds GeoTIFFs'),
        ('geotiff', {'modalities': ['s4']}, 'Unknown modalities'),
        ('geotiff', {'file_list': 'nowhere.json.gz'}, 'cannot be read'),
    ],
)
def test_an_impossible_argument_is_refused(
    made: Path, which: str, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        verify_pretrain(made / f'pretrain_{which}', **arguments)
