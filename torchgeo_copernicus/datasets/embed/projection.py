"""Projects the vectors of a map to fewer channels, for models that take few: PCA, or a random projection."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from torchgeo_copernicus.datasets.embed.map_dataset import map_dataset, window_of
from torchgeo_copernicus.datasets.embed.row_blocks import row_blocks
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG
from torchgeo_copernicus.datasets.whole_number import whole

#: How the directions are found.
ProjectionMethod = Literal['pca', 'random']
_KIND = 'torchgeo-copernicus projection 1'


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map of vectors to fewer numbers: `(vector - mean) @ components.T`.

    Attributes:
        method: How it was found.
        mean: What is taken away first, float64 `[channels]`; 0 of a random projection.
        components: float64 `[n, channels]`.
        explained_variance: Share of the variance that each component has, float64 `[n]`; None of a random
            projection.
    """

    method: ProjectionMethod
    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    explained_variance: NDArray[np.float64] | None = None

    def vectors(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project vectors.

        Args:
            values: `[..., channels]`.

        Returns:
            float32 `[..., n]`.

        Raises:
            ValueError: If they have another number of channels.
        """
        if values.shape[-1] != len(self.mean):
            raise ValueError(
                f'The vectors have {values.shape[-1]} channels, the projection is of {len(self.mean)}.'
            )
        found = (values.astype(np.float64) - self.mean) @ self.components.T
        return found.astype(np.float32)

    def apply(self, ds: xr.Dataset) -> xr.Dataset:
        """Project a map; lazily where it is of Dask.

        Args:
            ds: From `open_map`, with the channels that this was fitted on.

        Returns:
            A map with n channels and the same cells with data.

        Raises:
            ValueError: If it is no map, or has other channels.
        """
        window = window_of(ds)
        if ds.sizes['channel'] != len(self.mean):
            raise ValueError(
                f'The map has {ds.sizes["channel"]} channels, the projection is of {len(self.mean)}.'
            )
        found = xr.apply_ufunc(
            self._cells,
            ds['embedding'],
            ds['valid'],
            input_core_dims=[['channel'], []],
            output_core_dims=[['channel']],
            exclude_dims={'channel'},
            dask='parallelized',
            output_dtypes=[np.float32],
            dask_gufunc_kwargs={'output_sizes': {'channel': len(self.components)}},
        )
        source = f'{self.method} projection of {ds.attrs.get("source", "a map")}'
        return map_dataset(found.data, window, ds['valid'].data, source=source)

    def _cells(
        self, embedding: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        found = np.zeros((*valid.shape, len(self.components)), np.float32)
        found[valid] = self.vectors(embedding[valid])
        return found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as safetensors.

        Args:
            path: File to write, with the ending `.safetensors`.

        Raises:
            ValueError: If it has another ending.
            OSError: If it cannot be written.
        """
        target = Path(path)
        if target.suffix != '.safetensors':
            raise ValueError(f'{target} must end with .safetensors.')
        tensors = {'mean': self.mean, 'components': np.ascontiguousarray(self.components)}
        if self.explained_variance is not None:
            tensors['explained_variance'] = self.explained_variance
        part = target.with_name(f'{target.name}.{os.getpid()}.part')
        try:
            save_file(tensors, part, {'kind': _KIND, 'method': self.method})
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Projection:
        """Read what `save` wrote.

        Raises:
            ValueError: If the file is damaged or something else.
            OSError: If it cannot be read.
        """
        try:
            with safe_open(os.fspath(path), 'np') as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f'{path} is damaged, or no safetensors file ({error}).') from error
        method = about.get('method')
        mean, components = tensors.get('mean'), tensors.get('components')
        if about.get('kind') != _KIND or method not in ('pca', 'random'):
            raise ValueError(f'{path} is no projection of version 1: {json.dumps(about)}.')
        if mean is None or components is None or components.shape[1:] != mean.shape:
            raise ValueError(f'{path} is damaged: its mean and components do not fit.')
        return cls(method, mean, components, tensors.get('explained_variance'))


