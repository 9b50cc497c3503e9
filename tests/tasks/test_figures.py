"""Figures for people: the right panels, names and colours."""

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchgeo_copernicus.datasets import TASKS
from torchgeo_copernicus.datasets.bench.composite import MISSING
from torchgeo_copernicus.datasets.bench.panels import IGNORED, WRONG
from torchgeo_copernicus.datasets.bench.task import Target
from torchgeo_copernicus.tasks.figures import (
    Example,
    agreement_figure,
    classification_figure,
    confusion_figure,
    multilabel_figure,
    predictions_figure,
    regression_figure,
    segmentation_figure,
)

CLASSES = ('clear', 'cloud', 'shadow')
COLORS = ('#00ff00', '#ffffff', '#000080')
TARGET = Target('Biomass', 'Mg/ha', 90.0, 110.0, 'viridis', 'nearest')


def rgb(size: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0, 1, (size, size, 3)).astype(np.float32)


def label_maps(n: int) -> list[Example]:
    truth = np.arange(64).reshape(8, 8) % 3
    truth[0] = -100
    return [Example(rgb(), truth, np.full((8, 8), i % 3)) for i in range(n)]


def chips(*pairs: tuple[int, int]) -> list[Example]:
    return [Example(rgb(), np.array(truth), np.array(found)) for truth, found in pairs]


def value_maps(n: int) -> list[Example]:
    truth = np.arange(64, dtype=np.float32).reshape(8, 8)
    truth[0] = np.nan
    return [Example(rgb(), truth + i, np.full((8, 8), 100.0 * i)) for i in range(n)]


def painted(figure: Figure, index: int) -> NDArray[np.float64]:
    """The colours that a panel shows, `[H, W, 4]`."""
    image = figure.axes[index].images[0]
    return np.asarray(image.to_rgba(np.asarray(image.get_array())))


@pytest.mark.parametrize('n', [1, 3])
def test_segmentation_has_a_row_per_example_and_a_legend(n: int) -> None:
    figure = segmentation_figure(label_maps(n), CLASSES, COLORS, 'Cloud-S2')
    assert len(figure.axes) == 3 * n
    assert [axis.get_title() for axis in figure.axes[:3]] == ['image', 'truth', 'prediction']
    assert [text.get_text() for text in figure.legends[0].get_texts()][:3] == list(CLASSES)
    faces = [patch.get_facecolor() for patch in figure.legends[0].get_patches()][:3]
    assert faces == [matplotlib.colors.to_rgba(color) for color in COLORS]
    assert figure.get_suptitle() == 'Cloud-S2'


def test_every_label_has_the_colour_of_the_legend_and_ignored_pixels_have_none_of_them() -> None:
    examples = label_maps(2)
    figure = segmentation_figure(examples, CLASSES, COLORS, 't')
    palette = [matplotlib.colors.to_rgba(color) for color in COLORS]
    for row, example in enumerate(examples):
        for column, labels in ((1, example.truth), (2, example.prediction)):
            shown = painted(figure, 3 * row + column)
            for label in range(3):
                assert np.allclose(shown[labels == label], palette[label])
            for color in palette:
                assert not np.isclose(shown[labels == -100], color).all(-1).any()


def test_ignored_pixels_are_grey_and_in_the_legend() -> None:
    figure = segmentation_figure(label_maps(1), CLASSES, COLORS, 't')
    assert np.allclose(painted(figure, 1)[0, :, :3], matplotlib.colors.to_rgb(IGNORED))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*CLASSES, 'ignored']


