"""GeoTIFFs and shards of the same images give the same samples, whatever is drawn of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.pretrain.convert.convert_geotiff import convert_geotiff
from torchgeo_copernicus.datasets.pretrain.convert.convert_shards import convert_shards
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import CopernicusPretrainGeoTIFF
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES
from torchgeo_copernicus.datasets.pretrain.selection import Selection
from torchgeo_copernicus.datasets.pretrain.shards.stream import CopernicusPretrainStream

pytest.importorskip('dask', reason='conversions need the extra `convert`')

QUIET: dict[str, Any] = {'scheduler': 'synchronous', 'progress': False}
CELLS = 5


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells that lack modalities, polar ones, a day with two images, and images without a value."""
    root = make_pretrain_geotiff(tmp_path_factory.mktemp('geotiff'), CELLS, 3, 16)
    (path,) = root.glob('fnames_*.json.gz')
    entries = json.loads(gzip.decompress(path.read_bytes()))
    for entry in entries.values():
        for number, listed in enumerate(entry['s3_olci'][:3]):
            source = root / listed.replace('utm', 'wgs')
            with rasterio.open(source) as file:
                profile, pixels = file.profile, file.read()
            # The first is without a value, and of the others there is a second one of the day.
            image = pixels * np.nan if number == 0 else pixels + 1
            target = source if number == 0 else source.with_name(f'T{source.name}')
            with rasterio.open(target, 'w', **profile) as file:
                file.write(image)
            with target.open('ab') as raw:
                raw.write(bytes(1000))
            if number:
                entry['s3_olci'].append(listed.replace(source.name, target.name))
    path.write_bytes(gzip.compress(json.dumps(entries).encode()))
    return root


@pytest.fixture(scope='module')
def shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, options in (('padded', {'pad': True, 'seed': 4}), ('plain', {'pad': False})):
        made[name] = tmp_path_factory.mktemp(name)
        convert_shards(root, made[name], resize=False, cells_per_shard=2, **options, **QUIET)  # type: ignore[arg-type]
    return made


@pytest.fixture(scope='module')
def files(shards: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('files')
    convert_geotiff(shards['padded'], folder, **QUIET)
    return folder


def stacked(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.stack(list(value))


def agree(one: Sample, other: Sample) -> None:
    assert one['grid_id'] == other['grid_id']
    for part in ('image', 'metadata', 'local_id'):
        assert list(one[part]) == list(other[part])
    for name, images in one['image'].items():
        found, wanted = stacked(images), stacked(other['image'][name])
        assert found.dtype == wanted.dtype == torch.float32
        assert found.numpy().tobytes() == wanted.numpy().tobytes()
        rows, others = one['metadata'][name], other['metadata'][name]
        assert rows.shape == others.shape
        np.testing.assert_array_equal(rows[..., 2], others[..., 2])
        # Names of patches have two decimals, and small images are looked at off their middle.
        off = 0.006 if MODALITIES[name].local else 0.26 / found.shape[-2]
        np.testing.assert_allclose(rows[..., :2], others[..., :2], atol=off)
    for name, numbers in one['local_id'].items():
        np.testing.assert_array_equal(numbers, other['local_id'][name])


@pytest.mark.parametrize('patches', [None, 1, 2])
@pytest.mark.parametrize(
    'dates',
    [
        'all',
        'random',
        'seasons',
        '2021-04-01',
        {'s1_grd': 'random', 's3_olci': 'seasons', 's5p_no2': '2021-08-08'},
    ],
)
def test_the_same_is_drawn_from_both_formats(
    root: Path, shards: dict[str, Path], files: Path, patches: int | None, dates: Any
) -> None:
    selection, seed = Selection(patches, dates), 7
    geotiff = CopernicusPretrainGeoTIFF(root, selection=selection, seed=seed)
    again = CopernicusPretrainGeoTIFF(files, selection=selection, seed=seed)
    streams = [
        CopernicusPretrainStream(folder, selection=selection, seed=seed)
        for folder in shards.values()
    ]
    drawn = []
    for epoch in (0, 5):
        geotiff.set_epoch(epoch)
        again.set_epoch(epoch)
        cells = dict(zip(geotiff.grid_ids.tolist(), geotiff, strict=True))
        others = dict(zip(again.grid_ids.tolist(), again, strict=True))
        assert list(cells) == list(others)
        for grid_id, sample in cells.items():
            agree(sample, others[grid_id])
        for stream in streams:
            stream.set_epoch(epoch)
            seen = 0
            for sample in stream:
                agree(sample, cells[sample['grid_id']])
                seen += 1
            assert seen == CELLS
        drawn.append([str(sample['metadata']) for sample in cells.values()])
    # That epochs draw alike would agree, too.
    assert (drawn[0] != drawn[1]) == (patches == 1 or dates not in ('all', '2021-04-01'))


@pytest.mark.parametrize('modalities', [['s3_olci'], ['s2_toa', 's1_grd'], ['dem', 's5p_so2']])
def test_the_same_is_drawn_of_some_modalities(
    root: Path, shards: dict[str, Path], modalities: Any
) -> None:
    selection = Selection(1, 'random')
    geotiff = CopernicusPretrainGeoTIFF(root, modalities=modalities, selection=selection)
    stream = CopernicusPretrainStream(shards['padded'], modalities, selection, shuffle=False)
    assert geotiff.grid_ids.tolist() == stream.grid_ids.tolist()
    for one, other in zip(geotiff, stream, strict=True):
        agree(one, other)


def test_both_formats_have_all_images_of_a_day_and_none_without_a_value(
    root: Path, shards: dict[str, Path]
) -> None:
    geotiff = CopernicusPretrainGeoTIFF(root, modalities=['s3_olci'])
    listed = geotiff.files.counts[geotiff.files.rows(geotiff.grid_ids.tolist()), 2]
    for sample, count in zip(geotiff, listed, strict=True):
        days = sample['metadata']['s3_olci'][:, 2].tolist()
        assert len(days) == count - 1
        assert len(set(days)) == count - 3
    stream = CopernicusPretrainStream(shards['padded'], ['s3_olci'])
    list(stream)
    assert geotiff.faults.counts['void'] == len(geotiff)
    # Those that were repeated make no further ones.
    assert stream.faults.counts['void'] >= len(geotiff)
