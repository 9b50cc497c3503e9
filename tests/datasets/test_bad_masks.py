"""Damaged label maps: found, named, and left as they lie."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.test_bad_data import CUT_OFF, paths, refused, rewrite
from torchgeo_copernicus.datasets import CopernicusBenchCloudS2


def test_a_missing_mask_is_found_at_construction(bench_copy: Path) -> None:
    path = bench_copy / 'cloud_s2' / 'cloud' / paths(CopernicusBenchCloudS2(bench_copy))[2].name
    path.unlink()
    with refused(bench_copy, '1 file', path):
        CopernicusBenchCloudS2(bench_copy)


def test_a_missing_folder_of_masks_is_found_at_construction(bench_copy: Path) -> None:
    shutil.rmtree(bench_copy / 'cloud_s2' / 'cloud')
    with refused(bench_copy, '6 files'):
        CopernicusBenchCloudS2(bench_copy)


def test_a_truncated_mask_is_named(bench_copy: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    path = bench_copy / 'cloud_s2' / 'cloud' / paths(dataset)[1].name
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 100])
    with refused(bench_copy, path, CUT_OFF):
        dataset[1]


def test_a_mask_of_another_size_than_its_image_is_named(bench_copy: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    path = bench_copy / 'cloud_s2' / 'cloud' / paths(dataset)[1].name
    rewrite(path, lambda pixels: pixels[:, :, :32])
    with refused(bench_copy, path, '[64, 32]', '[64, 64]'):
        dataset[1]


@pytest.mark.parametrize('label', [4, 255, -1, 1.5])
def test_a_label_out_of_range_is_named(bench_copy: Path, label: float) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    path = bench_copy / 'cloud_s2' / 'cloud' / paths(dataset)[1].name
    kind = 'float32' if label == 1.5 else 'int16'
    rewrite(path, lambda pixels: np.full(pixels.shape, label, kind))
    with refused(bench_copy, path, f'label {label}'):
        dataset[1]


def test_the_ignored_label_is_allowed_in_a_mask(bench_copy: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_copy)
    path = bench_copy / 'cloud_s2' / 'cloud' / paths(dataset)[1].name
    rewrite(path, lambda pixels: np.full(pixels.shape, -100, 'int16'))
    assert torch.all(dataset[1]['mask'] == -100)
