"""Real Sentinel images: their embeddings are in the right cells, at the right days and places."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from tests.datasets.pretrain.real_cells import Archive, arranged
from torchgeo_copernicus.datasets.embed import open_map
from torchgeo_copernicus.datasets.embed.write_map import write_map
from torchgeo_copernicus.datasets.pretrain.grid import GEOTRANSFORM, Cell
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.embedding.averaging.aggregate import aggregate
from torchgeo_copernicus.embedding.averaging.averaged_table import to_map
from torchgeo_copernicus.embedding.preprocessing import Preprocessing
from torchgeo_copernicus.embedding.read_store import read_store
from torchgeo_copernicus.embedding.run import embed
from torchgeo_copernicus.embedding.sources import GeoTIFFSource, PretrainGeoTIFFSource

from .tiny import TinyEncoder

SIZES = {'s1_grd': 32, 's2_toa': 32, 's3_olci': 32, 's5p_no2': 28, 'dem': 64}


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return arranged(tmp_path_factory.mktemp('real'))


def test_real_chips_are_in_the_right_cells_at_the_right_days_and_places(
    archive: Archive, tmp_path: Path
) -> None:
    source = PretrainGeoTIFFSource(str(archive.root), modalities=list(SIZES))  # type: ignore[arg-type]
    embed(
        source, TinyEncoder(), tmp_path / 'store', Preprocessing(sizes_px=SIZES), workers=0,
        items_per_unit=2, accelerator='cpu',
    )  # fmt: skip
    frame = read_store(tmp_path / 'store')
    assert len(frame) == len(archive.images)
    seen = set()
    for row in frame.itertuples():
        days = -1.0 if row.date is None else float(np.datetime64(row.date, 'D').astype(int))
        key = int(row.grid_id), row.modality, days
        longitude, latitude = archive.places[key]
        seen.add(key)
        assert Cell.at(longitude, latitude).name == row.grid_id_coord
        assert (row.longitude, row.latitude) == pytest.approx((longitude, latitude), abs=1e-3)
        assert (archive.root / row.source).is_file()
        place = shapely.Point(longitude, latitude)
        assert row.geometry.contains(place)
        side_deg = np.ptp(row.geometry.bounds[1::2])
        if MODALITIES[row.modality].local:
            height = archive.images[key].shape[1]
            assert side_deg * 111_319 == pytest.approx(height * row.gsd_m, rel=0.01)
        else:
            assert row.geometry.bounds == Cell(row.grid_id).bounds
        assert np.isfinite(row.embedding).all()
    assert seen == set(archive.images)


def test_geopandas_xarray_and_rasterio_find_the_same_vector_at_the_same_place(
    archive: Archive, tmp_path: Path
) -> None:
    source = PretrainGeoTIFFSource(str(archive.root), modalities=list(SIZES))  # type: ignore[arg-type]
    embed(
        source, TinyEncoder(), tmp_path / 'store', Preprocessing(sizes_px=SIZES), dtype='float32',
        workers=0, accelerator='cpu',
    )  # fmt: skip
    aggregate(tmp_path / 'store', tmp_path / 'cells', scheduler='synchronous', progress=False)
    units = sorted((tmp_path / 'store' / 'rows').glob('*.parquet'))
    frame = pd.concat([gpd.read_parquet(unit) for unit in units])
    path = write_map(to_map(tmp_path / 'cells'), tmp_path / 'map.tif')
    cells = open_map(path, chunks=None)
    assert int(cells['valid'].sum()) == frame['grid_id'].nunique()
    with rasterio.open(path) as image:
        assert tuple(image.transform)[:6] == GEOTRANSFORM
        for grid_id, rows in frame.groupby('grid_id'):
            wanted = np.mean(np.stack(rows['embedding']), axis=0)
            place = rows.geometry.iloc[0].representative_point()
            (pixel,) = image.sample([(place.x, place.y)])
            np.testing.assert_allclose(pixel, wanted, rtol=1e-5)
            cell = Cell(int(grid_id))
            np.testing.assert_array_equal(
                cells['embedding'].sel(lon=cell.longitude, lat=cell.latitude), pixel
            )


def test_a_real_scene_cut_into_tiles_lies_where_rasterio_says(archive: Archive) -> None:
    (path,) = (archive.root / MODALITIES['s2_toa'].folder).rglob('*_T60HWB.tif')
    source = GeoTIFFSource(str(path), 's2_toa', size_px=100, filename_regex=r'(?P<date>\d{8})T')
    (key,) = (k for k in archive.images if k[1] == 's2_toa' and archive.places[k][0] > 170)
    pixels = archive.images[key]
    tiles = [image for index in range(len(source)) for image in source.items(index)]
    assert len(tiles) == (-(-pixels.shape[1] // 100)) * (-(-pixels.shape[2] // 100))
    np.testing.assert_array_equal(tiles[0].image.numpy(), pixels[:, :100, :100])
    assert {float(tile.metadata[2]) for tile in tiles} == {key[2]}
    centre = min(tiles, key=lambda t: abs(float(t.metadata[0]) - archive.places[key][0]))
    assert centre.corners is not None
    assert float(centre.metadata[3]) == pytest.approx(10)
