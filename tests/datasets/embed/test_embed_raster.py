"""The map as a TorchGeo dataset: the right vector under every pixel, in every system, on every TorchGeo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely import Point
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, RasterDataset, stack_samples
from torchgeo.samplers import GridGeoSampler, RandomGeoSampler

from torchgeo_copernicus.datasets import CopernicusEmbedMap
from torchgeo_copernicus.datasets.embed import embed_raster, map_footprint, open_map, write_map
from torchgeo_copernicus.datasets.embed.map_footprint import footprints
from torchgeo_copernicus.datasets.embed.map_window import MapWindow
from torchgeo_copernicus.datasets.pretrain.grid import Cell

CHANNELS = 4


class Images(RasterDataset):
    filename_glob = 'image_*.tif'


def land(values: NDArray[np.float32], row: int) -> tuple[float, float]:
    """Return a place in the middle of land in a row of the map."""
    inside = (values[row - 3 : row + 4] != 0).any(axis=2).all(axis=0)
    inside &= np.roll(inside, 8) & np.roll(inside, -8)
    column = int(np.flatnonzero(inside)[len(np.flatnonzero(inside)) // 2])
    return column * 0.25 - 180, 90 - row * 0.25


def utm(lon: float, lat: float) -> int:
    return (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) % 60 + 1


def write_image(folder: Path, lon: float, lat: float, size: int = 64, pixel_m: float = 1000) -> CRS:
    """Write an image around a place, whose pixels are numbered."""
    crs = CRS.from_epsg(utm(lon, lat))
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    half = size * pixel_m / 2
    transform = rasterio.Affine(pixel_m, 0, round(x - half), 0, -pixel_m, round(y + half))
    folder.mkdir(exist_ok=True)
    with rasterio.open(
        folder / 'image_1.tif',
        'w',
        driver='GTiff',
        height=size,
        width=size,
        count=1,
        dtype='float32',
        crs=f'EPSG:{crs.to_epsg()}',
        transform=transform,
    ) as file:
        file.write(np.arange(size * size, dtype=np.float32).reshape(1, size, size) + 1)
    return crs


def expected(values: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Return the vector under each pixel of an image, one by one, by other code."""
    with rasterio.open(path) as file:
        to_lonlat = Transformer.from_crs(file.crs.to_epsg(), 4326, always_xy=True)
        found = np.zeros((values.shape[2], file.height, file.width), np.float32)
        for row in range(file.height):
            for column in range(file.width):
                lon, lat = to_lonlat.transform(*file.xy(row, column))
                found[:, row, column] = values[Cell.at(lon, lat).map_pixel]
    return found


@pytest.mark.parametrize('row', [160, 360, 540])
@pytest.mark.parametrize('kind', ['npz', 'tif'])
def test_images_in_utm_get_the_vectors_of_their_pixels(
    maps: dict[str, Path], values: NDArray[np.float32], tmp_path: Path, row: int, kind: str
) -> None:
    lon, lat = land(values, row)
    write_image(tmp_path, lon, lat)
    # The images first: the outline of the world has to be found in their system.
    both = Images(tmp_path) & CopernicusEmbedMap(maps[kind])
    sampler = GridGeoSampler(both, size=64, stride=64)
    (sample,) = list(DataLoader(both, sampler=sampler, collate_fn=stack_samples))
    image = sample['image'][0].numpy()
    assert image.shape == (1 + CHANNELS, 64, 64)
    assert image[0, 0, 0] == 1
    np.testing.assert_array_equal(image[1:], expected(values, tmp_path / 'image_1.tif'))
    assert len(np.unique(image[1])) > 4


def test_the_other_order_and_both_samplers_work(
    maps: dict[str, Path], values: NDArray[np.float32], tmp_path: Path
) -> None:
    lon, lat = land(values, 160)
    write_image(tmp_path, lon, lat, size=128)
    both = CopernicusEmbedMap(maps['npz']) & Images(tmp_path)
    sampler = RandomGeoSampler(both, size=2, length=3)
    for sample in DataLoader(both, sampler=sampler, batch_size=3, collate_fn=stack_samples):
        assert sample['image'].shape == (3, CHANNELS + 1, 2, 2)
        assert (sample['image'][:, :CHANNELS] != 0).any()


def test_an_image_across_the_date_line_gets_both_sides(
    maps: dict[str, Path], values: NDArray[np.float32], tmp_path: Path
) -> None:
    write_image(tmp_path, 179.9, 65.0)
    both = Images(tmp_path) & CopernicusEmbedMap(maps['npz'])
    x, y, t = both.bounds
    image = both[x, y, t]['image'].numpy()
    np.testing.assert_array_equal(image[1:], expected(values, tmp_path / 'image_1.tif'))