def test_the_legend_of_23_classes_has_those_that_occur_and_lies_inside_the_figure() -> None:
    task = TASKS['lc100seg_s3']
    labels = np.arange(64).reshape(8, 8) % 23
    for truth, shown in ((labels, 23), (labels // 2, 12)):
        example = Example(rgb(), truth, truth)
        figure = segmentation_figure([example], task.classes, task.colors, 't')
        figure.draw_without_rendering()
        assert len(figure.legends[0].get_texts()) == shown
        box = figure.legends[0].get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < figure.axes[1].get_window_extent().y0 - box.height


def test_pictures_are_shown_as_they_were_made() -> None:
    examples = [Example(rgb() / 2, np.array(0), np.array(0))]
    shown = classification_figure(examples, CLASSES, 't').axes[0].images[0].get_array()
    assert np.array_equal(np.asarray(shown), examples[0].rgb), 'bright parts would burn out'


def test_a_label_absent_from_an_image_does_not_shift_the_colours() -> None:
    one = [Example(rgb(), np.full((8, 8), 2), np.full((8, 8), 1))]
    figure = segmentation_figure(one, CLASSES, COLORS, 't')
    assert np.allclose(painted(figure, 1), matplotlib.colors.to_rgba(COLORS[2]))
    assert np.allclose(painted(figure, 2), matplotlib.colors.to_rgba(COLORS[1]))


def test_classification_names_the_truth_and_marks_the_mistakes() -> None:
    figure = classification_figure(chips((0, 0), (1, 2), (2, 2), (0, 1), (1, 1)), CLASSES, 't')
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:5] == ['clear', 'cloud\nnot shadow', 'shadow', 'clear\nnot cloud', 'cloud']
    colors = [axis.title.get_color() for axis in figure.axes[:5]]
    assert colors == ['black', 'crimson', 'black', 'crimson', 'black']
    assert [len(axis.images) for axis in figure.axes] == [1] * 5 + [0] * 3
    assert [axis.axison for axis in figure.axes] == [True] * 5 + [False] * 3
    assert not any(len(axis.get_xticks()) for axis in figure.axes[:5])


@pytest.mark.parametrize('n', [1, 3])
def test_all_values_of_a_regression_have_one_scale_with_a_unit(n: int) -> None:
    figure = regression_figure(value_maps(n), TARGET, 'Biomass-S3')
    figure.draw_without_rendering()
    assert [axis.get_title() for axis in figure.axes[:3]] == ['image', 'truth', 'prediction']
    maps = [axis for index, axis in enumerate(figure.axes) if index % 3]
    assert len({axis.images[0].get_clim() for axis in maps}) == 1
    labels = [bar.get_ylabel() for axis in figure.axes for bar in axis.child_axes]
    assert labels == ['Biomass (Mg/ha)'] * n
    assert figure.get_suptitle() == 'Biomass-S3'


def test_nan_in_a_true_value_is_grey() -> None:
    figure = regression_figure(value_maps(2), TARGET, 't')
    shown = painted(figure, 1)[..., :3]
    assert np.allclose(shown[0], matplotlib.colors.to_rgb(MISSING))
    assert not np.isclose(shown[1:], matplotlib.colors.to_rgb(MISSING)).all(axis=-1).any()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['no data']


def test_the_error_in_the_title_leaves_unknown_pixels_out() -> None:
    truth = np.array([[0.0, 10.0], [20.0, np.nan]])
    figure = agreement_figure(truth, truth + 3, TARGET, 'Biomass-S3')
    figure.draw_without_rendering()
    axis = figure.axes[0]
    assert axis.get_title() == 'Biomass-S3: RMSE 3 Mg/ha, 3 pixels'
    assert axis.get_xlabel() == 'true Biomass (Mg/ha)'
    assert axis.get_ylabel() == 'predicted Biomass (Mg/ha)'
    # Equal scales, or the line of agreement is no diagonal.
    assert axis.get_xlim() == axis.get_ylim()
    assert np.array_equal(*np.asarray(axis.lines[0].get_data()))
    offsets = np.asarray(axis.collections[0].get_offsets())
    assert (offsets[:, 1] > offsets[:, 0]).all(), 'predicted is the vertical axis'


@pytest.mark.parametrize('value', [np.nan, 0.0])
def test_agreement_of_nothing_or_of_one_value_is_drawn(value: float) -> None:
    figure = agreement_figure(np.full(4, value), np.full(4, value), TARGET, 't')
    figure.draw_without_rendering()
    assert ('no values' in figure.axes[0].get_title()) == np.isnan(value)


def test_several_labels_are_marked_where_missed_or_wrong() -> None:
    names = ('water', 'forest', 'town', 'field')
    examples = [
        Example(rgb(), np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])),
        Example(rgb(), np.zeros(4, int), np.zeros(4, int)),
    ]
    figure = multilabel_figure(examples, names, 't')
    lists = [[(text.get_text(), text.get_color()) for text in axis.texts] for axis in figure.axes]
    assert lists[1] == [('water', 'black'), ('- forest', WRONG), ('+ town', WRONG)]
    assert lists[3] == [('none', 'black')]
    assert [len(axis.images) for axis in figure.axes] == [1, 0, 1, 0]


