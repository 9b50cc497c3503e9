"""Queries built with the real client, without a server: names and arguments that it does not know raise."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

pytest.importorskip('ee', reason='needs the extra `collect`')
from ee.apitestcase import ApiTestCase

from torchgeo_copernicus.collect import queries
from torchgeo_copernicus.collect.client import EarthEngine
from torchgeo_copernicus.collect.georeference import cell_grid, patch_grid
from torchgeo_copernicus.collect.products import product_of
from torchgeo_copernicus.collect.seasons import months, season_windows
from torchgeo_copernicus.datasets.pretrain.grid import Cell

PATCH = patch_grid(15.64, 38.07, 2640, 10)
CELL = cell_grid(Cell.at(15.5, 38.0), 14_000, 0.01)
WINDOW = season_windows()[0][0]


class Offline(ApiTestCase):  # type: ignore[misc]
    """Knows all functions of the server, but no server."""

    __test__ = False

    def runTest(self) -> None:
        """Needed to make one."""


@pytest.fixture
def client() -> Iterator[EarthEngine]:
    import ee

    case = Offline()
    case.setUp()
    yield ee
    case.tearDown()


def functions(value: object) -> set[str]:
    """Return the names of the server's functions in a query."""
    document = json.loads(value.serialize())  # type: ignore[attr-defined]
    found, waiting = set(), [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(name := node.get('functionName'), str):
                found.add(name)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found


def test_the_client_knows_all_that_the_queries_of_scenes_ask_for(client: EarthEngine) -> None:
    s2 = queries.sentinel2_scenes(client, product_of('s2_toa'), PATCH, WINDOW, 20)
    wanted = {'Filter.contains', 'Filter.stringContains', 'Filter.greaterThan'}
    assert functions(s2) >= wanted | {
        'AggregateFeatureCollection.array',
        'Filter.dateRangeContains',
    }
    s1 = queries.sentinel1_scenes(client, product_of('s1_grd', polar=True), PATCH, WINDOW)
    assert functions(s1) >= {'Filter.listContains', 'Filter.equals', 'Collection.limit'}
    s3 = queries.sentinel3_scenes(client, product_of('s3_olci'), CELL, WINDOW)
    assert functions(s3) >= {'Image.reduceRegion', 'Reducer.sum', 'Image.unmask', 'Collection.map'}


def test_the_client_knows_all_that_the_images_are_made_of(client: EarthEngine) -> None:
    s5p = product_of('s5p_no2')
    scenes = queries.sentinel5p_scenes(client, s5p, CELL, months(2021)[0])
    assert 'Collection.size' in functions(scenes.size())
    mean = queries.filled(scenes.mean(), s5p)
    assert functions(mean) >= {'reduce.mean', 'Image.toFloat', 'Image.unmask'}
    dem = product_of('dem')
    tiles = queries.elevation_tiles(client, dem, CELL)
    assert 'ImageCollection.mosaic' in functions(queries.filled(tiles.mosaic(), dem))
    s2 = product_of('s2_toa')
    image = queries.scene(client, s2, '20201002T221611_20201002T221610_T60HWB')
    assert 'Image.toUint16' in functions(queries.filled(image, s2))
    assert 'Image.projection' in functions(image.select(['B1']).projection())


def test_the_client_takes_the_request_for_pixels(
    client: EarthEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ee

    sent: dict[str, object] = {}

    class Images:
        def image(self) -> Images:
            return self

        def computePixels(self, project: str, body: dict[str, object]) -> Images:
            sent.update(body)
            return self

        def execute(self, num_retries: int) -> bytes:
            return b'not numpy'

    monkeypatch.setattr(ee.data, '_get_cloud_projects_raw', Images)
    image = queries.filled(queries.scene(client, product_of('s1_grd'), 'S1A'), product_of('s1_grd'))
    with pytest.raises(ValueError):
        client.data.computePixels(
            {'expression': image, 'fileFormat': 'NUMPY_NDARRAY', 'grid': PATCH.request()}
        )
    assert sent['fileFormat'] == 'NPY'
    assert sent['grid'] == PATCH.request()
