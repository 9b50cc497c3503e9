"""Figures for people: the right panels, names and colours."""

from itertools import pairwise

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchgeo_copernicus.tasks.figures import (
    Example,
    classification_figure,
    confusion_figure,
    segmentation_figure,
    stretch,
)

CLASSES = ('clear', 'cloud', 'shadow')
COLORS = ('#00ff00', '#ffffff', '#000080')


def rgb(size: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0, 4000, (size, size, 3)).astype(np.float32)


def label_maps(n: int) -> list[Example]:
    truth = np.arange(64).reshape(8, 8) % 3
    truth[0] = -100
    return [Example(rgb(), truth, np.full((8, 8), i % 3)) for i in range(n)]


def chips(*pairs: tuple[int, int]) -> list[Example]:
    return [Example(rgb(), np.array(truth), np.array(found)) for truth, found in pairs]


def painted(figure: Figure, index: int) -> NDArray[np.float64]:
    """The colours that a panel shows, `[H, W, 4]`."""
    image = figure.axes[index].images[0]
    return np.asarray(image.to_rgba(np.asarray(image.get_array())))


def test_stretch_gives_0_to_1_whatever_the_scale_and_keeps_the_order() -> None:
    out = stretch(rgb())
    assert (out.min(), out.max()) == (0, 1)
    assert np.allclose(stretch(rgb() * 1e-4 + 7), out, atol=1e-3)
    values = stretch(np.linspace(0, 1, 99, dtype=np.float32).reshape(-1, 1, 1).repeat(3, 2))
    assert all(a <= b for a, b in pairwise(values[:, 0, 0]))


def test_stretch_of_a_constant_or_partly_missing_image_is_finite_where_it_is_known() -> None:
    assert np.isfinite(stretch(np.full((4, 4, 3), 5, np.float32))).all()
    holed = rgb()
    holed[0] = np.nan
    assert np.isfinite(stretch(holed)[1:]).all()


@pytest.mark.parametrize('n', [1, 3])
def test_segmentation_has_a_row_per_example_and_a_legend_of_all_classes(n: int) -> None:
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
    assert not any(axis.axison for axis in figure.axes)


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
