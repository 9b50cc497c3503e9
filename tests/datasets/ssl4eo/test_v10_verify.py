"""Checking a copy of SSL4EO-S12 v1.0: what is wrong is found and said, and nothing is changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.ssl4eo.v10 import verify as v10_verify
from torchgeo_copernicus.datasets.ssl4eo.v10.verify import describe_v10, verify_v10

SIZE = 12


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4eo_v10(tmp_path_factory.mktemp('v10'), 3, 0, SIZE)


@pytest.fixture
def root(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be damaged, of what is taken for the published size."""
    monkeypatch.setattr(v10_verify, 'PUBLISHED_PX', SIZE)
    return shutil.copytree(original, tmp_path / 'copy')


def problems(root: Path, **arguments: Any) -> list[str]:
    reports = verify_v10(root, **arguments)
    return [f'{report.modality}: {text}' for report in reports for text in report.problems]


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def test_a_good_copy_has_no_problem_and_is_not_changed(root: Path) -> None:
    before = snapshot(root)
    reports = verify_v10(root)
    text = describe_v10(reports)
    assert snapshot(root) == before
    assert text.endswith('No problem found.')
    assert '3 of 251079 places (3 with 4 dates)' in text
    assert [report.modality for report in reports] == ['S1GRD', 'S2L1C', 'S2L2A']
    for report, bands in zip(reports, (2, 13, 12), strict=True):
        assert (report.places, report.read, report.located) == (3, 12, 12)
        assert report.size == SIZE
        assert len(report.bands) == len(report.mean) == bands
        assert report.missing_share == 0
        assert report.last - report.first > 200
    assert -20 < reports[0].mean['VV'] < 0
    assert 500 < reports[1].mean['B04'] < 4000


def test_the_limit_is_of_places_and_spread(root: Path) -> None:
    assert [report.read for report in verify_v10(root, limit=1)] == [4, 4, 4]
    assert [report.read for report in verify_v10(root, limit=2)] == [8, 8, 8]
    assert [report.read for report in verify_v10(root, limit=0)] == [12, 12, 12]
    # The last place is looked at too.
    for path in root.glob('s1/0251175/*/VV.tif'):
        path.write_bytes(b'')
    assert len(problems(root, limit=2)) == 4


def test_sizes_other_than_published_are_said(original: Path) -> None:
    assert problems(original) == [
        f'{m}: images of 12 px, 264 px were published' for m in ('S1GRD', 'S2L1C', 'S2L2A')
    ]


def test_a_place_that_one_modality_lacks_is_named(root: Path) -> None:
    shutil.rmtree(root / 's2a' / '0251175')
    assert problems(root) == ['S2L2A: 1 places of other modalities are missing: 0251175']


def test_missing_dates_and_bands_are_named(root: Path) -> None:
    scenes = sorted(root.glob('s2c/0251175/*'))
    shutil.rmtree(scenes[0])
    (scenes[1] / 'B9.tif').unlink()
    first, second = problems(root)
    assert first == 'S2L1C: 1 places have other than 4 dates: 0251175'
    assert str(scenes[1] / 'B9.tif') in second
    report = verify_v10(root)[1]
    assert report.dates == {4: 2, 3: 1}
    assert report.read == 10


def test_void_numbers_are_a_sign_of_a_renumbered_copy(root: Path) -> None:
    for folder in ('s1', 's2c', 's2a'):
        (root / folder / '0251175').rename(root / folder / '0124990')
    found = problems(root)
    assert len(found) == 3
    assert all('never released: 0124990' in text for text in found)


def test_many_problems_of_one_kind_are_one_line(root: Path) -> None:
    for number in range(7):
        (root / 's1' / f'{number:07d}').mkdir()
    found = problems(root)
    assert (
        '7 places have other than 4 dates: 0000000, 0000001, 0000002, 0000003, 0000004, ...'
        in found[0]
    )


def test_names_without_a_time_are_named(root: Path) -> None:
    (root / 's1' / '0251175' / 'winter').mkdir()
    (text,) = problems(root)
    assert 'winter' in text
    (root / 's2c' / '12345').mkdir()
    assert any('12345' in text for text in problems(root))


def test_missing_pixels_are_counted(root: Path) -> None:
    for path in root.glob('s1/*/*/VH.tif'):
        with rasterio.open(path, 'r+') as file:
            file.write(np.zeros((1, SIZE, SIZE), 'float32'))
    report = verify_v10(root)[0]
    assert report.missing_share == pytest.approx(0.5)
    assert report.problems == ['VH has no data']


def test_the_wrong_variant_is_said(root: Path) -> None:
    assert 'uint16' in problems(root, variant='8bit', limit=1)[4]


def test_the_8_bit_variants_can_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v10_verify, 'PUBLISHED_PX', SIZE)
    variants: Any = ('8bit', 'rgb')
    for variant in variants:
        root = make_ssl4eo_v10(tmp_path, 1, 0, SIZE, variant)
        assert problems(root, variant=variant) == []


def test_one_modality_alone_is_no_problem(root: Path) -> None:
    shutil.rmtree(root / 's1')
    assert problems(root) == []


def test_a_wrong_argument_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='s1, s2c, s2a'):
        verify_v10(tmp_path / 'nothing')
    with pytest.raises(ValueError, match=r'limit.*-1'):
        verify_v10(root, limit=-1)
    with pytest.raises(ValueError, match="'16bit'"):
        verify_v10(root, variant='16bit')  # type: ignore[arg-type]
