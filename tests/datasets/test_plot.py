"""Pictures of single samples, drawn by TorchGeo's `plot`."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_copernicus.datasets import CopernicusBenchCloudS2, CopernicusBenchEuroSATS2
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset

BOTH = pytest.mark.parametrize('dataset_type', [CopernicusBenchCloudS2, CopernicusBenchEuroSATS2])


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    plt.switch_backend('agg')
    yield
    plt.close('all')


@BOTH
def test_plot_draws_a_sample_with_and_without_a_prediction(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    dataset = dataset_type(bench_root)
    sample = dataset[0]
    target = 'mask' if 'mask' in sample else 'label'
    plain, full = (
        dataset.plot(sample),
        dataset.plot({**sample, 'prediction': sample[target]}, suptitle='x'),
    )
    assert isinstance(plain, Figure)
    assert isinstance(full, Figure)
    assert len(full.axes) - len(plain.axes) == (target == 'mask')
    if target == 'label':
        assert 'Prediction: AnnualCrop' in full.axes[0].get_title()


@BOTH
def test_plot_draws_bands_in_another_order_alike(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    pictures = []
    for bands in (None, ('B02', 'B12', 'B03', 'B04')):
        dataset = dataset_type(bench_root, bands=bands)
        pictures.append(np.asarray(dataset.plot(dataset[0]).axes[0].images[0].get_array()))
    assert np.array_equal(pictures[0], pictures[1])


@BOTH
def test_plot_without_rgb_bands_raises(bench_root: Path, dataset_type: type[BenchDataset]) -> None:
    dataset = dataset_type(bench_root, bands=['B04', 'B03'])
    with pytest.raises(RGBBandsMissingError):
        dataset.plot(dataset[0])


def test_plot_does_not_draw_ignored_pixels_as_class_0(bench_root: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_root)
    sample = dataset[0]
    sample['mask'][:8] = -100
    drawn = dataset.plot(sample).axes[1].images[0]
    clear, ignored = drawn.to_rgba(np.array([0, -100]))
    assert np.allclose(clear, to_rgba(dataset.task.colors[0]), atol=0.01)
    assert not np.allclose(clear, ignored)
