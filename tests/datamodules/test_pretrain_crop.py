"""Random crops of images of Copernicus-Pretrain, and the metadata that follows them."""

import math

import numpy as np
import pytest
import torch
from affine import Affine
from pyproj import Geod
from torch import Tensor

from torchgeo_copernicus.datamodules.pretrain_crop import (
    GroundWindow,
    PixelWindow,
    RandomCrop,
    cropped,
    followed,
    pixel_window,
    resized,
)
from torchgeo_copernicus.metadata import METRES_PER_DEGREE, acquisition_metadata


def chance(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def metadata(longitude: float, latitude: float, gsd_m: float = 10.0) -> Tensor:
    return torch.tensor([longitude, latitude, 18_000.0, gsd_m])


def sub_transform(transform: Affine, window: PixelWindow, size: int) -> Affine:
    left, top = transform.c + window.left * transform.a, transform.f + window.top * transform.e
    across, down = transform.a * window.width / size, transform.e * window.height / size
    return Affine(across, 0, left, 0, down, top)


@pytest.mark.parametrize(
    ('crs', 'transform'),
    [
        ('EPSG:4326', Affine(0.003, 0, 25.0, 0, -0.003, 67.4)),
        ('EPSG:4326', Affine(0.01, 0, -70.4, 0, -0.01, -55.1)),
        ('EPSG:4326', Affine(0.01, 0, 10.0, 0, -0.01, 0.1)),
        # On the central meridian, where UTM's north is north.
        ('EPSG:32633', Affine(10, 0, 500_000 - 330, 0, -10, 7_500_000)),
        ('EPSG:32733', Affine(10, 0, 500_000 - 330, 0, -10, 6_000_000)),
    ],
)
def test_metadata_of_a_crop_is_that_of_its_own_georeference(crs: str, transform: Affine) -> None:
    # Odd sizes have their centre in the middle of a pixel, where `acquisition_metadata` takes it.
    height, width, size = 67, 65, 31
    whole = acquisition_metadata(crs, transform, (height, width), '2021-06-21')
    for window in (
        PixelWindow(3, 40, 41, 23),
        PixelWindow(30, 0, 37, 61),
        PixelWindow(0, 0, 67, 65),
    ):
        found = followed(
            whole, window, height, width, size, 'degrees' if crs == 'EPSG:4326' else 'metres'
        )
        there = sub_transform(transform, window, size)
        expected = acquisition_metadata(crs, there, (size, size), '2021-06-21')
        # In UTM a tenth of a pixel, for the Earth is no sphere; in degrees exact, but for float32.
        tolerance = 1e-5 if crs == 'EPSG:4326' else 3e-5
        assert found[:2].tolist() == pytest.approx(expected[:2].tolist(), abs=tolerance)
        assert found[3].item() == pytest.approx(expected[3].item(), rel=5e-3)
        assert found[2] == whole[2]


def test_a_degree_is_111_km_and_not_11() -> None:
    # 0.00009 degrees per metre instead of 0.000009 moved every crop ten times too far.
    start = metadata(12.0, 0.0)
    found = followed(start, PixelWindow(0, 100, 100, 100), 200, 200, 100, 'metres')
    metres = Geod(ellps='sphere').inv(12.0, 0.0, *found[:2].tolist())[2]
    # 50 px of 10 m to the north and to the east.
    assert metres == pytest.approx(math.hypot(500, 500), rel=5e-3)
    assert found[0] > 12
    assert found[1] > 0


@pytest.mark.parametrize('latitude', [-72.0, -30.0, 45.0, 60.0, 80.0])
def test_longitude_moves_further_towards_the_poles(latitude: float) -> None:
    start = metadata(12.0, latitude)
    found = followed(start, PixelWindow(50, 100, 100, 100), 200, 200, 100, 'metres')
    metres = Geod(ellps='WGS84').inv(*start[:2].tolist(), *found[:2].tolist())[2]
    assert metres == pytest.approx(500, rel=5e-3)
    assert found[0].item() - 12 == pytest.approx(
        500 / METRES_PER_DEGREE / math.cos(math.radians(latitude)), rel=1e-3
    )


@pytest.mark.parametrize(('start', 'left', 'expected'), [(179.999, 100, -1), (-179.999, 0, 1)])
def test_crops_wrap_at_the_date_line(start: float, left: int, expected: int) -> None:
    found = followed(
        metadata(start, 60.0), PixelWindow(50, left, 100, 100), 200, 200, 100, 'metres'
    )
    assert -180 <= found[0] <= 180
    assert math.copysign(1, found[0].item()) == expected
    assert 180 - abs(found[0].item()) == pytest.approx(0.00798, abs=2e-4)


@pytest.mark.parametrize('square_in', ['metres', 'degrees'])
@pytest.mark.parametrize('latitude', [90.0, -90.0, 89.9999])
def test_poles_are_not_crossed(latitude: float, square_in: str) -> None:
    start = metadata(10.0, latitude, 1000)
    for top in (0, 100):
        found = followed(start, PixelWindow(top, 100, 100, 100), 200, 200, 100, square_in)
        assert found.isfinite().all()
        assert -90 <= found[1] <= 90
        assert -180 <= found[0] <= 180


def test_the_sampling_distance_follows_the_crop() -> None:
    # The token area, which the model is told, is (kernel x distance)^2.
    found = followed(metadata(0, 50), PixelWindow(0, 0, 112, 56), 264, 264, 224, 'metres')
    assert found[3].item() == pytest.approx(10 * math.sqrt(112 * 56) / 224, rel=1e-6)
    same = followed(metadata(0, 50), PixelWindow(20, 20, 224, 224), 264, 264, 224, 'metres')
    assert same[3] == 10


def test_a_whole_image_keeps_its_place_to_the_last_bit() -> None:
    start = torch.tensor([123.456789, -45.678901, 18_000.0, 30.0])
    for square_in in ('metres', 'degrees'):
        found = followed(start, PixelWindow(0, 0, 33, 48), 33, 48, 32, square_in)
        assert torch.equal(found[:3], start[:3])


def test_unknown_fields_stay_unknown_and_leave_the_others_alone() -> None:
    window = PixelWindow(0, 0, 50, 50)
    nan = math.nan
    for fields, known in (
        ((nan, 40.0, 1.0, 10.0), [False, True, True, True]),
        ((12.0, nan, 1.0, 10.0), [True, False, True, True]),
        ((12.0, 40.0, nan, 10.0), [True, True, False, True]),
        ((12.0, 40.0, 1.0, nan), [True, True, True, False]),
    ):
        for square_in in ('metres', 'degrees'):
            found = followed(torch.tensor(fields), window, 100, 100, 50, square_in)
            assert found.isfinite().tolist() == known


def test_missing_pixels_do_not_spread_over_a_resize() -> None:
    image = torch.full((2, 32, 32), 7.0)
    image[0, :, :4] = torch.nan
    image[1, 5, 5] = torch.inf
    for size in (16, 48):
        found = resized(image, size)
        # As much of the image is missing as before, and what is known is not mixed with anything.
        assert found[0].isnan().float().mean().item() == pytest.approx(4 / 32, abs=0.02)
        assert found[1].isnan().float().mean().item() <= 0.002
        assert torch.allclose(found[found.isfinite()], torch.tensor(7.0))
    same = resized(image, 32)
    assert torch.equal(same.isfinite(), image.isfinite())
    # Infinite is missing, too.
    assert same[1, 5, 5].isnan()


def test_missing_pixels_of_one_band_leave_the_others_alone() -> None:
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    spoiled = image.clone()
    spoiled[1, :10] = torch.nan
    for size in (10, 28):
        clean, found = resized(image, size), resized(spoiled, size)
        assert torch.allclose(found[[0, 2]], clean[[0, 2]], atol=1e-6)
        assert found[1, : size // 2 - 1].isnan().all()


def test_a_crop_of_nothing_stays_missing() -> None:
    assert resized(torch.full((1, 9, 9), torch.nan), 16).isnan().all()


def test_small_numbers_survive_a_resize() -> None:
    columns = 1e-5 + 1e-6 * torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    columns[0, 0, 0] = torch.nan
    found = resized(columns, 28)
    assert found.nanmean().item() == pytest.approx(columns.nanmean().item(), rel=1e-2)


def test_a_downsized_image_is_antialiased() -> None:
    noise = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    # The mean of 16 pixels and more, not of the nearest 4.
    assert resized(noise, 16).std() < 0.3


def test_one_seed_gives_one_window_and_another_another() -> None:
    crop = RandomCrop(flip='both')
    assert crop.draw(100, 80, chance(3)) == crop.draw(100, 80, chance(3))
    assert crop.draw(100, 80, chance(3)) != crop.draw(100, 80, chance(4))


@pytest.mark.parametrize(('height', 'width'), [(264, 264), (26, 66), (67, 20), (1, 1), (3, 2)])
def test_windows_stay_within_the_image_and_within_the_scale(height: int, width: int) -> None:
    crop = RandomCrop(scale=(0.2, 0.6))
    side, areas = min(height, width), []
    for seed in range(200):
        ground = crop.draw(height, width, chance(seed))
        window = pixel_window(ground, height, width, 1.0)
        assert window.top >= 0
        assert window.left >= 0
        assert window.top + window.height <= height
        assert window.left + window.width <= width
        assert min(window.height, window.width) >= 1
        areas.append(ground.height * ground.width / side**2)
        assert 0.7 <= ground.width / ground.height <= 1.4
    assert 0.2 <= min(areas) < 0.25
    assert 0.55 < max(areas) <= 0.6


def test_windows_are_anywhere_in_the_image() -> None:
    windows = [
        pixel_window(RandomCrop().draw(64, 128, chance(s)), 64, 128, 1.0) for s in range(300)
    ]
    assert min(w.left for w in windows) == min(w.top for w in windows) == 0
    assert max(w.left + w.width for w in windows) >= 127
    assert max(w.top + w.height for w in windows) == 64


def test_without_a_scale_the_largest_square_in_the_middle_is_taken() -> None:
    crop = RandomCrop(scale=None, flip='none')
    for seed in range(5):
        window = pixel_window(crop.draw(26, 66, chance(seed)), 26, 66, 1.0)
        assert window == PixelWindow(0, 20, 26, 26)


def test_a_window_that_fits_nowhere_becomes_the_largest_square() -> None:
    crop = RandomCrop(scale=(1, 1), ratio=(1.3, 4 / 3))
    found = crop.draw(50, 50, chance(0))
    assert (found.height, found.width, found.south, found.east) == (50, 50, 0, 0)


@pytest.mark.parametrize(
    ('flip', 'expected'), [('none', (0, 0)), ('horizontal', (0.5, 0)), ('both', (0.5, 0.5))]
)
def test_every_flip_has_its_effect(flip: str, expected: tuple[float, float]) -> None:
    found = [RandomCrop(flip=flip).draw(9, 9, chance(seed)) for seed in range(400)]
    shares = np.mean([w.mirrored for w in found]), np.mean([w.upside_down for w in found])
    assert shares == pytest.approx(expected, abs=0.08)


def test_a_window_is_the_same_ground_in_images_of_other_pixels() -> None:
    ground = RandomCrop(flip='none').draw(2640, 2640, chance(8))
    fine = pixel_window(ground, 264, 264, 10.0)
    coarse = pixel_window(ground, 45, 47, 60.0)
    for window, (height, width), gsd in ((fine, (264, 264), 10), (coarse, (45, 47), 60)):
        south = (window.top + window.height / 2 - height / 2) * gsd
        east = (window.left + window.width / 2 - width / 2) * gsd
        assert (south, east) == pytest.approx((ground.south, ground.east), abs=gsd)
        assert window.height * gsd == pytest.approx(ground.height, abs=gsd / 2 + 1e-6)


def test_a_crop_is_the_pixels_of_its_window() -> None:
    image = torch.arange(60.0).reshape(1, 6, 10)
    assert torch.equal(cropped(image, PixelWindow(2, 3, 2, 4)), image[:, 2:4, 3:7])
    middle = pixel_window(GroundWindow(0, 0, 20, 40), 6, 10, 10.0)
    assert middle == PixelWindow(2, 3, 2, 4)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'scale': (0, 1)}, 'crop scale'),
        ({'scale': (0.5, 0.2)}, 'crop scale'),
        ({'scale': (0.5, 1.5)}, 'crop scale'),
        ({'scale': (math.nan, 1)}, 'crop scale'),
        ({'scale': 0.5}, 'crop scale is 0.5; wanted two numbers'),
        ({'scale': (0.1, 0.2, 0.3)}, 'two numbers'),
        ({'ratio': (0, 1)}, 'crop ratio'),
        ({'ratio': (2, 1)}, 'crop ratio'),
        ({'ratio': ('1', 1)}, 'two numbers'),
        ({'flip': 'vertical'}, "Allowed: 'none', 'horizontal', 'both'"),
    ],
)
def test_impossible_crops_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RandomCrop(**options)  # type: ignore[arg-type]
