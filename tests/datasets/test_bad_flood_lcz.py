"""Damaged lists and scenes of floods, damaged HDF5 files of LCZ: found early, named, left as they lie."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from torchgeo.datasets import DatasetNotFoundError

from tests.datasets.test_bad_data import refused, rewrite
from tests.datasets.test_bad_tables import Copy, root_of
from torchgeo_copernicus.datasets.bench import DATASETS
from torchgeo_copernicus.datasets.bench.verify import verify

# Flood


@pytest.mark.parametrize(
    'content',
    [
        '[]',
        '"path"',
        '7',
        'null',
        '{',
        '{"a": 1}',
        '{"a": []}',
        '{"a": {"info": {}}}',
        '{"a": "b"}',
    ],
)
def test_a_list_of_floods_that_is_no_dictionary_of_paths_is_named(copy: Copy, content: str) -> None:
    path = copy('flood_s1')
    path.write_text(content)
    with refused(root_of(path), path, 'dictionary'):
        DATASETS['flood_s1'](root_of(path))


@pytest.mark.parametrize('content', ['', '{}', ' \n'])
def test_a_list_of_no_flood_is_named(copy: Copy, content: str) -> None:
    path = copy('flood_s1')
    path.write_text(content)
    with refused(root_of(path), path):
        DATASETS['flood_s1'](root_of(path))


@pytest.mark.parametrize('place', ['nowhere/01/abc', '', None, 7])
def test_a_flood_without_its_folder_is_named(copy: Copy, place: Any) -> None:
    path = copy('flood_s1')
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(entries | {'zz': {'path': place}}))
    with refused(root_of(path), path.parent / 'data' / str(place)):
        DATASETS['flood_s1'](root_of(path))


@pytest.mark.parametrize(
    ('prefix', 'arguments'),
    [
        ('MK0_MLU', {}),
        ('MS1_IVV', {}),
        ('MS1_IVH', {}),
        ('SL1_IVH', {}),
        ('SL2_IVV', {'mode': 2}),
        ('SL1_IVH', {'bands': ['VH']}),
    ],
)
def test_a_missing_file_of_a_flood_is_found_at_construction(
    copy: Copy, prefix: str, arguments: dict[str, Any]
) -> None:
    path = copy('flood_s1')
    folder = path.parent / 'data' / DATASETS['flood_s1'](root_of(path)).names[1]
    next(folder.glob(f'{prefix}_*.tif')).unlink()
    with refused(root_of(path), folder, f'{prefix}_*.tif'):
        DATASETS['flood_s1'](root_of(path), **arguments)


@pytest.mark.parametrize(
    ('prefix', 'arguments'), [('SL2_IVV', {}), ('MS1_IVV', {'bands': ['VH']}), ('MK0_MNA', {})]
)
def test_a_missing_file_that_nobody_reads_does_no_harm(
    copy: Copy, prefix: str, arguments: dict[str, Any]
) -> None:
    path = copy('flood_s1')
    for lost in (path.parent / 'data').rglob(f'{prefix}_*.tif'):
        lost.unlink()
    dataset = DATASETS['flood_s1'](root_of(path), **arguments)
    assert dataset[0]['image'].ndim == 4


def test_a_flood_with_two_files_of_one_kind_is_named(copy: Copy) -> None:
    path = copy('flood_s1')
    folder = path.parent / 'data' / DATASETS['flood_s1'](root_of(path)).names[1]
    (image,) = folder.glob('MS1_IVV_*.tif')
    shutil.copy(image, folder / 'MS1_IVV_118_01_20200101.tif')
    with refused(root_of(path), folder, image.name, 'MS1_IVV_118_01_20200101.tif'):
        DATASETS['flood_s1'](root_of(path))


def test_bands_of_a_flood_on_two_grids_are_named(copy: Copy) -> None:
    path = copy('flood_s1')
    dataset = DATASETS['flood_s1'](root_of(path))
    (image,) = (path.parent / 'data' / dataset.names[1]).glob('MS1_IVH_*.tif')
    rewrite(image, lambda pixels: pixels[:, :32])
    with refused(root_of(path), image.with_name(image.name.replace('IVH', 'IVV')), 'grid'):
        dataset[1]


def test_images_of_a_flood_of_two_sizes_are_named(copy: Copy) -> None:
    path = copy('flood_s1')
    dataset = DATASETS['flood_s1'](root_of(path))
    images = list((path.parent / 'data' / dataset.names[1]).glob('SL1_I*.tif'))
    assert len(images) == 2
    for image in images:
        rewrite(image, lambda pixels: pixels[:, :32])
    with refused(root_of(path), path.parent / 'data' / dataset.names[1]):
        dataset[1]


def test_a_mask_of_a_flood_of_another_size_is_named(copy: Copy) -> None:
    path = copy('flood_s1')
    dataset = DATASETS['flood_s1'](root_of(path))
    (mask,) = (path.parent / 'data' / dataset.names[1]).glob('MK0_MLU_*.tif')
    rewrite(mask, lambda pixels: pixels[:, :32])
    with refused(root_of(path), mask, '[32, 64]', '[64, 64]'):
        dataset[1]


# LCZ


def changed(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Write the file anew with other arrays."""
    with h5py.File(path) as file:
        arrays = {key: file[key][:] for key in file}
    change(arrays)
    with h5py.File(path, 'w') as file:
        for key, array in arrays.items():
            file[key] = array