@pytest.mark.parametrize('name', ['bigearthnet_s2', 'lc100cls_s3'])
def test_long_lists_of_long_names_do_not_overlap_or_leave_the_figure(name: str) -> None:
    classes = TASKS[name].classes
    everything = np.ones(len(classes), int)
    figure = multilabel_figure([Example(rgb(), everything, everything)] * 4, classes, 't')
    figure.draw_without_rendering()
    boxes = [[text.get_window_extent() for text in axis.texts] for axis in figure.axes]
    flat = [box for column in boxes for box in column]
    assert all(0 <= box.y0 and box.x1 <= figure.bbox.width for box in flat)
    right = figure.axes[2].get_window_extent().x0
    assert all(box.x1 <= right for box in boxes[1])
    assert boxes[1][-1].y0 > boxes[5][0].y1


def test_the_figure_suits_the_task() -> None:
    several = Example(rgb(), np.ones(19, int), np.ones(19, int))
    chip = chips((0, 1))[0]
    cases = {
        'flood_s1': label_maps(1)[0],
        'aq_no2_s5p': value_maps(1)[0],
        'bigearthnet_s1': several,
        'lcz_s2': chip,
    }
    counts = {
        name: len(predictions_figure([example], TASKS[name]).axes)
        for name, example in cases.items()
    }
    assert counts == {'flood_s1': 3, 'aq_no2_s5p': 3, 'bigearthnet_s1': 4, 'lcz_s2': 4}


def test_confusion_has_the_truth_in_rows() -> None:
    confusion = np.array([[5, 1, 0], [0, 7, 0], [2, 0, 0]])
    figure = confusion_figure(confusion, CLASSES, 't')
    axis = figure.axes[0]
    assert axis.get_ylabel() == 'true'
    assert axis.get_xlabel() == 'predicted'
    assert [label.get_text() for label in axis.get_xticklabels()] == list(CLASSES)
    assert [label.get_text() for label in axis.get_yticklabels()] == list(CLASSES)
    # A text's position is (x, y) = (column, row).
    texts = {text.get_position()[::-1]: text.get_text() for text in axis.texts}
    assert texts == {(0, 0): '5', (0, 1): '1', (1, 1): '7', (2, 0): '2'}
    shares: NDArray[np.float64] = np.asarray(axis.images[0].get_array())
    assert np.allclose(shares, np.array([[5 / 6, 1 / 6, 0], [0, 1, 0], [1, 0, 0]]))


def test_confusion_of_a_class_that_never_occurs_is_drawn_without_a_warning() -> None:
    confusion_figure(np.zeros((3, 3), np.int64), CLASSES, 't')


def test_counts_can_be_read_on_dark_cells_too() -> None:
    figure = confusion_figure(np.diag([100, 100, 100]), CLASSES, 't')
    cell, text = painted(figure, 0)[0, 0], figure.axes[0].texts[0].get_color()
    weights = np.array([0.2126, 0.7152, 0.0722])
    linear = [np.asarray(matplotlib.colors.to_rgb(c)) ** 2.2 @ weights for c in (cell[:3], text)]
    # Contrast ratio that WCAG asks of normal text.
    assert (max(linear) + 0.05) / (min(linear) + 0.05) >= 4.5
