"""Linear regression in closed form, in float64, on standardised features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Strength of the ridge: a number, or the one of `STRENGTHS` that is best on the validation cells.
Ridge = float | Literal['validation']
#: What is tried, relative to the number of training cells.
STRENGTHS = (0.0, *(10.0**power for power in range(-6, 3)))


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A fitted model: `(features - mean) / std @ weights + intercept`.

    Attributes:
        mean: Of the features of the training cells, `[F]`.
        std: Their standard deviation; 1 of those that never change, `[F]`.
        weights: `[F, T]`.
        intercept: `[T]`.
        ridge: Strength of the ridge for each target, `[T]`.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    ridge: NDArray[np.float64]

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the targets of cells, `[N, T]`."""
        scaled = (features.astype(np.float64) - self.mean) / self.std
        found: NDArray[np.float64] = scaled @ self.weights + self.intercept
        return found


def fit(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    ridge: Ridge = 0.0,
    val_features: NDArray[np.floating] | None = None,
    val_targets: NDArray[np.floating] | None = None,
) -> LinearModel:
    """Fit targets by least squares.

    Minimises the mean squared error plus `ridge` times the squares of the weights of the standardised features
    (the intercept is free). Without a ridge, of features that depend on each other, the smallest weights.

    Args:
        features: `[N, F]`.
        targets: `[N, T]`.
        ridge: Its strength; `validation` tries `STRENGTHS`, and takes the best for each target.
        val_features: Of the validation cells; needed for `validation`.
        val_targets: The same.

    Raises:
        ValueError: If ridge is not allowed, there is nothing to fit, or numbers are not finite.
    """
    checked_ridge(ridge)
    if len(features) < 2 or features.shape[1] == 0 or len(features) != len(targets):
        raise ValueError(
            f'{features.shape} features and {targets.shape} targets; wanted two cells at least, of both.'
        )
    values, wanted = features.astype(np.float64), targets.astype(np.float64)
    if not (np.isfinite(values).all() and np.isfinite(wanted).all()):
        raise ValueError('Features or targets are not finite.')
    mean, std = values.mean(axis=0), values.std(axis=0)
    # A constant leaves rounding errors, which would be blown up to features.
    std = np.where(std > 1e-12 * np.maximum(np.abs(mean), np.finfo(float).tiny), std, 0.0)
    constant = std == 0
    std = np.where(constant, 1.0, std)
    scaled = np.where(constant, 0.0, (values - mean) / std)
    intercept = wanted.mean(axis=0)
    left, singular, right = np.linalg.svd(scaled, full_matrices=False)
    kept = singular > singular.max() * max(scaled.shape) * np.finfo(float).eps
    left, singular, right = left[:, kept], singular[kept], right[kept]
    projected = left.T @ (wanted - intercept)

    def weights(strength: float) -> NDArray[np.float64]:
        shrunk = singular / (singular**2 + strength * len(scaled))
        return np.asarray(right.T @ (shrunk[:, None] * projected))

    if ridge != 'validation':
        strengths = np.full(wanted.shape[1], float(ridge))
        return LinearModel(mean, std, weights(float(ridge)), intercept, strengths)
    if val_features is None or val_targets is None or not len(val_features):
        raise ValueError("ridge='validation' needs validation cells.")
    tried = [LinearModel(mean, std, weights(s), intercept, intercept) for s in STRENGTHS]
    errors = np.stack([rmse(one.predict(val_features), val_targets) for one in tried])
    best = errors.argmin(axis=0)
    columns = np.arange(wanted.shape[1])
    chosen = np.stack([one.weights for one in tried])[best, :, columns].T
    return LinearModel(mean, std, chosen, intercept, np.array(STRENGTHS)[best])


def checked_ridge(ridge: object) -> None:
    """Check the strength of a ridge.

    Raises:
        ValueError: If it is neither a number of at least 0 nor `validation`.
    """
    number = isinstance(ridge, int | float) and not isinstance(ridge, bool)
    if ridge != 'validation' and not (number and 0 <= ridge < math.inf):  # type: ignore[operator]
        raise ValueError(f"ridge is {ridge!r}; wanted a number of at least 0, or 'validation'.")


def rmse(predicted: NDArray[np.floating], wanted: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the root of the mean squared error of each target, `[T]`."""
    found: NDArray[np.float64] = np.sqrt(np.mean((predicted - wanted) ** 2, axis=0))
    return found
