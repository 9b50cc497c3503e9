"""A stand-in for the module `ee`: scenes in memory, filtered, masked and cut as the server does it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

LONLAT = 'EPSG:4326'
_WORLD = Affine(0.01, 0, -180, 0, -0.01, 90)
Box = tuple[float, float, float, float]
Pixels = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


class EEException(Exception):
    """Of a request that failed."""


@dataclass
class Value:
    client: FakeEarthEngine
    value: Any

    def getInfo(self) -> Any:
        self.client.request('getInfo')
        return self.value


@dataclass(frozen=True)
class Scene:
    """One image in a collection.

    Pixels are functions of the column and row of the scene's own grid; NaN is masked.
    """

    name: str
    day: date
    bands: Mapping[str, Pixels]
    crs: str = LONLAT
    transform: Affine = _WORLD
    footprint: Box = (-180, -90, 180, 90)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeImage:
    """What is computed of scenes."""

    client: FakeEarthEngine
    scene: Scene
    of: Callable[[str, str, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
    names: tuple[str, ...]
    properties: Mapping[str, Any]
    dtype: str = 'float64'

    def select(self, selectors: Sequence[str]) -> FakeImage:
        if missing := [name for name in selectors if name not in self.names]:
            raise EEException(f'Image.select: No band named {missing} in {self.names}')
        return replace(self, names=tuple(selectors))

    def projection(self) -> Value:
        where = {
            'type': 'Projection',
            'crs': self.scene.crs,
            'transform': [*self.scene.transform[:6]],
        }
        return Value(self.client, where)

    def _changed(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> FakeImage:
        return replace(self, of=lambda *key: change(self.of(*key)))

    def mask(self) -> FakeImage:
        # Beyond the footprint a mask is masked itself: the stricter of what the server may do.
        return self._changed(lambda pixels: np.where(np.isnan(pixels), np.nan, 1.0))

    def unmask(self, value: float, sameFootprint: bool) -> FakeImage:
        assert sameFootprint is False
        return self._changed(lambda pixels: np.where(np.isnan(pixels), value, pixels))

    def eq(self, image2: float) -> FakeImage:
        return self._changed(lambda pixels: np.where(pixels == image2, 1.0, 0.0))

    def rename(self, names: Sequence[str]) -> FakeImage:
        (new,), (old,) = names, self.names
        return replace(self, names=(new,), of=lambda band, *key: self.of(old, *key))

    def toFloat(self) -> FakeImage:
        return replace(self, dtype='float32')

    def toUint16(self) -> FakeImage:
        return replace(self, dtype='uint16')

    def set(self, key: str, value: Any) -> FakeImage:
        return replace(self, properties={**self.properties, key: value.value})

    def reduceRegion(
        self, reducer: str, geometry: Box, *, scale: float, maxPixels: float
    ) -> SimpleNamespace:
        assert reducer == 'sum'
        west, south, east, north = geometry
        step = scale / 111_319.49
        assert (east - west) * (north - south) / step**2 <= maxPixels
        x, y = np.meshgrid(np.arange(west, east, step), np.arange(south, north, step))
        sums = {name: float(np.nansum(self.of(name, LONLAT, x, y))) for name in self.names}
        return SimpleNamespace(get=lambda key: Value(self.client, sums[key]))


_SEEN: dict[tuple[object, ...], tuple[NDArray[np.float64], NDArray[np.float64]]] = {}


def transformed(
    crs: str, to: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transform the coordinates of a grid, which come again for every band."""
    if crs == to:
        return x, y
    key = (crs, to, x.shape, x[0, 0], y[0, 0], x[-1, -1], y[-1, -1])
    if key not in _SEEN:
        _SEEN[key] = Transformer.from_crs(crs, to, always_xy=True).transform(x, y)
    return _SEEN[key]