def test_a_sample_in_degrees_is_the_map_itself(
    maps: dict[str, Path], values: NDArray[np.float32]
) -> None:
    dataset = CopernicusEmbedMap(maps['zarr'].parent / 'embed_map_310k.tif')
    assert isinstance(dataset, RasterDataset) and dataset.crs == CRS.from_epsg(4326)
    assert dataset.res == (0.25, 0.25) and len(dataset) == 1
    x, y, t = dataset.bounds
    assert (x.start, x.stop, y.start, y.stop) == (-180.125, 179.875, -90.125, 90.125)
    sample = dataset[x, y, t]
    np.testing.assert_array_equal(sample['image'], np.moveaxis(values, 2, 0))
    assert sample['image'].dtype == torch.float32
    part = dataset[slice(9.875, 10.875), slice(44.875, 45.875)]['image']
    np.testing.assert_array_equal(part, np.moveaxis(values[177:181, 760:764], 2, 0))
    fine = dataset[slice(9.875, 10.875, 0.125), slice(44.875, 45.875, 0.125)]['image']
    np.testing.assert_array_equal(fine, part.repeat_interleave(2, 1).repeat_interleave(2, 2))
    with pytest.raises(IndexError):
        dataset[slice(300, 301), slice(0, 1)]


def test_samples_have_what_those_of_the_host_have(
    maps: dict[str, Path], tmp_path: Path, values: NDArray[np.float32]
) -> None:
    lon, lat = land(values, 160)
    write_image(tmp_path, lon, lat)
    images = Images(tmp_path)
    x, y, t = images.bounds
    own = CopernicusEmbedMap(maps['npz'], crs=images.crs, res=images.res)
    assert set(own[x, y, t]) == set(images[x, y, t])


def test_transforms_are_applied(maps: dict[str, Path]) -> None:
    dataset = CopernicusEmbedMap(maps['npz'], transforms=lambda s: {**s, 'image': s['image'] + 5})
    image = dataset[slice(0, 1), slice(0, 1)]['image']
    assert bool((image >= 0).all()) and dataset.transforms is not None
    plain = CopernicusEmbedMap(maps['npz'])[slice(0, 1), slice(0, 1)]['image']
    np.testing.assert_array_equal(image, plain + 5)


def test_regions_are_put_together_and_the_first_with_data_counts(
    maps: dict[str, Path], values: NDArray[np.float32], tmp_path: Path
) -> None:
    one = open_map(maps['npz'], (0, 40, 10, 50))
    two = open_map(maps['npz'], (5, 40, 20, 50))
    paths = [
        write_map(one, tmp_path / 'one.tif'),
        write_map(two.assign(embedding=two['embedding'] * 2), tmp_path / 'two.zarr'),
    ]
    dataset = CopernicusEmbedMap(paths)
    assert len(dataset) == 2
    image = dataset[slice(-0.125, 20.125), slice(39.875, 50.125)]['image'].numpy()
    wanted = values[160:201, 720:801].copy()
    wanted[:, 41:] *= 2
    np.testing.assert_array_equal(image, np.moveaxis(wanted, 2, 0))


def test_a_region_across_the_date_line_has_two_outlines(
    maps: dict[str, Path], tmp_path: Path, values: NDArray[np.float32]
) -> None:
    path = write_map(open_map(maps['npz'], (175, 60, -175, 70)), tmp_path / 'map.tif')
    dataset = CopernicusEmbedMap(path)
    assert len(dataset) == 2
    image = dataset[slice(-180, -179), slice(64.875, 65.875)]['image'].numpy()
    assert image.shape == (4, 4, 4)
    row, column = Cell.at(-179.875, 65.75).map_pixel
    np.testing.assert_array_equal(image[:, 0, 0], values[row, column])


@pytest.mark.parametrize('epsg', [32601, 32631, 32660, 32733, 3857, 3035, 3413, 3031, 6933, 2154])
def test_outlines_are_finite_in_every_system(epsg: int) -> None:
    crs = CRS.from_epsg(epsg)
    (outline,) = footprints(MapWindow(), crs)
    assert outline.is_valid and outline.area > 0 and np.isfinite(outline.bounds).all()
    # Every corner of the area of use is in it, or on its edge.
    area = crs.area_of_use
    assert area is not None
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(
        (area.west + (area.east - area.west) % 360 / 2), (area.south + area.north) / 2
    )
    assert outline.buffer(1000).contains(Point(x, y))


def test_a_region_has_an_outline_only_where_it_is() -> None:
    alps = MapWindow.of_region((5, 44, 16, 48))
    (outline,) = footprints(alps, CRS.from_epsg(32632))
    inside = Transformer.from_crs(4326, 32632, always_xy=True).transform(9, 46)
    assert outline.contains(Point(inside))
    with pytest.raises(ValueError, match='not used where the map is'):
        footprints(alps, CRS.from_epsg(32601))
    nowhere = CRS.from_proj4('+proj=laea +lat_0=10 +lon_0=20')
    with pytest.raises(ValueError, match='Put the map first'):
        footprints(alps, nowhere)
    # West of the date line is east of it, too.
    pacific = MapWindow.of_region((175, 0, -175, 10))
    assert len(footprints(pacific, CRS.from_epsg(32601))) >= 1
    assert footprints(pacific, CRS.from_epsg(32660))[0].area > 0


