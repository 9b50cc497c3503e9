"""Finds and reads the images of one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from torchgeo_copernicus.collect import queries
from torchgeo_copernicus.collect.client import EarthEngine, Image, listed, properties
from torchgeo_copernicus.collect.georeference import PixelGrid, cell_grid, on_grid, patch_grid
from torchgeo_copernicus.collect.pixels import read_pixels
from torchgeo_copernicus.collect.products import CELL_HALF_SIDE_M, PATCH_SIDE_M, Product
from torchgeo_copernicus.collect.recipe import Recipe
from torchgeo_copernicus.collect.request import Asker
from torchgeo_copernicus.collect.seasons import Window, months, whole_year
from torchgeo_copernicus.collect.task import Task
from torchgeo_copernicus.datasets.draw import drawn

#: Images of Sentinel-3 of a cell; cells with fewer are left out.
S3_IMAGES = 8
_S3_DRAW = 31
# The band with the largest pixels, in which the tile's lattice shows.
_S2_LATTICE_BAND = 'B1'


@dataclass(frozen=True)
class CollectedImage:
    """An image.

    Attributes:
        name: Name of its file without `.tif`.
        pixels: `[C, H, W]`, float32 or uint16.
        resampled: Whether it is of Sentinel-2 and its scene has other pixels than those of the file.
    """

    name: str
    pixels: NDArray[np.float32] | NDArray[np.uint16]
    resampled: bool = False


@dataclass(frozen=True)
class TaskImages:
    """What there is of a task.

    Attributes:
        grid: Where the pixels of all images lie.
        images: The images.
        reason: Why there is none.
    """

    grid: PixelGrid
    images: tuple[CollectedImage, ...] = field(default=())
    reason: str = ''


def images_of(client: EarthEngine, ask: Asker, task: Task, recipe: Recipe) -> TaskImages:
    """Find and read the images of a task.

    Args:
        client: Earth Engine.
        ask: Sends requests.
        task: Modality and place.
        recipe: How to choose.

    Raises:
        ValueError: If the place has no such images, being too near to a pole, or what was sent is wrong.
        OSError: If Earth Engine fails again and again.
    """
    finder = _Finder(client, ask, recipe, recipe.product(task.modality), _grid(task, recipe))
    if task.place is not None:
        return finder.seasons(task.place.number)
    if task.modality == 's3_olci':
        return finder.drawn_scenes(task.cell.grid_id)
    if task.modality == 'dem':
        return finder.elevation()
    return finder.monthly_means()


def _grid(task: Task, recipe: Recipe) -> PixelGrid:
    product, place = recipe.product(task.modality), task.place
    if place is None:
        return cell_grid(task.cell, CELL_HALF_SIDE_M, product.pixel_deg)
    return patch_grid(place.longitude, place.latitude, PATCH_SIDE_M, product.scale_m)


@dataclass(frozen=True)
class _Finder:
    """Finds images of one product on one grid."""

    client: EarthEngine
    ask: Asker
    recipe: Recipe
    product: Product
    grid: PixelGrid

    def seasons(self, number: int) -> TaskImages:
        """Return the first image in each season's windows; of Sentinel-2 of all seasons or none."""
        images = []
        for windows in self.recipe.windows(number):
            image = self._first(windows)
            if image is not None:
                images.append(image)
            elif self.product.modality == 's2_toa':
                return self._nothing(f'no scene around the {windows[0].name} of any year')
        return self._found(images, 'no scene in any season')

    def drawn_scenes(self, grid_id: int) -> TaskImages:
        """Return some images of a year, drawn with the seed."""
        names = self._names(whole_year(self.recipe.year))
        if len(names) < S3_IMAGES:
            return self._nothing(f'{len(names)} scenes of {self.recipe.year}, wanted {S3_IMAGES}')
        # By the name, so that scenes that come later change as little as can be.
        rank = {
            name: drawn(self.recipe.seed, _S3_DRAW, grid_id, int.from_bytes(name.encode(), 'big'))
            for name in names
        }
        chosen = sorted(names, key=rank.__getitem__)[:S3_IMAGES]
        in_time = [name for name in names if name in chosen]
        return self._found([self._read(name) for name in in_time], 'no data')

    def monthly_means(self) -> TaskImages:
        """Return the mean of each month that has scenes without gaps."""
        images = []
        for month in months(self.recipe.year):
            scenes = queries.sentinel5p_scenes(self.client, self.product, self.grid, month)
            if self.ask(scenes.size().getInfo):
                images.append(self._computed(month.name, scenes.mean()))
        return self._found(images, f'no scene without gaps in {self.recipe.year}')

    def elevation(self) -> TaskImages:
        """Return the elevation, of all tiles there are."""
        tiles = queries.elevation_tiles(self.client, self.product, self.grid)
        if not self.ask(tiles.size().getInfo):
            return self._nothing('no tile, as over open sea')
        return self._found([self._computed('dem', tiles.mosaic())], 'no data')

    def _first(self, windows: Sequence[Window]) -> CollectedImage | None:
        for window in windows:
            for name in self._names(window):
                image = self._read(name)
                # Footprints are not quite exact.
                if _has_data(image):
                    return image
        return None

    def _names(self, window: Window) -> list[str]:
        client, product, grid = self.client, self.product, self.grid
        if product.modality == 's1_grd':
            query = queries.sentinel1_scenes(client, product, grid, window)
        elif product.modality == 's2_toa':
            share = self.recipe.cloud_percent
            query = queries.sentinel2_scenes(client, product, grid, window, share)
        else:
            query = queries.sentinel3_scenes(client, product, grid, window)
        # A name may come twice where a product was processed again.
        return list(dict.fromkeys(listed(self.ask(query.getInfo), f'scenes of {window.name}')))

    def _read(self, name: str) -> CollectedImage:
        image = queries.scene(self.client, self.product, name)
        resampled = self.product.modality == 's2_toa' and not self._is_exact(image, name)
        return self._computed(name, image, resampled)

    def _is_exact(self, image: Image, name: str) -> bool:
        sent = self.ask(image.select([_S2_LATTICE_BAND]).projection().getInfo)
        where = properties(sent, f'projection of {name}')
        crs, transform = where.get('crs'), where.get('transform')
        if not isinstance(crs, str) or not isinstance(transform, list) or len(transform) != 6:
            return False
        return on_grid(self.grid, crs, Affine(*transform))

    def _computed(self, name: str, image: Image, resampled: bool = False) -> CollectedImage:
        pixels = read_pixels(self.client, self.ask, image, self.product, self.grid)
        return CollectedImage(name, pixels, resampled)

    def _found(self, images: Sequence[CollectedImage], otherwise: str) -> TaskImages:
        there = tuple(image for image in images if _has_data(image))
        return TaskImages(self.grid, there) if there else self._nothing(otherwise)

    def _nothing(self, reason: str) -> TaskImages:
        return TaskImages(self.grid, reason=reason)


def _has_data(image: CollectedImage) -> bool:
    pixels = image.pixels
    return bool(pixels.any() if pixels.dtype == np.uint16 else np.isfinite(pixels).any())