def image_of(client: FakeEarthEngine, scene: Scene) -> FakeImage:
    def at(
        band: str, crs: str, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        lon, lat = transformed(crs, LONLAT, x, y)
        x, y = transformed(crs, scene.crs, x, y)
        t = scene.transform
        column, row = np.floor((x - t.c) / t.a), np.floor((y - t.f) / t.e)
        west, south, east, north = scene.footprint
        lon = west + (lon - west) % 360
        inside = (lon <= east) & (lat >= south) & (lat <= north)
        return np.where(inside, scene.bands[band](column, row), np.nan)

    return FakeImage(client, scene, at, tuple(scene.bands), scene.properties)


@dataclass(frozen=True)
class FakeCollection:
    client: FakeEarthEngine
    images: tuple[FakeImage, ...]

    def _kept(self, keep: Callable[[FakeImage], bool]) -> FakeCollection:
        return replace(self, images=tuple(image for image in self.images if keep(image)))

    def filter(self, new_filter: Callable[[FakeImage], bool]) -> FakeCollection:
        return self._kept(new_filter)

    def filterBounds(self, geometry: Box) -> FakeCollection:
        west, south, east, north = geometry

        def touches(image: FakeImage) -> bool:
            w, s, e, n = image.scene.footprint
            return w <= east and e >= west and s <= north and n >= south

        return self._kept(touches)

    def filterDate(self, start: str, end: str) -> FakeCollection:
        first, after = date.fromisoformat(start), date.fromisoformat(end)
        return self._kept(lambda image: first <= image.scene.day < after)

    def map(self, algorithm: Callable[[FakeImage], FakeImage]) -> FakeCollection:
        return replace(self, images=tuple(map(algorithm, self.images)))

    def select(self, selectors: Sequence[str]) -> FakeCollection:
        return self.map(lambda image: image.select(selectors))

    def sort(self, prop: str) -> FakeCollection:
        assert prop == 'system:time_start'
        return replace(self, images=tuple(sorted(self.images, key=lambda i: i.scene.day)))

    def aggregate_array(self, property: str) -> Value:
        assert property == 'system:index'
        return Value(self.client, [image.scene.name for image in self.images])

    def size(self) -> Value:
        return Value(self.client, len(self.images))

    def _reduced(self, reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> FakeImage:
        def at(*key: Any) -> NDArray[np.float64]:
            return reduce(np.stack([image.of(*key) for image in self.images]))

        return replace(self.images[0], of=at)

    def mean(self) -> FakeImage:
        return self._reduced(lambda pixels: np.mean(pixels, axis=0))

    def mosaic(self) -> FakeImage:
        def last(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
            found = pixels[0]
            for other in pixels[1:]:
                found = np.where(np.isnan(other), found, other)
            return found

        return self._reduced(last)


class Filter:
    """`ee.Filter`."""

    @staticmethod
    def _of(name: str, compare: Callable[[Any, Any], bool], value: Any) -> Any:
        def passes(image: FakeImage) -> bool:
            given = image.scene.name if name == 'system:index' else image.properties.get(name)
            return given is not None and compare(given, value)

        return passes

    def eq(self, name: str, value: Any) -> Any:
        return self._of(name, operator.eq, value)

    def lt(self, name: str, value: float) -> Any:
        return self._of(name, operator.lt, value)

    def lte(self, name: str, value: float) -> Any:
        return self._of(name, operator.le, value)

    def listContains(self, leftField: str, rightValue: str) -> Any:
        return self._of(leftField, operator.contains, rightValue)

    stringContains = listContains

    def contains(self, leftField: str, rightValue: Box) -> Any:
        assert leftField == '.geo'
        west, south, east, north = rightValue

        def passes(image: FakeImage) -> bool:
            w, s, e, n = image.scene.footprint
            return w <= west and e >= east and s <= south and n >= north

        return passes


class Geometry:
    """`ee.Geometry`."""

    def BBox(self, west: float, south: float, east: float, north: float) -> Box:
        assert -90 <= south < north <= 90
        return west, south, east + 360 if east < west else east, north


class FakeEarthEngine:
    """Scenes by collection, and a record of the requests.

    Attributes:
        faults: What the next requests raise, None for nothing.
        requests: Which were sent.
    """

    EEException = EEException

    def __init__(self, scenes: Mapping[str, Sequence[Scene]]) -> None:
        self.scenes = dict(scenes)
        self.faults: list[Exception | None] = []
        self.requests: list[str] = []
        self.asked: list[str] = []
        self.Filter, self.Geometry = Filter(), Geometry()
        self.Reducer = SimpleNamespace(sum=lambda: 'sum')
        self.data = SimpleNamespace(computePixels=self.compute_pixels)

    def request(self, kind: str) -> None:
        self.requests.append(kind)
        if self.faults and (fault := self.faults.pop(0)):
            raise fault

    def ImageCollection(self, name: str) -> FakeCollection:
        self.asked.append(name)
        scenes = self.scenes.get(name, ())
        return FakeCollection(self, tuple(image_of(self, scene) for scene in scenes))

    def Image(self, name: str) -> FakeImage:
        collection, _, index = name.rpartition('/')
        for scene in self.scenes[collection]:
            if scene.name == index:
                return image_of(self, scene)
        raise EEException(f'Image.load: Image asset {name!r} not found')

    def compute_pixels(self, params: dict[str, Any]) -> NDArray[np.void]:
        self.request('computePixels')
        assert params['fileFormat'] == 'NUMPY_NDARRAY'
        image, grid = params['expression'], params['grid']
        affine, size = grid['affineTransform'], grid['dimensions']
        assert affine['shearX'] == affine['shearY'] == 0
        column, row = np.meshgrid(np.arange(size['width']), np.arange(size['height']))
        x = affine['translateX'] + affine['scaleX'] * (column + 0.5)
        y = affine['translateY'] + affine['scaleY'] * (row + 0.5)
        if grid['crsCode'] == LONLAT:
            assert -180 <= x.min() and x.max() <= 180, 'the server knows no other longitudes'
        pixels = np.zeros(x.shape, [(name, image.dtype) for name in image.names])
        for name in image.names:
            pixels[name] = image.of(name, grid['crsCode'], x, y)
        return pixels


_CLIENTS: dict[str, FakeEarthEngine] = {}


@dataclass(frozen=True)
class FakeLogin:
    """Logs in to a stand-in by its name."""

    name: str

    def __call__(self) -> Any:
        return _CLIENTS[self.name]


def login_to(client: FakeEarthEngine) -> FakeLogin:
    name = f'client {len(_CLIENTS)}'
    _CLIENTS[name] = client
    return FakeLogin(name)
