"""The parts of the climate study: regression, features of coordinates, and splits."""

from __future__ import annotations

import numpy as np
import pytest

from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.embedding.climate.coordinates import centres, fourier
from torchgeo_copernicus.embedding.climate.published import PUBLISHED, TARGETS
from torchgeo_copernicus.embedding.climate.regression import STRENGTHS, fit, rmse
from torchgeo_copernicus.embedding.climate.splits import split_cells

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)) * [1, 10, 1e4, 1e-3, 1] + [0, 5, 1e5, 0, 1]
Y = X @ RNG.normal(size=(5, 3)) + RNG.normal(size=(60, 3)) * 100


def test_least_squares_is_that_of_scikit_learn() -> None:
    linear = pytest.importorskip('sklearn.linear_model')
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    wanted = linear.LinearRegression().fit(scaled, Y).predict(scaled)
    np.testing.assert_allclose(fit(X, Y).predict(X), wanted, rtol=1e-8, atol=1e-6)
    ridge = linear.Ridge(alpha=0.1 * len(X)).fit(scaled, Y).predict(scaled)
    np.testing.assert_allclose(fit(X, Y, 0.1).predict(X), ridge, rtol=1e-8)


def test_features_are_standardised_on_the_training_cells_alone() -> None:
    model = fit(X[:30], Y[:30], 0.1)
    np.testing.assert_allclose(model.mean, X[:30].mean(axis=0))
    np.testing.assert_allclose(model.std, X[:30].std(axis=0))


def test_features_that_never_change_or_repeat_others_do_no_harm() -> None:
    odd = np.column_stack([X, np.full(len(X), 0.1), X[:, 0], 2 * X[:, 1] + 3])
    new = np.column_stack([X + 1, np.full(len(X), 0.1), X[:, 0] + 1, 2 * X[:, 1] + 5])
    np.testing.assert_allclose(fit(odd, Y).predict(new), fit(X, Y).predict(X + 1), rtol=1e-6)
    assert np.isfinite(fit(np.ones((4, 2)), Y[:4]).predict(np.ones((4, 2)))).all()


def test_the_ridge_is_chosen_on_the_validation_cells_for_each_target() -> None:
    wide, targets = RNG.normal(size=(40, 30)), RNG.normal(size=(40, 2))
    targets[:, 0] = wide[:, 0]
    train, val = slice(0, 35), slice(35, 40)
    model = fit(wide[train], targets[train], 'validation', wide[val], targets[val])
    errors = np.stack(
        [
            rmse(fit(wide[train], targets[train], s).predict(wide[val]), targets[val])
            for s in STRENGTHS
        ]
    )
    np.testing.assert_allclose(
        rmse(model.predict(wide[val]), targets[val]), errors.min(axis=0), atol=1e-12
    )
    assert model.ridge[0] < model.ridge[1]
    assert model.ridge[1] == STRENGTHS[errors[:, 1].argmin()]


def test_what_cannot_be_fitted_is_refused() -> None:
    for ridge in (-1, True, 'best', float('inf'), None):
        with pytest.raises(ValueError, match='ridge is'):
            fit(X, Y, ridge)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='needs validation cells'):
        fit(X, Y, 'validation')
    with pytest.raises(ValueError, match='wanted two cells'):
        fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match='not finite'):
        fit(np.where(X > 1e5, np.nan, X), Y)


def test_centres_are_those_of_the_grid() -> None:
    ids = np.array([0, 772176, 906994, 1038239], np.int32)
    wanted = [(Cell(int(one)).longitude, Cell(int(one)).latitude) for one in ids]
    np.testing.assert_array_equal(centres(ids), wanted)


def test_fourier_features_do_not_jump_at_the_date_line() -> None:
    west, east = np.array([[-180.0, 45.0]]), np.array([[180.0, 45.0]])
    np.testing.assert_allclose(fourier(west, 8), fourier(east, 8), atol=1e-9)
    found = fourier(np.array([[30.0, 60.0]]), 2)
    wanted = np.sin(np.radians([30, 60, 60, 120])), np.cos(np.radians([30, 60, 60, 120]))
    np.testing.assert_allclose(found[0], np.concatenate(wanted))
    for wrong in (0, 11, 2.0):
        with pytest.raises(ValueError, match='frequencies'):
            fourier(west, wrong)  # type: ignore[arg-type]


PLACES = np.stack([RNG.uniform(-180, 180, 3000), RNG.uniform(-90, 90, 3000)], axis=1)


@pytest.mark.parametrize('by', ['random', 'blocks'])
def test_every_cell_is_in_one_part_and_a_seed_gives_one_split(by: str) -> None:
    split = split_cells(PLACES, 3, by)  # type: ignore[arg-type]
    together = np.concatenate([split.train, split.val, split.test])
    np.testing.assert_array_equal(np.sort(together), np.arange(3000))
    sizes = np.array([len(split.train), len(split.val), len(split.test)])
    np.testing.assert_allclose(sizes / 3000, (0.6, 0.2, 0.2), atol=0 if by == 'random' else 0.01)
    again, other = split_cells(PLACES, 3, by), split_cells(PLACES, 4, by)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.test, split.test)
    assert not np.array_equal(other.test, split.test)


def test_cells_of_a_block_stay_together() -> None:
    split = split_cells(PLACES, 0, 'blocks', block_deg=30)
    block = [tuple(one) for one in np.floor(PLACES / 30).astype(int).tolist()]
    parts = [{block[i] for i in part} for part in (split.train, split.val, split.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    random = split_cells(PLACES, 0)
    assert {block[i] for i in random.train} & {block[i] for i in random.test}


def test_wrong_splits_are_refused() -> None:
    for shares in ((0.5, 0.5), (0.6, 0.2, 0.3), (1.0, 0.0, 0.0), 'abc', (0.5, True, 0.5), 3):
        with pytest.raises(ValueError, match='shares is'):
            split_cells(PLACES, 0, shares=shares)  # type: ignore[arg-type]
    for block in (0.1, 200, '10', True):
        with pytest.raises(ValueError, match='block_deg is'):
            split_cells(PLACES, 0, 'blocks', block_deg=block)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown split 'rows'"):
        split_cells(PLACES, 0, 'rows')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='smaller blocks'):
        split_cells(PLACES, 0, 'blocks', block_deg=180)
    with pytest.raises(ValueError, match='seed'):
        split_cells(PLACES, -1)


def test_published_numbers_are_those_of_the_table() -> None:
    assert len(TARGETS) == 12
    assert PUBLISHED['Embed']['sp mean'] == (1627.21, 30.13)
    assert PUBLISHED['Coord raw']['t2m mean'] == (8.36, 0)
    assert PUBLISHED['Embed + coord']['v10 std'] == (0.43, 0)
    assert PUBLISHED['Coord SatCLIP']['msl std'] == (110.71, 0.41)
    assert {len(row) for row in PUBLISHED.values()} == {12}
