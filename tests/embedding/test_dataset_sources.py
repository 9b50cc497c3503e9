"""Cells, places and samples as sources: every image once, where and when it was taken."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torchgeo_copernicus.datasets.bench import DATASETS
from torchgeo_copernicus.datasets.lookalike import write_sample
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain import (
    CopernicusPretrainGeoTIFF,
    CopernicusPretrainStream,
)
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.ssl4eo.v11.dataset import SSL4EOS12v11
from torchgeo_copernicus.embedding.image import EmbeddingImage
from torchgeo_copernicus.embedding.sources import (
    BenchSource,
    PretrainGeoTIFFSource,
    PretrainShardsSource,
    SSL4EOSource,
)
from torchgeo_copernicus.embedding.sources.source import EmbeddingSource
from torchgeo_copernicus.metadata import days_since_epoch


def images(source: EmbeddingSource) -> list[EmbeddingImage]:
    # As a loader process has it.
    source = pickle.loads(pickle.dumps(source))
    found = [image for index in range(len(source)) for image in source.items(index)]
    assert len({image.key for image in found}) == len(found)
    for image in found:
        kind = source.kinds[image.modality]
        assert len(image.image) == len(kind.bands)
        assert image.metadata.shape == (4,)
    return found


@pytest.fixture(scope='module')
def geotiffs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pretrain_geotiff(tmp_path_factory.mktemp('geotiff'), n=4, seed=0, size=8)


def same_as_samples(found: list[EmbeddingImage], samples: Any) -> None:
    """Check images against the dataset, in its order."""
    left = iter(found)
    for sample in samples:
        for name in sample['image']:
            given = sample['image'][name]
            # A cell has one image of elevation, not a list of one.
            pixels_of = [given] if isinstance(given, torch.Tensor) and given.ndim == 3 else given
            numbers = sample['local_id'].get(name, [None] * len(pixels_of))
            metadata_of = sample['metadata'][name].reshape(-1, 4)
            rows = zip(pixels_of, metadata_of, numbers, strict=True)
            for pixels, metadata, number in rows:
                image = next(left)
                assert image.grid_id == sample['grid_id'] and image.modality == name
                assert image.image.numpy().tobytes() == pixels.numpy().tobytes()
                assert torch.equal(image.metadata.nan_to_num(-1), metadata.nan_to_num(-1))
                assert image.local_id == (None if number is None else int(number))
    assert next(left, None) is None


def test_shards_give_every_image_of_every_cell(shards: Path) -> None:
    found = images(PretrainShardsSource(str(shards)))
    same_as_samples(found, CopernicusPretrainStream(shards, shuffle=False))
    assert found[0].source.startswith('example-000000.tar#')


def test_files_give_every_image_of_every_cell(geotiffs: Path) -> None:
    found = images(PretrainGeoTIFFSource(str(geotiffs)))
    same_as_samples(found, CopernicusPretrainGeoTIFF(geotiffs))
    listed = {path for path in (image.source for image in found)}
    # Each image is of a file of its own, below the root.
    assert len(listed) == len(found)
    assert all(
        (geotiffs / path.replace('s3_olci_utm/', 's3_olci_wgs/')).is_file() for path in listed
    )
    for image in found:
        folder = image.source.split('/')[-2]
        assert folder == (image.local_id_coord or Cell(image.grid_id or 0).name)
        day = image.metadata[2]
        name = Path(image.source).name.replace('-', '')
        assert bool(day.isnan()) or _day(float(day)) in name


def _day(days: float) -> str:
    return str(np.datetime64('1970-01-01') + int(days)).replace('-', '')


def test_local_patches_have_their_published_names_in_both_formats(
    shards: Path, geotiffs: Path
) -> None:
    for source in (PretrainShardsSource(str(shards)), PretrainGeoTIFFSource(str(geotiffs))):
        for image in images(source):
            if image.local_id is None:
                assert image.local_id_coord is None
                continue
            assert image.local_id_coord is not None
            number, longitude, latitude = image.local_id_coord.split('_')
            assert int(number) == image.local_id and len(number) == 7
            place = [float(longitude), float(latitude)]
            assert image.metadata[:2].tolist() == pytest.approx(place, abs=0.01)


def test_footprints_are_the_cell_or_the_patch_around_its_place(shards: Path) -> None:
    for image in images(PretrainShardsSource(str(shards))):
        assert image.corners is not None and image.grid_id is not None
        west, south, east, north = Cell(image.grid_id).bounds
        if image.local_id is None:
            assert image.corners[0].tolist() == [west, north]
            assert image.corners[2].tolist() == [east, south]
        else:
            centre = image.corners.mean(axis=0)
            assert centre == pytest.approx(image.metadata[:2].tolist(), abs=1e-4)


def test_a_region_and_chosen_cells_are_all_that_is_read(shards: Path) -> None:
    whole = PretrainShardsSource(str(shards))
    grids = [Cell(next(iter(whole.items(index))).grid_id or 0) for index in range(len(whole))]
    one = grids[2]
    region = [one.longitude - 0.1, one.latitude - 0.1, one.longitude + 0.1, one.latitude + 0.1]
    by_region = PretrainShardsSource(str(shards), region=region)
    by_number = PretrainShardsSource(str(shards), grids=[one.grid_id])
    assert len(by_region) == len(by_number) == 1
    assert {image.grid_id for image in images(by_region)} == {one.grid_id}
    assert by_region.fingerprint == by_number.fingerprint != whole.fingerprint
    # Across the date line are all that are not between.
    west, east = one.longitude + 0.1, one.longitude - 0.1
    rest = PretrainShardsSource(str(shards), region=[west, -90, east, 90])
    assert len(rest) == sum(cell.longitude != one.longitude for cell in grids)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'region': [0, 50, 10]}, 'wanted .west, south, east, north'),
        ({'region': [0, 60, 10, 50]}, 'wanted .west, south, east, north'),
        ({'region': [0, -89, 1, -88]}, 'None of the 7 cells'),
        ({'grids': [5]}, 'None of the 7 cells'),
        ({'modalities': ['s4']}, 'Unknown modalities'),
        ({'on_error': 'ignore'}, "Unknown on_error 'ignore'"),
    ],
)
def test_impossible_options_of_cells_are_named(
    shards: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainShardsSource(str(shards), **options)


def test_a_damaged_image_is_named_or_left_out_and_never_zero(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / 'a.tar').write_bytes((shards / 'example-000000.tar').read_bytes())
    whole = PretrainShardsSource(str(tmp_path), ['dem'], index_folder=str(tmp_path / 'index'))
    content = (tmp_path / 'a.tar').read_bytes()
    assert len(images(whole)) == len(whole)
    (tmp_path / 'a.tar').write_bytes(content[: len(content) // 4])
    with pytest.raises(ValueError, match=r"set on_error to 'skip'"):
        PretrainShardsSource(str(tmp_path), ['dem'], index_folder=str(tmp_path / 'index'))
    left = PretrainShardsSource(str(tmp_path), ['dem'], on_error='skip', index_folder=str(tmp_path / 'index'))  # fmt: skip
    assert 0 < len(images(left)) < len(whole)
    assert 'Left out' in caplog.text


def test_places_of_ssl4eo_give_all_their_dates(tmp_path: Path) -> None:
    root = write_sample('ssl4eo_v11', tmp_path, n=4, size=32)
    source = SSL4EOSource(str(root), 'val', ['S1GRD', 'S2L1C', 'S2L2A'])
    found = images(source)
    dataset = SSL4EOS12v11(root, 'val', ['S1GRD', 'S2L1C', 'S2L2A'])
    assert len(source) == len(dataset) > 0
    assert len(found) == len(dataset) * 3 * 4
    sample, left = dataset[0], iter(found)
    for modality, name in (('S1GRD', 's1_grd'), ('S2L1C', 's2_toa'), ('S2L2A', 's2_l2a')):
        for number in range(4):
            image = next(left)
            assert image.modality == name
            pixels = sample['image'][modality][number]
            assert image.image.numpy().tobytes() == pixels.numpy().tobytes()
            assert torch.equal(image.metadata, sample['metadata'][modality][number])
            assert image.source == sample['file_id'][modality][number]
    assert source.kinds['s2_toa'].statistics.mean['B02'] == 1397.6
    assert source.kinds['s2_l2a'].statistics == dataset.statistics['S2L2A']
    assert len(source.kinds['s2_l2a'].bands) == 12
    with pytest.raises(ValueError, match=r"Unknown modalities \['S2RGB'\]"):
        SSL4EOSource(str(root), 'val', ['S2RGB'])  # type: ignore[list-item]


def test_dates_that_only_fill_up_a_series_are_left_out(tmp_path: Path) -> None:
    write_sample('lc100cls_s3', tmp_path, n=6, size=32)
    source = BenchSource('lc100cls_s3', str(tmp_path), mode='time-series')
    dataset = DATASETS['lc100cls_s3'](tmp_path, mode='time-series')  # type: ignore[call-arg]
    wanted = sum(int(dataset[index]['valid'].sum()) for index in range(len(dataset)))
    found = images(source)
    assert len(dataset) < len(found) == wanted < 4 * len(dataset)
    assert len(images(BenchSource('lc100cls_s3', str(tmp_path)))) == len(dataset)
    assert source.fingerprint != BenchSource('lc100cls_s3', str(tmp_path)).fingerprint


def test_images_before_and_after_a_flood_have_the_statistics_of_theirs(tmp_path: Path) -> None:
    write_sample('flood_s1', tmp_path, n=6, size=32)
    source = BenchSource('flood_s1', str(tmp_path))
    assert [image.modality for image in source.items(0)] == ['s1_grd_before', 's1_grd']
    before, after = source.kinds.values()
    assert (before.statistics, after.statistics) == DATASETS['flood_s1'].task.statistics
    assert before.name == 's1_grd_before'


def test_a_sample_of_the_bench_is_where_and_when_it_was_taken(tmp_path: Path) -> None:
    write_sample('cloud_s2', tmp_path, n=6, size=32)
    source, dataset = BenchSource('cloud_s2', str(tmp_path)), DATASETS['cloud_s2'](tmp_path)
    for image, sample in zip(images(source), dataset, strict=True):
        assert torch.equal(image.image, sample['image'])
        assert torch.equal(image.metadata.nan_to_num(-1), sample['metadata'].nan_to_num(-1))
        assert str(tmp_path) not in image.source and image.source in sample['filename']
    with pytest.raises(ValueError, match='has no mode'):
        BenchSource('cloud_s2', str(tmp_path), mode='static')
    with pytest.raises(ValueError, match="unknown task 'cloud_s4'"):
        BenchSource('cloud_s4', str(tmp_path))


def test_sentinel_5p_is_dated_by_its_month(shards: Path) -> None:
    source = PretrainShardsSource(str(shards), ['s5p_no2'])
    days = {float(image.metadata[2]) for image in images(source)}
    assert days <= {days_since_epoch(f'2021-{month:02d}-01') for month in range(1, 13)}
