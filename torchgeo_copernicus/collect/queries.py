"""Queries to Earth Engine: which scenes of a product are fit for a place, and what to compute of them.

Nothing is asked here: a query is built with the client that is passed in, and sent by who calls.
"""

from __future__ import annotations

from torchgeo_copernicus.collect.client import EarthEngine, Image, ImageCollection, Value
from torchgeo_copernicus.collect.georeference import PixelGrid
from torchgeo_copernicus.collect.products import Product
from torchgeo_copernicus.collect.seasons import Window

#: Images of Sentinel-3 with more bright pixels (%), which are clouds, are left out.
BRIGHT_PERCENT = 20.0
#: Beyond these latitudes (deg) snow is as bright as clouds.
_BRIGHT_SOUTH_DEG, _BRIGHT_NORTH_DEG = -50.0, 60.0
_S3_BAND = 'Oa04_radiance'
_GAPS = 'gaps'
_MOST_PIXELS = 1e8


def sentinel2_scenes(
    client: EarthEngine, product: Product, grid: PixelGrid, window: Window, cloud_percent: float
) -> Value:
    """Return the names of scenes with few clouds that contain a place, in the order of time.

    Only tiles of the UTM zone of the place, whose pixels need no resampling; within its zone a place is always
    on one of them.

    Args:
        client: Earth Engine.
        product: Of Sentinel-2.
        grid: Pixels of the place.
        window: Days.
        cloud_percent: Largest share of clouds in the scene (%).
    """
    scenes = _scenes(client, product, grid, window)
    zone = int(grid.crs[-2:])
    return _names(
        scenes.filter(_containing(client, grid))
        .filter(client.Filter.lte('CLOUDY_PIXEL_PERCENTAGE', cloud_percent))
        # Such as 20201002T221611_20201002T221610_T60HWB.
        .filter(client.Filter.stringContains('system:index', f'_T{zone:02d}'))
    )


def sentinel1_scenes(
    client: EarthEngine, product: Product, grid: PixelGrid, window: Window
) -> Value:
    """Return the names of scenes that contain a place in both polarisations, in the order of time.

    Args:
        client: Earth Engine.
        product: Of Sentinel-1; its first band tells the mode: HH is of Extra Wide, VV of Interferometric Wide.
        grid: Pixels of the place.
        window: Days.
    """
    scenes = _scenes(client, product, grid, window).filter(_containing(client, grid))
    mode = 'EW' if product.bands[0] == 'HH' else 'IW'
    scenes = scenes.filter(client.Filter.eq('instrumentMode', mode))
    for band in product.bands:
        scenes = scenes.filter(client.Filter.listContains('transmitterReceiverPolarisation', band))
    return _names(scenes)


def sentinel3_scenes(
    client: EarthEngine, product: Product, grid: PixelGrid, window: Window
) -> Value:
    """Return the names of scenes without gaps and with few bright pixels, in the order of time.

    Args:
        client: Earth Engine.
        product: Of Sentinel-3.
        grid: Pixels of the cell.
        window: Days.
    """
    scenes = _scenes(client, product, grid, window)
    south, north = grid.lonlat_bounds[1::2]
    if _BRIGHT_SOUTH_DEG < (south + north) / 2 < _BRIGHT_NORTH_DEG:
        scenes = scenes.filter(client.Filter.lt('brightPixelsPercent', BRIGHT_PERCENT))
    return _names(_without_gaps(client, scenes, _S3_BAND, grid, product.scale_m))


def sentinel5p_scenes(
    client: EarthEngine, product: Product, grid: PixelGrid, window: Window
) -> ImageCollection:
    """Return the scenes without gaps, of which a mean is made.

    Args:
        client: Earth Engine.
        product: Of Sentinel-5P.
        grid: Pixels of the cell.
        window: Days.
    """
    scenes = _scenes(client, product, grid, window).select(list(product.bands))
    return _without_gaps(client, scenes, product.bands[0], grid, product.scale_m)


def elevation_tiles(client: EarthEngine, product: Product, grid: PixelGrid) -> ImageCollection:
    """Return the tiles of the elevation model that touch a cell.

    Args:
        client: Earth Engine.
        product: Of the elevation model.
        grid: Pixels of the cell.
    """
    return client.ImageCollection(product.collection).filterBounds(region_of(client, grid))


def scene(client: EarthEngine, product: Product, name: str) -> Image:
    """Return a scene by its name."""
    return client.Image(f'{product.collection}/{name}')


def filled(image: Image, product: Product) -> Image:
    """Return the bands of a product in its type, with its fill where there is no data."""
    # Beyond the footprint too, which would be zeros otherwise.
    image = image.select(list(product.bands)).unmask(product.fill, sameFootprint=False)
    return image.toUint16() if product.dtype == 'uint16' else image.toFloat()


def region_of(client: EarthEngine, grid: PixelGrid) -> object:
    """Return the box of longitude and latitude around a grid."""
    return client.Geometry.BBox(*grid.lonlat_bounds)


def _scenes(
    client: EarthEngine, product: Product, grid: PixelGrid, window: Window
) -> ImageCollection:
    return (
        client.ImageCollection(product.collection)
        .filterBounds(region_of(client, grid))
        .filterDate(window.start.isoformat(), window.stop.isoformat())
    )


def _containing(client: EarthEngine, grid: PixelGrid) -> object:
    return client.Filter.contains('.geo', region_of(client, grid))


def _without_gaps(
    client: EarthEngine, scenes: ImageCollection, band: str, grid: PixelGrid, scale_m: float
) -> ImageCollection:
    region = region_of(client, grid)

    def counted(image: Image) -> Image:
        # A place beyond the footprint is a gap as well.
        gaps = image.select([band]).mask().unmask(0, sameFootprint=False).eq(0).rename([_GAPS])
        found = gaps.reduceRegion(
            client.Reducer.sum(), region, scale=scale_m, maxPixels=_MOST_PIXELS
        )
        return image.set(_GAPS, found.get(_GAPS))

    return scenes.map(counted).filter(client.Filter.eq(_GAPS, 0))


def _names(scenes: ImageCollection) -> Value:
    return scenes.sort('system:time_start').aggregate_array('system:index')