def project(
    ds: xr.Dataset,
    n: int,
    method: ProjectionMethod = 'pca',
    *,
    seed: int | None = None,
    area_weighted: bool = False,
) -> tuple[xr.Dataset, Projection]:
    """Fit a projection on the cells with data, and project the map.

    Only some rows are in memory at a time.

    Args:
        ds: From `open_map`.
        n: Channels to keep.
        method: `pca`: the directions of the largest variance; the largest number of each is positive, so that
            the same map always gives the same signs. `random`: normally distributed directions that keep
            distances on average (Johnson and Lindenstrauss); nothing is fitted, and nothing taken away.
        seed: Of `random`; 0 when None. PCA has no chance in it, and takes none.
        area_weighted: Of `pca`: weigh cells by their area, which goes as the cosine of the latitude; else all
            cells weigh the same, and so high latitudes more.

    Returns:
        A map with n channels, and the projection, for other maps.

    Raises:
        ValueError: If an argument is not allowed, or there are too few cells with data.
    """
    window = window_of(ds)
    channels = ds.sizes['channel']
    if method not in get_args(ProjectionMethod):
        raise ValueError(f'method is {method!r}; allowed: {get_args(ProjectionMethod)}.')
    if not 1 <= whole('n', n) <= channels:
        raise ValueError(f'n is {n}, must be 1 to {channels}, the channels of the map.')
    if method == 'random':
        if area_weighted:
            raise ValueError('area_weighted is of pca; a random projection is not fitted.')
        rng = np.random.default_rng(whole('seed', 0 if seed is None else seed))
        components = rng.standard_normal((n, channels)) / np.sqrt(n)
        projection = Projection('random', np.zeros(channels), components)
        return projection.apply(ds), projection
    if seed is not None:
        raise ValueError('seed is of random; PCA has no chance in it.')
    weights = _areas(window.lat) if area_weighted else np.ones(window.rows)
    projection = _fitted(ds, n, weights)
    return projection.apply(ds), projection


def _areas(lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas of cells by their latitude, relative to that of one at the equator."""
    half = CELL_DEG / 2
    edges = [np.radians(np.clip(lat + shift, -90, 90)) for shift in (half, -half)]
    found = (np.sin(edges[0]) - np.sin(edges[1])) / (2 * np.sin(np.radians(half)))
    return np.asarray(found)


def _fitted(ds: xr.Dataset, n: int, weights: NDArray[np.float64]) -> Projection:
    channels = ds.sizes['channel']
    total, cells, mean = 0.0, 0, np.zeros(channels)
    scatter = np.zeros((channels, channels))
    for block in row_blocks(ds):
        values = block.vectors.astype(np.float64)
        if not len(values):
            continue
        if not np.isfinite(values).all():
            raise ValueError('A cell with data has numbers that are not finite.')
        row = np.nonzero(block.valid)[0]
        weight = weights[block.row + row]
        # The parallel update of Chan, Golub and LeVeque (1979): exact however far the mean is from 0.
        added = float(weight.sum())
        own = weight @ values / added
        off = own - mean
        values -= own
        scatter += (values * weight[:, None]).T @ values
        scatter += np.outer(off, off) * (total * added / (total + added))
        mean = mean + off * (added / (total + added))
        total, cells = total + added, cells + len(values)
    if cells <= n:
        raise ValueError(f'PCA to {n} channels needs more than {n} cells with data, got {cells}.')
    variance, directions = np.linalg.eigh(scatter / total)
    order = np.argsort(variance)[::-1][:n]
    components = directions[:, order].T
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(n), largest])[:, None]
    share = np.maximum(variance[order], 0) / max(float(variance.sum()), np.finfo(float).tiny)
    return Projection('pca', mean, np.ascontiguousarray(components), share)
