"""What is used of Earth Engine's Python package, which is passed in, so that a stand-in can take its place.

Names and arguments are those of `earthengine-api`; a test builds every query with it where it is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from importlib import import_module
from types import ModuleType
from typing import Protocol, cast

#: Of many small requests, as a collection makes them.
HIGH_VOLUME_URL = 'https://earthengine-highvolume.googleapis.com'


class Value(Protocol):
    """Something that the server computes."""

    def getInfo(self) -> object:
        """Ask for it."""


class Values(Protocol):
    """Values by name."""

    def get(self, key: str) -> Value:
        """Return one."""


class Projection(Protocol):
    """Coordinate reference system and transform of a band."""

    def getInfo(self) -> object:
        """Ask for it."""


class Image(Protocol):
    """`ee.Image`, as far as it is used."""

    def select(self, selectors: Sequence[str]) -> Image:
        """Return some bands."""

    def projection(self) -> Projection:
        """Return where the pixels lie."""

    def mask(self) -> Image:
        """Return where there is data."""

    def unmask(self, value: float, sameFootprint: bool) -> Image:
        """Fill where there is none."""

    def eq(self, image2: float) -> Image:
        """Compare."""

    def rename(self, names: Sequence[str]) -> Image:
        """Name the bands."""

    def toFloat(self) -> Image:
        """Return float32."""

    def toUint16(self) -> Image:
        """Return uint16."""

    def reduceRegion(
        self, reducer: object, geometry: object, *, scale: float, maxPixels: float
    ) -> Values:
        """Reduce the pixels of a region."""

    def set(self, key: str, value: object) -> Image:
        """Return it with a property."""


class ImageCollection(Protocol):
    """`ee.ImageCollection`, as far as it is used."""

    def filter(self, new_filter: object) -> ImageCollection:
        """Keep some."""

    def filterBounds(self, geometry: object) -> ImageCollection:
        """Keep those that touch a region."""

    def filterDate(self, start: str, end: str) -> ImageCollection:
        """Keep those from one day until before another."""

    def map(self, algorithm: Callable[[Image], Image]) -> ImageCollection:
        """Change each."""

    def select(self, selectors: Sequence[str]) -> ImageCollection:
        """Keep some bands."""

    def sort(self, prop: str) -> ImageCollection:
        """Order by a property."""

    def aggregate_array(self, property: str) -> Value:
        """Return a property of each."""

    def mean(self) -> Image:
        """Return the mean of each pixel."""

    def mosaic(self) -> Image:
        """Return the last of each pixel."""

    def size(self) -> Value:
        """Return their number."""


class Filters(Protocol):
    """`ee.Filter`, as far as it is used."""

    def eq(self, name: str, value: object) -> object:
        """Of equal properties."""

    def lt(self, name: str, value: float) -> object:
        """Of smaller properties."""

    def lte(self, name: str, value: float) -> object:
        """Of properties that are not larger."""

    def listContains(self, leftField: str, rightValue: str) -> object:
        """Of a property that lists something."""

    def stringContains(self, leftField: str, rightValue: str) -> object:
        """Of a property that has a text in it."""

    def contains(self, leftField: str, rightValue: object) -> object:
        """Of a geometry that contains another."""


class Geometries(Protocol):
    """`ee.Geometry`, as far as it is used."""

    def BBox(self, west: float, south: float, east: float, north: float) -> object:
        """Return a box along longitude and latitude (deg); across the date line too."""


class Reducers(Protocol):
    """`ee.Reducer`, as far as it is used."""

    def sum(self) -> object:
        """Return the sum."""


class Data(Protocol):
    """`ee.data`, as far as it is used."""

    def computePixels(self, params: dict[str, object]) -> object:
        """Return pixels of an image on a grid."""


class EarthEngine(Protocol):
    """The module `ee` after it was initialised."""

    @property
    def Image(self) -> Callable[[str], Image]:
        """Return one image by its name."""

    @property
    def ImageCollection(self) -> Callable[[str], ImageCollection]:
        """Return a collection by its name."""

    @property
    def Filter(self) -> Filters:
        """Return the filters."""

    @property
    def Geometry(self) -> Geometries:
        """Return the geometries."""

    @property
    def Reducer(self) -> Reducers:
        """Return the reducers."""

    @property
    def EEException(self) -> type[Exception]:
        """Return the class of its errors."""

    @property
    def data(self) -> Data:
        """Return the requests."""


class Login(Hashable, Protocol):
    """Returns a client; called once in each process, so it must be picklable and compare by value."""

    def __call__(self) -> EarthEngine:
        """Return a client that is ready."""


@dataclass(frozen=True)
class EarthEngineLogin:
    """Logs in with the credentials that `earthengine authenticate` stored.

    Attributes:
        project: Google Cloud project that is billed for the requests.
        url: Server.
    """

    project: str
    url: str = HIGH_VOLUME_URL

    def __post_init__(self) -> None:
        """Check the project.

        Raises:
            ValueError: If there is none.
        """
        if not isinstance(self.project, str) or not self.project.strip():
            raise ValueError(
                f'project is {self.project!r}; give the Google Cloud project that Earth Engine bills.'
            )

    def __call__(self) -> EarthEngine:
        """Return the module `ee`, initialised.

        Raises:
            ValueError: If the package is missing, or the login fails.
        """
        module = _package()
        try:
            module.Initialize(project=self.project, url=self.url)
        except module.EEException as error:
            raise ValueError(
                f'Earth Engine refused project {self.project} ({error}). Run `earthengine authenticate` '
                'once, and register the project for Earth Engine.'
            ) from error
        return cast(EarthEngine, module)


def _package() -> ModuleType:
    try:
        return import_module('ee')
    except ModuleNotFoundError as error:
        raise ValueError(
            'Collecting needs earthengine-api, which is not installed: pip install '
            '"torchgeo-copernicus[collect]".'
        ) from error


def request_errors(client: EarthEngine) -> tuple[type[Exception], ...]:
    """Return what a request may raise when it fails."""
    # Those of the packages below it are no OSError; a stand-in does without them.
    below = (('httplib2', 'HttpLib2Error'), ('google.auth.exceptions', 'GoogleAuthError'))
    found: list[type[Exception]] = [
        getattr(sys.modules[module], name) for module, name in below if module in sys.modules
    ]
    return (client.EEException, OSError, HTTPException, *found)


def listed(value: object, what: str) -> list[str]:
    """Return a list of names that the server sent.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f'Earth Engine sent {value!r} for the {what}; wanted a list of names.')
    return value


def properties(value: object, what: str) -> Mapping[str, object]:
    """Return named values that the server sent.

    Raises:
        ValueError: If they are none.
    """
    if not isinstance(value, dict):
        raise ValueError(f'Earth Engine sent {value!r} for the {what}; wanted named values.')
    return value
