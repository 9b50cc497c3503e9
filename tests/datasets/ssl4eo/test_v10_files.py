"""Files of SSL4EO-S12 v1.0: sizes, types, units, missing pixels, damage, the 8-bit variants, the look-alike."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS

from torchgeo_copernicus.datasets.lookalike.geotiff import Grid, write_geotiff
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10, stretch_to_8bit
from torchgeo_copernicus.datasets.ssl4eo.statistics import (
    EIGHT_BIT_STATISTICS,
    MODALITY_BANDS,
    Modality,
)
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.scene import decode_8bit, file_name, native_px

SIZE = 36
THREE: Any = ('S1GRD', 'S2L1C', 'S2L2A')


@pytest.fixture(scope='module')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One place of 36 px in every variant, never damaged."""
    folder = tmp_path_factory.mktemp('v10')
    variants: Any = ('raw', '8bit', 'rgb')
    return {variant: make_ssl4eo_v10(folder, 1, 0, SIZE, variant) for variant in variants}


@pytest.fixture
def raw(roots: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(roots['raw'], tmp_path / 'raw')


def scene(root: Path, folder: str, position: int = 0) -> Path:
    """Return a scene's folder, in the order of names."""
    return sorted(root.glob(f'{folder}/*/*'))[position]


def pixels(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def rewrite(path: Path, values: NDArray[Any], **changes: Any) -> None:
    with rasterio.open(path) as file:
        profile = file.profile
    shape = dict(zip(('count', 'height', 'width'), values.shape, strict=True))
    profile.update(dtype=values.dtype.name, compress=None, predictor=None, **shape)
    profile.update(changes)
    with rasterio.open(path, 'w', **{k: v for k, v in profile.items() if v is not None}) as file:
        file.write(values)


def test_the_look_alike_is_laid_out_as_the_release(roots: dict[str, Path]) -> None:
    for folder, count in (('s1', 2), ('s2c', 13), ('s2a', 12)):
        folders = sorted(roots['raw'].glob(f'{folder}/*/*'))
        assert len(folders) == 4
        for path in folders:
            assert len(list(path.glob('*.tif'))) == count
            assert (path / 'metadata.json').is_file()
    sides = {path.name: pixels(path).shape[-1] for path in scene(roots['raw'], 's2c').glob('*.tif')}
    assert sides['B2.tif'] == SIZE
    assert sides['B8A.tif'] == SIZE // 2
    assert sides['B10.tif'] == SIZE // 6
    assert len(sides) == 13


def test_one_seed_makes_one_look_alike(roots: dict[str, Path], tmp_path: Path) -> None:
    def files(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}

    wanted = files(roots['raw'])
    assert files(make_ssl4eo_v10(tmp_path, 1, 0, SIZE)) == wanted
    assert files(make_ssl4eo_v10(tmp_path / 'b', 1, 1, SIZE)) != wanted


@pytest.mark.parametrize(
    ('n', 'size', 'variant', 'message'),
    [
        (0, 36, 'raw', 'n must'),
        (1, 40, 'raw', 'multiple of 12'),
        (1, 0, 'raw', 'multiple of 12'),
        (1, 36, '16bit', "'16bit'"),
    ],
)
def test_the_maker_names_a_wrong_argument(
    tmp_path: Path, n: int, size: int, variant: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_ssl4eo_v10(tmp_path, n, 0, size, variant)


def test_bands_of_10_m_are_the_stored_numbers(roots: dict[str, Path]) -> None:
    sample = SSL4EOS12v10(roots['raw'], THREE)[0]
    for modality, folder, bands in (
        ('S2L1C', 's2c', ['B04', 'B08']),
        ('S1GRD', 's1', ['VV', 'VH']),
    ):
        for position, path in enumerate(sample['filename'][modality]):
            assert Path(path).parent.parent.name == folder
            for band in bands:
                row = MODALITY_BANDS[modality].index(band)  # type: ignore[index]
                stored = torch.from_numpy(pixels(Path(path) / file_name(band))[0].astype('float32'))
                assert torch.equal(sample['image'][modality][position, row], stored)


@pytest.mark.parametrize(('band', 'factor'), [('B05', 2), ('B01', 6)])
def test_coarse_bands_are_resampled_bilinearly_as_in_the_pretraining(
    roots: dict[str, Path], band: str, factor: int
) -> None:
    arguments: Any = {'bands': [band], 'dates': 'each'}
    smooth = SSL4EOS12v10(roots['raw'], **arguments)[0]
    nearest = SSL4EOS12v10(roots['raw'], resampling='nearest', **arguments)[0]
    stored = pixels(Path(smooth['filename']) / file_name(band))[0].astype('float32')
    blocks = stored.repeat(factor, 0).repeat(factor, 1)
    assert np.array_equal(nearest['image'][0].numpy(), blocks)
    # Centres of pixels, by hand: weights of the two nearest along each axis, edges repeated.
    centres = (np.arange(SIZE) + 0.5) / factor - 0.5
    places = np.clip(centres, 0, len(stored) - 1)
    low = np.minimum(places.astype(int), len(stored) - 2)
    part = places - low
    rows = stored[low] * (1 - part[:, None]) + stored[low + 1] * part[:, None]
    wanted = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    assert smooth['image'][0].numpy() == pytest.approx(wanted, rel=1e-5)
    assert not np.array_equal(smooth['image'][0].numpy(), blocks)


def test_resampling_is_that_of_opencv(roots: dict[str, Path]) -> None:
    cv2 = pytest.importorskip('cv2')
    sample = SSL4EOS12v10(roots['raw'], dates='each')[0]
    for band in ('B11', 'B09'):
        stored = pixels(Path(sample['filename']) / file_name(band))[0]
        wanted = cv2.resize(stored, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR_EXACT)
        found = sample['image'][MODALITY_BANDS['S2L1C'].index(band)].numpy()
        # OpenCV rounds to whole numbers.
        assert np.abs(found - wanted).max() <= 0.51


def test_pixels_stored_as_zero_are_missing_not_bright_radar(raw: Path) -> None:
    path = scene(raw, 's1') / 'VV.tif'
    values = pixels(path)
    values[:, :3] = 0
    rewrite(path, values)
    name = path.parent.name
    gaps = SSL4EOS12v10(raw, ['S1GRD'])[0]
    stored = SSL4EOS12v10(raw, ['S1GRD'], nodata='stored')[0]
    position = gaps['file_id'].index(name)
    assert gaps['image'][position, 0, :3].isnan().all()
    assert gaps['image'].isnan().sum() == 3 * SIZE
    assert (stored['image'][position, 0, :3] == 0).all()
    assert stored['image'].isfinite().all()


def test_missing_coarse_pixels_do_not_spread_far(raw: Path) -> None:
    path = scene(raw, 's2c') / 'B1.tif'
    values = pixels(path)
    values[:, 0] = 0
    rewrite(path, values)
    gaps = SSL4EOS12v10(raw, bands=['B01', 'B02'], dates='each')[0]['image']
    assert gaps[0, :9].isnan().all()
    assert gaps[0, 12:].isfinite().all()
    assert gaps[1].isfinite().all()
    hard = SSL4EOS12v10(raw, bands=['B01'], dates='each', resampling='nearest')[0]['image']
    assert hard[0, :6].isnan().all()
    assert hard[0, 6:].isfinite().all()


def test_all_bands_of_a_scene_give_one_place_though_their_origins_differ(
    roots: dict[str, Path],
) -> None:
    places = [
        SSL4EOS12v10(roots['raw'], bands=[band], dates='each')[0]['metadata']
        for band in ('B02', 'B05', 'B10')
    ]
    for place in places[1:]:
        assert torch.allclose(place, places[0], rtol=0, atol=1e-5)


def test_the_place_is_reprojected_from_the_files_own_coordinates(raw: Path) -> None:
    before = SSL4EOS12v10(raw, bands=['B02'])
    sample = before[0]
    longitude, latitude = sample['metadata'][0, :2].tolist()
    zone = int((longitude + 180) // 6) + 1
    utm = CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)
    x, y = (
        value[0] for value in rasterio.warp.transform('EPSG:4326', utm, [longitude], [latitude])
    )
    for path in raw.glob('s2c/*/*/B2.tif'):
        side = SIZE * 5
        values = pixels(path)
        write_geotiff(path, values[0], Grid(utm, Affine(10, 0, x - side, 0, -10, y + side)))
    moved = SSL4EOS12v10(raw, bands=['B02'])
    # Half a pixel apart: UTM files are not off by that.
    assert torch.allclose(moved[0]['metadata'], sample['metadata'], rtol=0, atol=1e-4)
    assert moved.location(int(moved.ids[0])) == pytest.approx(
        before.location(int(before.ids[0])), abs=1e-4
    )


def test_dates_are_days_since_1970(roots: dict[str, Path]) -> None:
    sample = SSL4EOS12v10(roots['raw'])[0]
    for name, days in zip(sample['file_id'], sample['metadata'][:, 2].tolist(), strict=True):
        when = date(int(name[:4]), int(name[4:6]), int(name[6:8]))
        assert days == (when - date(1970, 1, 1)).days


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_files_without_coordinates_have_unknown_places(roots: dict[str, Path], raw: Path) -> None:
    for path in raw.glob('s1/*/*/VV.tif'):
        rewrite(path, pixels(path), crs=None, transform=None)
    metadata = SSL4EOS12v10(raw, ['S1GRD'])[0]['metadata']
    assert metadata[:, :2].isnan().all()
    assert metadata[:, 2:].isfinite().all()


def damage(path: Path, kind: str) -> None:
    values = pixels(path)
    if kind == 'missing':
        path.unlink()
    elif kind == 'cut off':
        path.write_bytes(path.read_bytes()[:200])
    elif kind == 'size':
        rewrite(path, values[:, :-1, :-1])
    elif kind == 'not square':
        rewrite(path, values[:, :-1])
    elif kind == 'type':
        rewrite(path, values.astype('float64'))
    elif kind == 'counts':
        rewrite(path, values.astype('uint8'))
    else:
        rewrite(path, np.concatenate([values, values]))


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('missing', 'missing, cut off or not a GeoTIFF'),
        ('cut off', 'cut off'),
        ('size', '35 x 35 px, wanted 36'),
        ('not square', '35 x 36 px'),
        ('type', 'float64, where S2L1C.*uint16'),
        ('counts', "uint8.*variant='8bit'"),
        ('bands', '2 bands, wanted 1'),
    ],
)
def test_a_damaged_file_is_named(raw: Path, kind: str, message: str) -> None:
    path = scene(raw, 's2c', 2) / 'B3.tif'
    damage(path, kind)
    with pytest.raises(ValueError, match=message) as caught:
        SSL4EOS12v10(raw)[0]
    assert str(path) in str(caught.value)


def test_a_damaged_first_file_is_named_at_once(raw: Path) -> None:
    path = scene(raw, 's2c') / 'B3.tif'
    damage(path, 'cut off')
    with pytest.raises(ValueError, match=r'B3\.tif'):
        SSL4EOS12v10(raw)
    for file in scene(raw, 's2c').glob('*.tif'):
        file.unlink()
    with pytest.raises(ValueError, match='holds 0 images'):
        SSL4EOS12v10(raw)


def test_a_place_off_the_earth_names_the_file(raw: Path) -> None:
    path = scene(raw, 's1') / 'VV.tif'
    rewrite(path, pixels(path), transform=Affine(1e-4, 0, 0, 0, -1e-4, 200))
    with pytest.raises(ValueError, match=r'VV\.tif'):
        SSL4EOS12v10(raw, ['S1GRD'])[0]


# --- the 8-bit release


def test_the_8_bit_stretch_is_undone_within_one_step() -> None:
    for modality in THREE:
        names = MODALITY_BANDS[modality]  # type: ignore[index]
        statistics = EIGHT_BIT_STATISTICS[modality]  # type: ignore[index]
        mean = np.array([statistics.mean[name] for name in names])[:, None, None]
        std = np.array([statistics.std[name] for name in names])[:, None, None]
        steps = np.linspace(-1.99, 1.99, 1000)[None, None]
        values = (mean + std * steps).astype('float32')
        counts = torch.from_numpy(stretch_to_8bit(values, modality).astype('float32'))
        back = decode_8bit(counts, modality, names).numpy()
        step = 4 * std / 255
        assert (np.abs(back - values) <= step / 2 * 1.01).all()
        # The error has no bias: rounding down is made good.
        assert (np.abs((back - values).mean(axis=-1, keepdims=True)) < step / 10).all()
        # Decoded and stretched again, every count is itself (the last is at the edge of the range).
        every = np.arange(255, dtype='float32').reshape(1, 1, -1).repeat(len(names), 0)
        again = stretch_to_8bit(
            decode_8bit(torch.from_numpy(every), modality, names).numpy(), modality
        )
        assert np.array_equal(again, every.astype('uint8'))


@pytest.mark.parametrize('modality', THREE)
def test_decoded_8_bit_images_are_near_the_raw_ones(
    roots: dict[str, Path], modality: Modality
) -> None:
    raw = SSL4EOS12v10(roots['raw'], [modality])[0]
    decoded = SSL4EOS12v10(roots['8bit'], [modality], variant='8bit')[0]
    counts = SSL4EOS12v10(roots['8bit'], [modality], variant='8bit', decode=False)[0]
    assert decoded['file_id'] == raw['file_id']
    assert torch.equal(decoded['metadata'], raw['metadata'])
    std = torch.tensor(list(EIGHT_BIT_STATISTICS[modality].std.values()))[:, None, None]
    error = ((decoded['image'] - raw['image']).abs() / std).mean(dim=(0, 2, 3))
    assert (error < 0.25).all(), error
    assert counts['image'].min() >= 0
    assert 50 < counts['image'].max() <= 255
    assert counts['image'].dtype == torch.float32


def test_the_rgb_pictures_are_red_green_blue(roots: dict[str, Path]) -> None:
    raw = SSL4EOS12v10(roots['raw'], bands=['B04', 'B03', 'B02'])[0]['image']
    dataset = SSL4EOS12v10(roots['rgb'], variant='rgb')
    assert dataset.modalities == ('S2RGB',)
    image = dataset[0]['image']
    assert image.shape == (4, 3, SIZE, SIZE)
    assert (image - raw).abs().mean() < 100
    # In another order they would be much farther off.
    assert (image - raw.flip(1)).abs().mean() > 150
    blue = SSL4EOS12v10(roots['rgb'], variant='rgb', bands=['BLUE'])[0]['image']
    assert torch.equal(blue[:, 0], image[:, 2])
    assert dataset.plot(dataset[0]).axes


@pytest.mark.parametrize('layout', ['one file in a folder', 'one file', 'files of 10 m'])
def test_8_bit_layouts_that_fit_the_description_give_the_same(
    roots: dict[str, Path], tmp_path: Path, layout: str
) -> None:
    root = shutil.copytree(roots['8bit'], tmp_path / 'other')
    arguments: Any = {'variant': '8bit', 'resampling': 'nearest'}
    wanted = SSL4EOS12v10(root, **arguments)[0]
    for folder in root.glob('s2c/*/*'):
        bands = MODALITY_BANDS['S2L1C']
        planes = []
        for band in bands:
            values = pixels(folder / file_name(band))[0]
            factor = SIZE // len(values)
            planes.append(values.repeat(factor, 0).repeat(factor, 1))
        with rasterio.open(folder / 'B2.tif') as file:
            grid = Grid(file.crs, file.transform)
        if layout == 'files of 10 m':
            for band, plane in zip(bands, planes, strict=True):
                write_geotiff(folder / file_name(band), plane, grid)
            continue
        target = folder / 'all.tif'
        if layout == 'one file':
            target = folder.with_suffix('.tif')
            shutil.rmtree(folder)
        else:
            for path in folder.glob('*.tif'):
                path.unlink()
        write_geotiff(target, np.stack(planes), grid)
    dataset = SSL4EOS12v10(root, **arguments)
    sample = dataset[0]
    assert torch.equal(sample['image'], wanted['image'])
    assert sample['file_id'] == wanted['file_id']
    assert torch.allclose(sample['metadata'], wanted['metadata'], rtol=0, atol=1e-4)
    assert dataset.location(int(dataset.ids[0])) == pytest.approx(
        wanted['metadata'][0, :2].tolist(), abs=1e-4
    )
    few = SSL4EOS12v10(root, bands=['B12', 'B01'], **arguments)[0]['image']
    assert torch.equal(few, wanted['image'][:, [12, 0]])


def test_raw_files_are_not_taken_for_8_bit_ones(roots: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="uint16, where S2L1C of variant='8bit' has uint8"):
        SSL4EOS12v10(roots['raw'], variant='8bit')[0]
    with pytest.raises(ValueError, match="pass variant='8bit'"):
        SSL4EOS12v10(roots['8bit'])[0]


def test_native_sizes_of_the_release() -> None:
    assert [native_px(band, 264) for band in ('B02', 'VV', 'B8A', 'B10')] == [264, 264, 132, 44]