@pytest.mark.parametrize('keep', [0.0, 0.3, 0.999])
def test_a_truncated_h5_file_is_named(copy: Copy, keep: float) -> None:
    path = copy('lcz_s2')
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with refused(root_of(path), path, 'cut off'):
        DATASETS['lcz_s2'](root_of(path))


def test_a_text_called_h5_is_named(copy: Copy) -> None:
    path = copy('lcz_s2')
    path.write_text('404: not found\n' * 1000)
    with refused(root_of(path), path, 'no HDF5'):
        DATASETS['lcz_s2'](root_of(path))


@pytest.mark.parametrize(
    'row', [[1, 1] + [0] * 15, [0] * 17, [2] + [0] * 16, [1, 1, -1] + [0] * 14]
)
def test_a_label_row_that_does_not_name_one_class_is_named(copy: Copy, row: list[int]) -> None:
    path = copy('lcz_s2')

    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays['label'] = arrays['label'].astype('int8')
        arrays['label'][3] = row

    changed(path, change)
    with refused(root_of(path), path, 'exactly one class'):
        DATASETS['lcz_s2'](root_of(path))


@pytest.mark.parametrize('key', ['sen2', 'label'])
def test_a_missing_key_is_named(copy: Copy, key: str) -> None:
    path = copy('lcz_s2')
    changed(path, lambda arrays: arrays.pop(key))
    with refused(root_of(path), path, key):
        DATASETS['lcz_s2'](root_of(path))


@pytest.mark.parametrize(
    ('key', 'change'),
    [
        ('sen2', lambda array: array[..., :8]),
        ('sen2', lambda array: array.transpose(0, 3, 1, 2)),
        ('sen2', lambda array: array[:, :16]),
        ('sen2', lambda array: array[0]),
        ('label', lambda array: array[:, :16]),
        ('label', lambda array: array.argmax(1)),
    ],
)
def test_arrays_of_another_shape_are_named(copy: Copy, key: str, change: Any) -> None:
    path = copy('lcz_s2')
    changed(path, lambda arrays: arrays.update({key: change(arrays[key])}))
    with refused(root_of(path), path, key, 'wanted (N, '):
        DATASETS['lcz_s2'](root_of(path))


def test_more_images_than_labels_are_named(copy: Copy) -> None:
    path = copy('lcz_s2')
    changed(path, lambda arrays: arrays.update(label=arrays['label'][:-1]))
    with refused(root_of(path), path, '17 images', '16 labels'):
        DATASETS['lcz_s2'](root_of(path))


def test_a_file_of_no_samples_is_named(copy: Copy) -> None:
    path = copy('lcz_s2')
    changed(path, lambda arrays: arrays.update({k: v[:0] for k, v in arrays.items()}))
    with refused(root_of(path), path):
        DATASETS['lcz_s2'](root_of(path))


def spoil_chunk(path: Path, index: int) -> None:
    """Overwrite the stored bytes of one image."""
    with h5py.File(path) as file:
        chunk = file['sen2'].id.get_chunk_info(index)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)


def test_a_spoilt_image_in_an_h5_file_is_named(copy: Copy) -> None:
    path = copy('lcz_s2')
    spoil_chunk(path, 3)
    dataset = DATASETS['lcz_s2'](root_of(path))
    assert dataset[2]['image'].isfinite().all()
    with refused(root_of(path), path):
        dataset[3]


@pytest.mark.parametrize('task', ['lcz_s2', 'flood_s1'])
def test_verify_goes_on_after_a_spoilt_sample(copy: Copy, task: str) -> None:
    path = copy(task)
    if task == 'lcz_s2':
        spoil_chunk(path, 1)
    else:
        folder = path.parent / 'data' / DATASETS[task](root_of(path)).names[1]
        for image in folder.glob('SL1_I*.tif'):
            rewrite(image, lambda pixels: pixels[:, :32])
    train, *others = verify(DATASETS[task], root_of(path), limit=0)
    assert train.read == train.samples - 1
    assert all(report.read == report.samples for report in others)


def test_a_missing_h5_file_is_not_found(copy: Copy) -> None:
    path = copy('lcz_s2')
    path.unlink()
    with refused(root_of(path), root_of(path), error=DatasetNotFoundError):
        DATASETS['lcz_s2'](root_of(path))
    assert len(DATASETS['lcz_s2'](root_of(path), 'val')) == 17


@pytest.mark.parametrize('folder', ['.', 'lcz_s2', 'lcz_s1s2'])
def test_h5_files_are_found_where_either_project_puts_them(
    copy: Copy, tmp_path: Path, folder: str
) -> None:
    root = tmp_path / 'elsewhere'
    shutil.copytree(root_of(copy('lcz_s2')) / 'lcz_s2', root / folder, dirs_exist_ok=True)
    assert DATASETS['lcz_s2'].is_extracted(root)
    assert len(DATASETS['lcz_s2'](root, 'test')) == 17
