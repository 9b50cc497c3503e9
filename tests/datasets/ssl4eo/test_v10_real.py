"""The real place 0000200 of SSL4EO-S12 v1.0 (two dates of S1 and L1C, one of L2A)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torchgeo.datasets import SSL4EOS12

from tests.conftest import SHARED
from torchgeo_copernicus.datasets.ssl4eo.statistics import MODALITY_BANDS, V10_STATISTICS
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import FOLDERS, SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.verify import describe_v10, verify_v10
from torchgeo_copernicus.datasets.ssl4eo.v10.void_ids import VOID_IDS

THREE: Any = ('S1GRD', 'S2L1C', 'S2L2A')


@pytest.fixture(scope='module')
def root() -> Path:
    path = SHARED.joinpath('realdata', 'ssl4eo_s12').resolve()
    if not path.exists():
        pytest.skip('realdata/ssl4eo_s12 is not under COPERNICUS_SHARED')
    return path


def test_the_void_ids_are_the_official_ones(root: Path) -> None:
    lines = (root / 'void_ids.csv').read_text().split()
    assert tuple(int(line) for line in lines) == VOID_IDS


def test_shapes_dates_and_place(root: Path) -> None:
    dataset = SSL4EOS12v10(root, THREE, incomplete='keep')
    sample = dataset[0]
    assert sample['sample_id'] == '0000200'
    assert dataset.size == 264
    shapes = {name: tuple(image.shape) for name, image in sample['image'].items()}
    assert shapes == {
        'S1GRD': (2, 2, 264, 264),
        'S2L1C': (2, 13, 264, 264),
        'S2L2A': (1, 12, 264, 264),
    }
    # 7 June and 3 September 2020; 4 June and 23 August; 4 June.
    days = {name: rows[:, 2].tolist() for name, rows in sample['metadata'].items()}
    assert days == {'S1GRD': [18420, 18508], 'S2L1C': [18417, 18497], 'S2L2A': [18417]}
    for rows in sample['metadata'].values():
        assert rows[:, 0] == pytest.approx(73.306, abs=1e-3)
        assert rows[:, 1] == pytest.approx(30.464, abs=1e-3)
        assert (rows[:, 3] == 10).all()
    assert dataset.plot(sample).axes


def test_values_are_decibels_and_digital_numbers_without_offset(root: Path) -> None:
    sample = SSL4EOS12v10(root, THREE, incomplete='keep')[0]
    for modality in THREE:
        image = sample['image'][modality]
        assert image.isfinite().all()
        statistics = V10_STATISTICS[modality]
        for row, band in enumerate(MODALITY_BANDS[modality]):  # type: ignore[arg-type]
            z = (float(image[:, row].mean()) - statistics.mean[band]) / statistics.std[band]
            assert abs(z) < 1, (modality, band)
    cirrus = sample['image']['S2L1C'][:, MODALITY_BANDS['S2L1C'].index('B10')]
    assert cirrus.max() < 500


def test_bands_of_one_scene_agree_on_the_place(root: Path) -> None:
    rows = [
        SSL4EOS12v10(root, bands=[band], incomplete='keep')[0]['metadata']
        for band in MODALITY_BANDS['S2L1C']
    ]
    for row in rows:
        assert torch.equal(row, rows[0])


@pytest.mark.parametrize('modality', THREE)
def test_pixels_are_those_of_torchgeo(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modality: Any
) -> None:
    ours = SSL4EOS12v10(root, [modality], resampling='nearest', nodata='stored', incomplete='keep')
    sample = ours[0]
    count = len(sample['image'])
    monkeypatch.setattr(SSL4EOS12, '_verify', lambda self: None)
    sort: Callable[..., list[str]] = lambda names, k: sorted(names, key=lambda n: n[-70:][-8:])[:k]
    monkeypatch.setattr('torchgeo.datasets.ssl4eo.random.sample', sort)
    theirs = SSL4EOS12(str(root), FOLDERS[modality], seasons=count)[200]  # type: ignore[index, arg-type]
    images = theirs['image'].reshape(sample['image'].shape)
    order = theirs['t'].argsort()
    assert torch.equal(sample['image'], images[order])
    assert sample['metadata'][:, 0] == pytest.approx(theirs['x'], abs=2e-3)
    assert sample['metadata'][:, 1] == pytest.approx(theirs['y'], abs=2e-3)


def test_the_report_names_what_this_copy_lacks(root: Path) -> None:
    reports = verify_v10(root)
    assert [report.read for report in reports] == [2, 2, 1]
    for report in reports:
        assert report.problems == ['1 places have other than 4 dates: 0000200']
        assert report.missing_share == 0
        assert report.located == report.read
    assert '2020-06-04 to 2020-08-23' in describe_v10(reports)