def test_a_margin_that_goes_to_infinity_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    crs = CRS.from_epsg(32631)
    monkeypatch.setattr(map_footprint, '_MARGINS_DEG', (87.0, 0.0))
    (outline,) = footprints(MapWindow(), crs)
    assert np.isfinite(outline.bounds).all() and 6e5 < outline.bounds[2] - outline.bounds[0] < 8e5
    monkeypatch.setattr(map_footprint, '_MARGINS_DEG', (87.0,))
    with pytest.raises(ValueError, match='cannot be found in WGS 84 / UTM zone 31N'):
        footprints(MapWindow(), crs)


def test_the_system_can_be_changed_and_changed_back(maps: dict[str, Path]) -> None:
    dataset = CopernicusEmbedMap(maps['npz'])
    before = dataset.bounds
    for epsg in (32631, 32632, 4326):
        dataset.crs = CRS.from_epsg(epsg)
        assert dataset.crs == CRS.from_epsg(epsg)
    assert dataset.bounds == before


@pytest.mark.parametrize('case', ['sea', 'one cell', 'same', 'two channels', 'land', 'one row'])
def test_plot_draws_windows_that_crash_torchgeo(
    values: NDArray[np.float32], maps: dict[str, Path], case: str
) -> None:
    image = np.zeros((4, 3, 3), np.float32)
    if case == 'one cell':
        image[:, 1, 1] = (1, 2, 3, 4)
    elif case == 'same':
        image[:] = 7
    elif case == 'two channels':
        image = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    elif case == 'land':
        image = np.moveaxis(values[100:200, 100:200], 2, 0)
    elif case == 'one row':
        image = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    dataset = CopernicusEmbedMap(maps['npz'])
    figure = dataset.plot({'image': torch.from_numpy(image)}, suptitle='a place')
    assert isinstance(figure, Figure) and figure.get_suptitle() == 'a place'
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.shape == (*image.shape[1:], 3) and 0 <= shown.min() <= shown.max() <= 1
    white = (image == 0).all(axis=0)
    assert (shown[white] == 1).all()
    if case in ('same', 'one cell'):
        np.testing.assert_allclose(shown[~white], 0.5)
    if case in ('land', 'one row', 'two channels'):
        assert shown[~white].std(axis=0).max() > 0.1
    assert figure.axes[0].get_title()
    assert not dataset.plot({'image': torch.from_numpy(image)}, False).axes[0].get_title()


def test_a_folder_with_one_map_is_enough(maps: dict[str, Path], tmp_path: Path) -> None:
    assert CopernicusEmbedMap(maps['npz'].parent)._channels == CHANNELS
    with pytest.raises(DatasetNotFoundError):
        CopernicusEmbedMap(tmp_path)
    with pytest.raises(DatasetNotFoundError):
        CopernicusEmbedMap(tmp_path / 'missing.tif')
    with pytest.raises(DatasetNotFoundError):
        CopernicusEmbedMap([])
    with pytest.raises(ValueError, match='several maps'):
        CopernicusEmbedMap(maps['tif'].parent)


def test_the_download_is_that_of_the_pinned_geotiff(
    maps: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def download(name: str, root: str, *, checksum: bool) -> Path:
        asked.append((name, root, checksum))
        return maps['tif']

    monkeypatch.setattr(embed_raster, 'download_embed', download)
    assert CopernicusEmbedMap(tmp_path, download=True)._channels == CHANNELS
    CopernicusEmbedMap(tmp_path, download=True, checksum=False)
    assert asked == [('map_tif', str(tmp_path), True), ('map_tif', str(tmp_path), False)]
    # A map of another name is the user's own.
    write_map(open_map(maps['npz'], (0, 0, 2, 2)), tmp_path / 'embed_map_own.tif')
    CopernicusEmbedMap(tmp_path, download=True)
    assert len(asked) == 2


@pytest.mark.parametrize('res', [0, -1, 'a', (1, 2, 3), True, float('nan')])
def test_wrong_arguments_raise(maps: dict[str, Path], res: Any) -> None:
    with pytest.raises(ValueError, match='res is'):
        CopernicusEmbedMap(maps['npz'], res=res)


def test_a_system_in_metres_needs_a_resolution(maps: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='res is needed'):
        CopernicusEmbedMap(maps['npz'], crs='EPSG:32631')
    assert CopernicusEmbedMap(maps['npz'], crs='EPSG:32631', res=1000).res == (1000, 1000)
    ds = open_map(maps['npz'], (0, 0, 2, 2)).isel(channel=slice(2))
    other = write_map(ds.assign(valid=ds['valid'] & False), tmp_path / 'other.tif')
    with pytest.raises(ValueError, match='channels'):
        CopernicusEmbedMap([maps['npz'], other])
