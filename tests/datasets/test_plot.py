"""Pictures of single samples: what they show, and what must not fool anybody."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets import (
    TASKS,
    CopernicusBenchCloudS2,
    CopernicusBenchEuroSATS2,
    CopernicusBenchFloodS1,
)
from torchgeo_copernicus.datasets.bench.captions import caption
from torchgeo_copernicus.datasets.bench.composite import MISSING, composite, limits, stretch
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset
from torchgeo_copernicus.datasets.bench.panels import IGNORED, WRONG
from torchgeo_copernicus.datasets.bench.picture import draw

BOTH = pytest.mark.parametrize('dataset_type', [CopernicusBenchCloudS2, CopernicusBenchEuroSATS2])
ALL = pytest.mark.parametrize('name', TASKS)
SIZE = 12


def fake(name: str, dates: int | None = None, bands: Sequence[str] | None = None) -> Sample:
    """A sample of a task in physical units, of one image or of several dates."""
    task = TASKS[name]
    dates = 2 if task.kind == 'change' and dates is None else dates
    generator = torch.Generator().manual_seed(0)
    bands = task.bands if bands is None else bands
    mean, std = task.statistics[0].of(task.sensor.select(bands))
    noise = torch.rand((dates or 1, len(bands), SIZE, SIZE), generator=generator)
    image = torch.tensor(mean)[:, None, None] + torch.tensor(std)[:, None, None] * (noise - 0.5)
    image = image if min(mean) < 0 else image.abs() + 1e-6
    day = torch.tensor([11.58, 48.14, 18_000.0, task.sensor.gsd_m])
    sample: Sample = {'image': image, 'metadata': day.repeat(dates or 1, 1)}
    if dates is None:
        sample = {key: value[0] for key, value in sample.items()}
    classes = len(task.classes)
    if task.kind == 'regression':
        sample['mask'] = torch.rand((SIZE, SIZE), generator=generator) * 100
    elif task.has_label_maps:
        sample['mask'] = torch.arange(SIZE * SIZE).reshape(SIZE, SIZE) % classes
    elif task.kind == 'multilabel':
        sample['label'] = (torch.arange(classes) % 4 == 0).long()
    else:
        sample['label'] = torch.tensor(1)
    return sample


def drawn(
    name: str,
    sample: Sample,
    bands: Sequence[str] | None = None,
    titles: bool = True,
    suptitle: str | None = None,
) -> Figure:
    task = TASKS[name]
    return draw(task, task.bands if bands is None else bands, sample, titles, suptitle)


def pixels(axis: Axes) -> NDArray[np.float64]:
    """The colours that a panel shows, `[H, W, 3]`."""
    image = axis.images[0]
    array = image.get_array()
    assert array is not None
    return np.asarray(image.to_rgba(np.ma.filled(array, np.nan)))[..., :3]


def named(figure: Figure, title: str) -> Axes:
    return next(axis for axis in figure.axes if axis.get_title().startswith(title))


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for entry in figure.legends for text in entry.get_texts()]


def notes(figure: Figure) -> list[tuple[str, Any]]:
    return [(text.get_text(), text.get_color()) for axis in figure.axes for text in axis.texts]


@ALL
def test_every_task_is_drawn_with_and_without_a_prediction_and_titles(
    name: str, tmp_path: Path
) -> None:
    sample = fake(name)
    target = 'mask' if 'mask' in sample else 'label'
    predicted = {**sample, 'prediction': sample[target].clone()}
    for shown, titles in ((sample, True), (sample, False), (predicted, True), (predicted, False)):
        figure = drawn(name, shown, titles=titles)
        assert any(axis.get_title() or axis.texts for axis in figure.axes) == titles
    figure.savefig(tmp_path / 'picture.png', dpi=30)
    assert not plt.get_fignums(), 'a figure of pyplot is never freed'


@BOTH
def test_plot_draws_bands_in_another_order_alike(
    bench_root: Path, dataset_type: type[BenchDataset]
) -> None:
    pictures = []
    for bands in (None, ('B02', 'B12', 'B03', 'B04')):
        dataset = dataset_type(bench_root, bands=bands)
        pictures.append(pixels(dataset.plot(dataset[0]).axes[0]))
    assert np.array_equal(pictures[0], pictures[1])


@ALL
def test_file_order_of_bands_does_not_change_colours(name: str) -> None:
    task, image = TASKS[name], fake(name)['image']
    backwards = composite(task, task.bands[::-1], image.flip(-3))
    assert np.array_equal(composite(task, task.bands, image), backwards)


@BOTH
def test_plot_without_rgb_bands_raises(bench_root: Path, dataset_type: type[BenchDataset]) -> None:
    dataset = dataset_type(bench_root, bands=['B04', 'B03'])
    with pytest.raises(RGBBandsMissingError):
        dataset.plot(dataset[0])


def test_a_report_of_a_band_subset_shows_its_first_band_in_grey() -> None:
    bands = ('B12', 'B04')
    picture = composite(TASKS['eurosat_s2'], bands, fake('eurosat_s2', bands=bands)['image'])
    assert (picture.max(axis=-1) == picture.min(axis=-1)).all()
    assert picture.std() > 0.1


def test_red_is_red_and_green_is_green() -> None:
    task = TASKS['eurosat_s2']
    image = torch.full((len(task.bands), SIZE, SIZE), 1000.0)
    image[task.bands.index('B04'), :4] = 3000
    image[task.bands.index('B03'), 4:8] = 3000
    picture = composite(task, task.bands, image)
    assert (picture[:4].argmax(axis=-1) == 0).all()
    assert (picture[4:8].argmax(axis=-1) == 1).all()


@pytest.mark.parametrize('band', ['VV', 'VH'])
def test_one_polarisation_is_grey_and_said(band: str) -> None:
    figure = drawn('dfc2020_s1', fake('dfc2020_s1', bands=[band]), [band])
    shown = pixels(figure.axes[0])
    assert (shown[..., 0] == shown[..., 1]).all()
    assert band in figure.axes[0].get_xlabel()


def test_linear_power_is_drawn_as_decibels() -> None:
    task = TASKS['flood_s1']
    power = torch.ones(2, 2, SIZE, SIZE) * 10 ** torch.linspace(-3, 0, SIZE)
    red = composite(task, task.bands, power)[0, 0, :, 0]
    # Linear power would leave all but the brightest black.
    assert np.allclose(red[1:-1], np.linspace(0, 1, SIZE)[1:-1], atol=0.05)


@ALL
def test_a_normalised_image_has_the_colours_of_a_physical_one(name: str) -> None:
    task, image = TASKS[name], fake(name)['image']
    moments = [entry.of(task.sensor.select(task.bands)) for entry in task.statistics]
    mean, std = (torch.tensor(part)[..., None, None] for part in zip(*moments, strict=True))
    normal = (image - mean) / std
    normal = normal if image.ndim == 4 else normal[0]
    found, wanted = (composite(task, task.bands, values) for values in (normal, image))
    assert np.allclose(found, wanted, atol=0.01)


def test_rounding_errors_below_zero_do_not_pass_for_a_normalised_image() -> None:
    task, image = TASKS['flood_s1'], fake('flood_s1')['image']
    image[..., :4] = 0.0
    plain = composite(task, task.bands, image)
    image[..., :4] = -7e-9
    assert np.array_equal(composite(task, task.bands, image), plain)


@ALL
def test_a_nan_does_not_blank_the_picture(name: str) -> None:
    task, image = TASKS[name], fake(name)['image']
    plain = composite(task, task.bands, image)
    image[..., 0, 2, 3] = torch.nan
    image[..., 0, 5, 6] = torch.inf
    holed = composite(task, task.bands, image)
    if task.bands[0] in task.sensor.rgb:
        assert np.allclose(holed[..., 2, 3, :], to_rgb(MISSING))
        assert np.allclose(holed[..., 5, 6, :], to_rgb(MISSING))
        holed[..., 2, 3, :], holed[..., 5, 6, :] = plain[..., 2, 3, :], plain[..., 5, 6, :]
    assert np.allclose(holed, plain, atol=0.2)


VALUES = (torch.nan, 0.0, 0.05, -1.0)


@ALL
def test_an_image_of_one_value_makes_a_picture(name: str) -> None:
    task, image = TASKS[name], fake(name)['image']
    for value in VALUES:
        assert np.isfinite(composite(task, task.bands, torch.full_like(image, value))).all()


@pytest.mark.parametrize('value', VALUES)
def test_a_column_of_one_value_is_drawn_with_its_bar(value: float) -> None:
    sample = fake('aq_no2_s5p')
    sample['image'] = torch.full_like(sample['image'], value)
    drawn('aq_no2_s5p', sample).draw_without_rendering()


def test_pixels_filled_with_zero_before_resizing_are_no_data() -> None:
    sample = fake('biomass_s3')
    sample['image'][:, :, :4] = 0
    figure = drawn('biomass_s3', sample)
    assert np.allclose(pixels(figure.axes[0])[:, :4], to_rgb(MISSING))
    assert 'no data' in legend(figure)


def test_the_stretch_keeps_what_a_few_outliers_would_flatten() -> None:
    values = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    values[0, 0] = 1e6
    assert np.std(stretch(values, gamma=1)) > 0.25


def test_stretch_gives_0_to_1_whatever_the_scale_and_keeps_the_order() -> None:
    values = np.random.default_rng(0).uniform(0, 4000, (8, 8, 3)).astype(np.float32)
    out = stretch(values)
    assert (out.min(), out.max()) == (0, 1)
    assert np.allclose(stretch(values * 1e-4 + 7), out, atol=1e-3)
    assert (np.diff(stretch(np.sort(values.ravel()))) >= 0).all()


def test_stretch_of_a_constant_or_partly_missing_image_is_finite_where_it_is_known() -> None:
    assert np.isfinite(stretch(np.full((4, 4, 3), 5, np.float32))).all()
    holed = np.arange(48, dtype=np.float32).reshape(4, 4, 3)
    holed[0] = np.nan
    assert np.isfinite(stretch(holed)[1:]).all()
    assert limits(np.full(3, np.nan)) == (0, 1)


def test_both_dates_of_a_pair_use_one_stretch() -> None:
    task, image = TASKS['flood_s1'], fake('flood_s1')['image']
    image[1] *= 0.1  # The flood is dark, which a stretch of its own would hide.
    before, after = composite(task, task.bands, image)
    assert before[..., 0].mean() > after[..., 0].mean() + 0.4


def test_a_pair_says_which_is_before_and_when() -> None:
    sample = fake('flood_s1', dates=3)
    sample['metadata'][:, 2] += torch.tensor([0, 12, 24])
    titles = [axis.get_title() for axis in drawn('flood_s1', sample).axes]
    days = ['2019-04-14', '2019-04-26', '2019-05-08']
    assert titles[:3] == [
        f'{word}\n{day}' for word, day in zip(('before', 'before', 'after'), days, strict=True)
    ]
    assert titles[3:] == ['truth']


def test_repeated_dates_of_a_filled_series_are_not_drawn() -> None:
    sample = fake('lc100seg_s3', dates=4)
    sample['valid'] = torch.tensor([True, True, False, False])
    assert len(drawn('lc100seg_s3', sample).axes) == 2 + 1


def test_a_mean_over_a_season_is_not_called_an_image_of_its_first_day() -> None:
    figure = drawn('aq_no2_s5p', fake('aq_no2_s5p', dates=4))
    assert figure.axes[0].get_title() == 'mean from 2019-04-14'
    assert '4 means from 2019-04-14 on' in figure.get_suptitle()


def test_plot_does_not_draw_ignored_pixels_as_class_0(bench_root: Path) -> None:
    dataset = CopernicusBenchCloudS2(bench_root)
    sample = dataset[0]
    sample['mask'][:8] = -100
    panel = named(dataset.plot(sample), 'truth').images[0]
    clear, ignored = panel.to_rgba(np.array([0, -100]))
    assert np.allclose(clear, to_rgba(dataset.task.colors[0]), atol=0.01)
    assert not np.allclose(clear, ignored)


def test_ignored_pixels_are_grey_and_in_the_legend() -> None:
    sample = fake('cloud_s2')
    assert 'ignored' not in legend(drawn('cloud_s2', sample))
    sample['mask'][:3] = -100
    figure = drawn('cloud_s2', sample)
    assert np.allclose(pixels(named(figure, 'truth'))[:3], to_rgb(IGNORED))
    assert legend(figure)[-1] == 'ignored'


def test_the_legend_has_only_classes_of_truth_or_prediction() -> None:
    task, sample = TASKS['lc100seg_s3'], fake('lc100seg_s3')
    sample['mask'][:] = 3
    sample['prediction'] = torch.full((SIZE, SIZE), 7)
    assert legend(drawn('lc100seg_s3', sample)) == [task.classes[3], task.classes[7]]


@pytest.mark.parametrize('predicted', [False, True])
def test_a_legend_of_23_classes_lies_inside_the_figure(predicted: bool) -> None:
    sample = fake('lc100seg_s3')
    if predicted:
        sample['prediction'] = sample['mask']
    figure = drawn('lc100seg_s3', sample)
    figure.draw_without_rendering()
    assert len(legend(figure)) == 23
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert 0 <= box.y0 < box.y1 <= figure.bbox.height
    assert named(figure, 'truth').get_window_extent().height > figure.dpi


def test_nan_in_a_regression_is_grey() -> None:
    sample = fake('aq_no2_s5p')
    sample['mask'][:3] = torch.nan
    figure = drawn('aq_no2_s5p', sample)
    shown = pixels(named(figure, 'truth'))
    assert np.allclose(shown[:3], to_rgb(MISSING))
    assert not np.isclose(shown[3:], to_rgb(MISSING)).all(axis=-1).any()
    assert 'no data' in legend(figure)
    sample['mask'][:] = torch.nan
    drawn('aq_no2_s5p', sample).draw_without_rendering()


def test_truth_and_prediction_share_a_scale_with_a_unit() -> None:
    sample = fake('biomass_s3')
    sample['prediction'] = sample['mask'] * 3
    figure = drawn('biomass_s3', sample)
    truth, prediction = (named(figure, name) for name in ('truth', 'prediction'))
    assert truth.images[0].get_clim() == prediction.images[0].get_clim()
    (bar,) = prediction.child_axes
    assert bar.get_ylabel() == 'Above-ground biomass (Mg/ha)'
    assert not truth.child_axes


def test_a_column_has_a_bar_with_its_unit() -> None:
    (bar,) = drawn('aq_no2_s5p', fake('aq_no2_s5p')).axes[0].child_axes
    assert bar.get_ylabel() == 'tropospheric NO2 column (mol m-2)'


@pytest.mark.parametrize(('label', 'color'), [(1, 'black'), (2, WRONG)])
def test_a_wrong_class_is_red(label: int, color: str) -> None:
    sample = {**fake('eurosat_s2'), 'prediction': torch.tensor(label)}
    title = drawn('eurosat_s2', sample).axes[0].title
    classes = TASKS['eurosat_s2'].classes
    assert title.get_text() == f'truth: {classes[1]}\nprediction: {classes[label]}'
    assert title.get_color() == color


def test_wrong_ones_of_several_classes_are_red() -> None:
    task, sample = TASKS['bigearthnet_s2'], fake('bigearthnet_s2')
    sample['label'] = torch.zeros(19, dtype=torch.long)
    sample['label'][[0, 2]] = 1
    sample['prediction'] = torch.zeros(19, dtype=torch.long)
    sample['prediction'][[2, 3]] = 1
    assert notes(drawn('bigearthnet_s2', sample)) == [
        ('truth', 'dimgrey'),
        (task.classes[0], 'black'),
        (task.classes[2], 'black'),
        ('', 'black'),
        ('prediction', 'dimgrey'),
        (task.classes[2], 'black'),
        (task.classes[3], WRONG),
    ]


def test_a_list_of_all_classes_lies_inside_the_figure() -> None:
    sample = fake('bigearthnet_s2')
    sample['label'][:] = 1
    sample['prediction'] = sample['label']
    figure = drawn('bigearthnet_s2', sample)
    figure.draw_without_rendering()
    for axis in figure.axes:
        for text in axis.texts:
            box = text.get_window_extent()
            assert box.x1 <= figure.bbox.width
            assert box.y0 >= 0


def meta(*fields: float) -> Tensor:
    return torch.tensor(fields)


def test_the_title_tells_place_date_and_width() -> None:
    sample = fake('eurosat_s2')
    text = f'48.14 N, 11.58 E, 2019-04-14, {SIZE} px = 120 m'
    assert caption(TASKS['eurosat_s2'], sample) == f'EuroSAT-S2\n{text}'
    # Some archives count longitudes to 360.
    sample['metadata'] = meta(358.5, -3.25, torch.nan, 1000)
    assert caption(TASKS['eurosat_s2'], sample).endswith('\n3.25 S, 1.50 W, 12 px = 12.0 km')
    sample['metadata'] = meta(torch.nan, torch.nan, torch.nan, torch.nan)
    assert caption(TASKS['eurosat_s2'], sample) == 'EuroSAT-S2'
    del sample['metadata']
    assert caption(TASKS['eurosat_s2'], sample) == 'EuroSAT-S2'
    assert drawn('eurosat_s2', sample, suptitle='mine').get_suptitle() == 'mine'


@pytest.mark.parametrize(
    ('name', 'width', 'gsd', 'wanted'),
    [
        ('cloud_s2', 512, 10, '512 px = 5.1 km'),
        ('lc100seg_s3', 288, 300, '288 px = 28.8 km'),
        ('lc100cls_s3', 96, 300, '96 px = 28.8 km'),
        # What the published run told the encoder is not the truth.
        ('biomass_s3', 288, 600, '288 px = 28.8 km'),
        # Resized for the model.
        ('eurosat_s2', 224, 10, '224 px = 640 m'),
    ],
)
def test_the_width_on_the_ground_is_that_of_the_archive(
    name: str, width: int, gsd: float, wanted: str
) -> None:
    sample = {'image': torch.zeros(1, 4, width), 'metadata': meta(0, 0, 0, gsd)}
    assert caption(TASKS[name], sample).endswith(wanted)


def test_the_tasks_of_variants_name_their_own_classes(bench_root: Path) -> None:
    dataset = CopernicusBenchEuroSATS2(bench_root, class_order='torchgeo')
    sample = dataset[0]
    name = Path(sample['filename']).stem.split('_')[0]
    assert dataset.plot(sample).axes[0].get_title() == name


def test_flood_is_drawn_as_a_pair_by_default() -> None:
    assert CopernicusBenchFloodS1.task.kind == 'change'
    assert len(drawn('flood_s1', fake('flood_s1')).axes) == 3
