"""The report of a test, through Lightning's own Trainer and without TerraTorch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from lightning.pytorch import LightningDataModule
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor

from tests.tasks.tiny import Task, by_hand, make, trainer
from torchgeo_copernicus.datamodules import (
    CopernicusBenchCloudS2DataModule,
    CopernicusBenchEuroSATS2DataModule,
)
from torchgeo_copernicus.datamodules.bench import BenchDataModule
from torchgeo_copernicus.datasets.bench.composite import composite
from torchgeo_copernicus.tasks import report
from torchgeo_copernicus.tasks.report import TestReport

MODULES = [CopernicusBenchCloudS2DataModule, CopernicusBenchEuroSATS2DataModule]
BOTH = pytest.mark.parametrize('module_type', MODULES)


@BOTH
def test_the_report_holds_metrics_confusion_and_two_pictures(
    bench_root: Path, tmp_path: Path, module_type: type[BenchDataModule]
) -> None:
    module = make(module_type, bench_root)
    task = Task(module)
    logged = trainer(tmp_path, TestReport()).test(task, module, verbose=False)
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert found['task'] == module.task.name
    assert found['metrics'] == logged[0] == {'test/metric': 0.5}
    assert found['classes'] == list(module.task.classes)
    assert found['versions'].keys() >= {'python', 'torch', 'torchgeo', 'torchgeo-copernicus'}
    wanted = by_hand(task, module)
    assert found['confusion (truth in rows)'] == wanted.tolist()
    # More than one row and column, so that a transposed matrix would be found.
    assert not np.array_equal(wanted, wanted.T)
    for name in ('predictions.png', 'confusion.png'):
        picture = imread(tmp_path / name)
        assert min(picture.shape[:2]) > 150
        assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 20


def test_ignored_pixels_are_not_counted(bench_copy: Path, tmp_path: Path) -> None:
    module = make(MODULES[0], bench_copy)
    total = by_hand(Task(module), module).sum()
    name = (bench_copy / 'cloud_s2' / 'test.csv').read_text().split()[0]
    path = bench_copy / 'cloud_s2' / 'cloud' / f'{name}.tif'
    with rasterio.open(path) as file:
        profile, mask = file.profile, file.read().astype('int16')
    mask[:, :32] = -100
    path.unlink()
    with rasterio.open(path, 'w', **(profile | {'dtype': 'int16'})) as file:
        file.write(mask)
    task = Task(module)
    trainer(tmp_path, TestReport()).test(task, module, verbose=False)
    found = json.loads((tmp_path / 'metrics.json').read_text())['confusion (truth in rows)']
    assert found == by_hand(task, module).tolist()
    assert np.sum(found) == total - 24 * 48


def test_a_second_test_does_not_count_the_first_one_again(bench_root: Path, tmp_path: Path) -> None:
    module = make(MODULES[1], bench_root)
    task, runner = Task(module), trainer(tmp_path, TestReport())
    for _ in range(2):
        runner.test(task, module, verbose=False)
        found = json.loads((tmp_path / 'metrics.json').read_text())
        assert np.sum(found['confusion (truth in rows)']) == 10


def test_metrics_of_the_training_are_not_reported_as_those_of_the_test(
    bench_root: Path, tmp_path: Path
) -> None:
    module = make(MODULES[1], bench_root)
    task, runner = Task(module), trainer(tmp_path, TestReport(), max_steps=1, limit_val_batches=0)
    runner.fit(task, module)
    assert not (tmp_path / 'metrics.json').exists()
    runner.test(task, module, verbose=False)
    assert json.loads((tmp_path / 'metrics.json').read_text())['metrics'] == {'test/metric': 0.5}


def test_a_metric_that_is_not_a_number_does_not_make_the_json_invalid(
    bench_root: Path, tmp_path: Path
) -> None:
    module = make(MODULES[1], bench_root)
    trainer(tmp_path, TestReport()).test(Task(module, metric=float('nan')), module, verbose=False)

    def refuse(name: str) -> None:
        pytest.fail(f'{name} is no JSON')

    json.loads((tmp_path / 'metrics.json').read_text(), parse_constant=refuse)


def test_nothing_stays_hooked_to_the_model_after_a_test_or_a_crash(
    bench_root: Path, tmp_path: Path
) -> None:
    module = make(MODULES[1], bench_root)
    for crash in (False, True):
        task = Task(module, crash=crash)
        try:
            trainer(tmp_path, TestReport()).test(task, module, verbose=False)
        except RuntimeError:
            assert crash
        assert not task._forward_hooks
        assert not task.model._forward_hooks


@BOTH
@pytest.mark.parametrize('bands', [None, ['B02', 'B12', 'B03', 'B04'], ['B8A', 'B04']])
def test_the_pictures_show_images_from_the_whole_split_as_they_are_in_the_files(
    bench_root: Path,
    tmp_path: Path,
    module_type: type[BenchDataModule],
    bands: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 64 if module_type is MODULES[0] else 32
    module = make(module_type, bench_root, bands=bands, image_size=size, batch_size=2)
    kept: list[Any] = []
    draw: Callable[..., Figure] = report.predictions_figure

    def keep(examples: Any, *rest: Any) -> Figure:
        kept.extend(examples)
        return draw(examples, *rest)

    monkeypatch.setattr(report, 'predictions_figure', keep)
    trainer(tmp_path, TestReport(examples=5)).test(Task(module), module, verbose=False)
    dataset: Any = module.dataset_type(bench_root, 'test', bands=bands)
    # Spread evenly, because a split file may be sorted by class.
    positions = sorted(set(np.linspace(0, len(dataset) - 1, 5, dtype=int).tolist()))
    assert len(kept) == len(positions)
    for example, sample in zip(kept, (dataset[i] for i in positions), strict=True):
        wanted = composite(dataset.task, dataset.bands, sample['image'])
        assert np.allclose(example.rgb, wanted, atol=1e-3)
        assert np.array_equal(
            example.truth, sample['mask'] if 'mask' in sample else sample['label']
        )


def test_the_directory_is_made_where_asked_for(bench_root: Path, tmp_path: Path) -> None:
    module = make(MODULES[1], bench_root)
    wanted = tmp_path / 'a' / 'b'
    trainer(tmp_path, TestReport(str(wanted))).test(Task(module), module, verbose=False)
    assert {path.name for path in wanted.iterdir()} == {
        'metrics.json',
        'predictions.png',
        'confusion.png',
    }
    assert not (tmp_path / 'metrics.json').exists()


def test_a_foreign_datamodule_or_none_raises_before_the_test(
    bench_root: Path, tmp_path: Path
) -> None:
    class Foreign(LightningDataModule):
        def test_dataloader(self) -> Any:
            return module.test_dataloader()

    module = make(MODULES[1], bench_root)
    module.setup('test')
    with pytest.raises(ValueError, match=r'torchgeo_copernicus, got Foreign'):
        trainer(tmp_path, TestReport()).test(Task(module), Foreign(), verbose=False)
    with pytest.raises(ValueError, match='torchgeo_copernicus'):
        trainer(tmp_path, TestReport()).test(Task(module), module.test_dataloader(), verbose=False)


def test_tiles_are_not_counted_as_images(bench_root: Path, tmp_path: Path) -> None:
    class Tiled(Task):
        def logits(self, batch: dict[str, Any]) -> Tensor:
            return super().logits({'image': batch['image'][:, :, :24, :24]})

    module = make(MODULES[0], bench_root)
    with pytest.warns(UserWarning, match='tiles, not whole predictions'):
        trainer(tmp_path, TestReport()).test(Tiled(module), module, verbose=False)
    written = json.loads((tmp_path / 'metrics.json').read_text())
    assert written['confusion (truth in rows)'] is None
    assert {path.name for path in tmp_path.glob('*.png')} == set()


@pytest.mark.parametrize('examples', [0, -3])
def test_no_examples_raise(examples: int) -> None:
    with pytest.raises(ValueError, match=str(examples)):
        TestReport(examples=examples)
