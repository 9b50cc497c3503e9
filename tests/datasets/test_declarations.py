"""The declarations against the published numbers, written down here a second time by hand."""

import pytest

from torchgeo_copernicus.datasets import TASKS

HOST = 'https://huggingface.co/datasets/wangyi111/Copernicus-Bench/resolve/'
REVISION = '9d252acd3aa0e3da3128e05c6f028647f0e48e5f'
MEAN = {
    'B01': 1353.7, 'B02': 1117.2, 'B03': 1041.8, 'B04': 946.5, 'B05': 1199.1,
    'B06': 2003.0, 'B07': 2374.0, 'B08': 2301.2,
    'B8A': 2599.7, 'B09': 732.1, 'B10': 12.1, 'B11': 1820.6, 'B12': 1118.2,
}  # fmt: skip
STD = {
    'B01': 897.3, 'B02': 736.0, 'B03': 684.8, 'B04': 620.0, 'B05': 791.9,
    'B06': 1341.3, 'B07': 1595.4, 'B08': 1545.5,
    'B8A': 1750.1, 'B09': 475.1, 'B10': 98.3, 'B11': 1216.5, 'B12': 736.7,
}  # fmt: skip


def test_cloud_s2_is_declared_as_published() -> None:
    task = TASKS['cloud_s2']
    assert task.archives[0].url == f'{HOST}{REVISION}/l1_cloud_s2/cloud_s2.zip'
    assert task.archives[0].name == 'cloud_s2.zip'
    assert (
        task.archives[0].sha256
        == '38a371b10ad66a6eb702179b2023b1874caf81a1f8dc72ccbfdfd1701acabaef'
    )
    assert task.split_sizes == {'train': 1699, 'val': 567, 'test': 551}
    assert (task.native_size, task.model_size, task.kernel_size) == (512, 512, 16)
    assert (task.kind, task.metric, task.license) == ('segmentation', 'mIoU', 'CC0-1.0')
    assert task.classes == ('Clear', 'Thick Cloud', 'Thin Cloud', 'Cloud Shadow')
    assert len(set(task.colors)) == 4
    assert task.published['Copernicus-FM ViT-B/16'] == (66.7, 0.1)
    recipe = task.recipe
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay) == ('AdamW', 1e-3, 0.01)
    assert (recipe.batch_size, recipe.epochs) == (16, 50)


def test_eurosat_s2_is_declared_as_published() -> None:
    task = TASKS['eurosat_s2']
    assert task.archives[0].url == f'{HOST}{REVISION}/l2_eurosat_s1s2/eurosat_s2.zip'
    assert task.archives[0].name == 'eurosat_s2.zip'
    assert (
        task.archives[0].sha256
        == 'b78f2a2e4e059c0a5d6565335a447465de7468b7f8472835a0d406e6968a15a0'
    )
    assert task.split_sizes == {'train': 16200, 'val': 5400, 'test': 5400}
    assert (task.native_size, task.model_size, task.kernel_size) == (64, 224, 16)
    assert (task.kind, task.metric, task.license) == ('classification', 'OA', 'MIT')
    assert list(task.classes) == sorted(task.classes)
    assert len(task.classes) == 10
    assert task.published['Copernicus-FM ViT-B/16'] == (97.9, 0.1)
    recipe = task.recipe
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay) == ('SGD', 0.1, 1e-4)
    assert (recipe.batch_size, recipe.epochs) == (64, 50)


@pytest.mark.parametrize('name', ['cloud_s2', 'eurosat_s2'])
def test_statistics_are_those_of_the_benchmark_not_of_the_pretraining(name: str) -> None:
    task = TASKS[name]
    (statistics,) = task.statistics
    assert statistics.mean == MEAN
    assert statistics.std == STD
    assert statistics.mean != task.sensor.statistics.mean
    assert list(task.bands) == list(MEAN)
    assert sorted(task.stored_bands) == sorted(MEAN)


def test_every_task_is_found_under_its_own_name() -> None:
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}
