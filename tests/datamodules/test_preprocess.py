"""Preprocessing: the published numbers, and label maps that stay true under every operation."""

from collections.abc import Callable
from typing import Any

import kornia.augmentation as K
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from torchgeo_copernicus.datamodules.augmentation import flips, rotation_and_flips
from torchgeo_copernicus.datamodules.preprocess import Preprocess

LABELS = {-100, 0, 1, 2, 3}


def blobs(n: int = 4, size: int = 96) -> Tensor:
    """Smooth random images `[N, 1, size, size]` around 0, different everywhere."""
    noise = torch.randn(n, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, (size, size), mode='bicubic', align_corners=True)


def labels_like(image: Tensor) -> Tensor:
    """Random labels 0..3 `[N, H, W]`, in patches."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randint(0, 4, (len(image), 1, 8, 8), generator=generator).float()
    return F.interpolate(coarse, image.shape[2:], mode='nearest')[:, 0].long()


def sequence(*operations: Any) -> K.AugmentationSequential:
    return K.AugmentationSequential(*operations, data_keys=['input', 'mask'])


def segmentation() -> K.AugmentationSequential:
    return rotation_and_flips('input', 'mask')


def classification() -> K.AugmentationSequential:
    return flips('input')


OPERATIONS: dict[str, Callable[[], K.AugmentationSequential]] = {
    'published': segmentation,
    'rotation': lambda: sequence(K.RandomRotation(degrees=90, p=1.0, align_corners=True)),
    'horizontal flip': lambda: sequence(K.RandomHorizontalFlip(p=1.0)),
    'vertical flip': lambda: sequence(K.RandomVerticalFlip(p=1.0)),
}


def test_normalisation_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    image = torch.rand(3, 2, 8, 8) * 5000
    out = Preprocess(torch.tensor([1000.0, 2000.0]), torch.tensor([500.0, 4.0]), 8)(
        {'image': image}
    )['image']
    assert torch.allclose(out[:, 0], (image[:, 0] - 1000) / 500)
    assert torch.allclose(out[:, 1], (image[:, 1] - 2000) / 4)


def test_missing_pixels_become_the_mean_and_do_not_spread_when_resized() -> None:
    image = torch.full((1, 1, 8, 8), 7.0)
    image[..., :3, :] = torch.nan
    assert (
        Preprocess(torch.tensor([5.0]), torch.tensor([2.0]), 8)({'image': image})['image'][0, 0, :3]
        .eq(0)
        .all()
    )
    resized = Preprocess(torch.tensor([5.0]), torch.tensor([2.0]), 16)({'image': image})['image']
    assert resized.isfinite().all()
    assert torch.allclose(resized[..., 7:, :], torch.tensor(1.0))


@pytest.mark.parametrize('value', [torch.inf, -torch.inf])
def test_infinite_pixels_do_not_become_the_largest_number_there_is(value: float) -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 4, 4] = value
    out = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), 16)({'image': image})['image']
    assert out.isfinite().all()
    assert out.abs().max() < 1e6


@pytest.mark.parametrize(('before', 'after'), [(64, 224), (32, 48), (64, 40), (33, 64)])
def test_resize_is_that_of_the_published_code(before: int, after: int) -> None:
    image = torch.randn(2, 3, before, before)
    out = Preprocess(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 1.0]), after)(
        {'image': image}
    )['image']
    wanted = K.Resize((after, after), align_corners=True, antialias=False)(image)
    assert torch.allclose(out, wanted, atol=1e-5)


@pytest.mark.parametrize('size', [64, 160])
def test_a_resized_mask_keeps_its_labels_and_their_shares(size: int) -> None:
    image = blobs()
    mask = labels_like(image)
    mask[:, :12] = -100
    out = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), size)(
        {'image': image, 'mask': mask}
    )['mask']
    assert (out.shape, out.dtype) == ((4, size, size), torch.int64)
    for label in LABELS:
        assert (out == label).float().mean() == pytest.approx(
            (mask == label).float().mean().item(), abs=0.02
        )


def test_rotation_pads_labels_with_the_ignore_index_not_class_0() -> None:
    rotate = sequence(K.RandomRotation(degrees=(45.0, 45.0), p=1.0, align_corners=True))
    mask = torch.full((2, 64, 64), 3)
    batch = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), 64, rotate)(
        {'image': torch.ones(2, 1, 64, 64), 'mask': mask}
    )
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert batch['mask'][:, row, column].eq(-100).all()
        assert batch['image'][:, :, row, column].eq(0).all()
    assert set(batch['mask'].unique().tolist()) == {-100, 3}
    # An octagon remains of a square turned by 45 degrees.
    assert (batch['mask'] == 3).float().mean() == pytest.approx(0.828, abs=0.03)
    assert batch['mask'][:, 32, 32].eq(3).all()


@pytest.mark.parametrize('name', OPERATIONS)
def test_no_operation_invents_a_label_or_loses_the_ignored_one(name: str) -> None:
    image = blobs(6, 64)
    mask = labels_like(image)
    mask[:, 24:40, 24:40] = -100
    step = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), 80, OPERATIONS[name]())
    for seed in range(2):
        torch.manual_seed(seed)
        out = step({'image': image, 'mask': mask})['mask']
        assert set(out.unique().tolist()) <= LABELS
        # The square in the middle, under any of the operations.
        assert out[:, 34:46, 34:46].eq(-100).all()
        assert (out == -100).float().mean() > 0.05


@pytest.mark.parametrize('name', OPERATIONS)
@pytest.mark.parametrize('size', [96, 64, 128])
def test_image_and_mask_stay_aligned_in_every_sample(name: str, size: int) -> None:
    image = blobs(8)
    step = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), size, OPERATIONS[name]())
    torch.manual_seed(3)
    batch = step({'image': image, 'mask': (image[:, 0] > 0).long()})
    picture = batch['image'][:, 0]
    sure = (picture.abs() > 0.1) & (batch['mask'] != -100)
    agrees = (picture > 0) == (batch['mask'] == 1)
    for index in range(8):
        assert sure[index].float().mean() > 0.5
        assert agrees[index][sure[index]].float().mean() > 0.99
    # It would not pass by chance: with the label map of another sample it does not.
    crossed = (picture > 0) == (batch['mask'].roll(1, 0) == 1)
    assert crossed[sure].float().mean() < 0.8
    # The samples are not all changed alike, and changed at all.
    if name in ('published', 'rotation'):
        assert len({mask.eq(-100).sum().item() for mask in batch['mask']}) > 3
    assert not torch.equal(
        batch['image'],
        Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), size)({'image': image})['image'],
    )


@pytest.mark.parametrize('key', ['mask', 'label'])
def test_other_keys_pass_untouched_and_the_batch_itself_is_not_changed(key: str) -> None:
    image = blobs()
    batch: dict[str, Any] = {
        'image': image.clone(),
        'metadata': torch.tensor([[7.0, 50.0, torch.nan, 10.0]] * 4),
        'filename': ['a', 'b', 'c', 'd'],
        key: labels_like(image) if key == 'mask' else torch.arange(4),
    }
    augment = segmentation() if key == 'mask' else classification()
    mask = labels_like(image)
    torch.manual_seed(0)
    out = Preprocess(torch.tensor([1.0]), torch.tensor([2.0]), 64, augment)(batch)
    assert out.keys() == batch.keys()
    assert out['metadata'] is batch['metadata']
    assert out['filename'] == ['a', 'b', 'c', 'd']
    assert torch.equal(batch['image'], image)
    if key == 'label':
        assert out['label'] is batch['label']
    else:
        assert torch.equal(batch['mask'], mask)


def test_classification_is_flipped_both_ways_and_nothing_else() -> None:
    image = blobs(32, 16)
    torch.manual_seed(0)
    out = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), 16, classification())(
        {'image': image}
    )['image']
    found = set()
    for before, after in zip(image, out, strict=True):
        flips = {axes: before.flip(axes) for axes in ((), (1,), (2,), (1, 2))}
        found |= {axes for axes, flipped in flips.items() if torch.allclose(flipped, after)}
    assert found == {(), (1,), (2,), (1, 2)}


@pytest.mark.parametrize('augment', [segmentation, classification])
def test_the_seed_decides_the_augmentation(augment: Any) -> None:
    image = blobs(8, 32)
    batch = {'image': image}
    if augment is segmentation:
        batch['mask'] = labels_like(image)
    outs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outs.append(Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), 32, augment())(batch))
    assert all(torch.equal(outs[0][key], outs[1][key]) for key in batch)
    assert not torch.equal(outs[0]['image'], outs[2]['image'])


def test_types_are_kept_and_one_sample_is_a_batch_too() -> None:
    image = blobs(1, 32)
    assert image.dtype == torch.float32
    step = Preprocess(torch.tensor([0.0]), torch.tensor([1.0]), 48, segmentation())
    batch = step({'image': image, 'mask': labels_like(image)})
    assert (batch['image'].shape, batch['image'].dtype) == ((1, 1, 48, 48), torch.float32)
    assert (batch['mask'].shape, batch['mask'].dtype) == ((1, 48, 48), torch.int64)


def step(size: int, augmentation: Any = None, target: Any = 'nearest') -> Preprocess:
    """Preprocessing that changes no value."""
    zero, one = torch.tensor([0.0]), torch.tensor([1.0])
    return Preprocess(zero, one, size, augmentation, interpolation=target)


def turn(degrees: float, *keys: str) -> K.AugmentationSequential:
    rotation = K.RandomRotation(degrees=(degrees, degrees), p=1.0, align_corners=True)
    return K.AugmentationSequential(rotation, data_keys=list(keys))


# Interpolation of the target -> data keys of its augmentation, as the datamodules choose them.
TARGETS = {'nearest': ('input', 'mask'), 'bilinear': ('input', 'input')}
EVERY_TARGET = pytest.mark.parametrize('interpolation', TARGETS)


@pytest.mark.parametrize('name', OPERATIONS)
@pytest.mark.parametrize('size', [48, 64])
def test_all_dates_and_bands_of_a_sample_move_alike(name: str, size: int) -> None:
    pattern = blobs(6, 48)
    # Every plane is the pattern times a number of its own.
    factors = torch.tensor([[1.0, 2.0], [-3.0, 0.5], [5.0, -1.0]])[:, :, None, None]
    series = pattern[:, None] * factors
    torch.manual_seed(5)
    out = step(size, OPERATIONS[name]())({'image': series, 'mask': labels_like(pattern)})['image']
    assert out.shape == (6, 3, 2, size, size)
    torch.testing.assert_close(out, out[:, :1, :1] * factors, atol=1e-4, rtol=1e-4)
    # The samples do move, and not all alike.
    still = step(size)({'image': series})['image']
    moved = [not torch.allclose(a, b, atol=1e-3) for a, b in zip(out, still, strict=True)]
    assert any(moved)
    if name == 'published':
        assert len({tuple(image[0, 0].flatten()[:9].tolist()) for image in out}) > 2


@pytest.mark.parametrize(
    'augment', [segmentation, OPERATIONS['horizontal flip']], ids=['published', 'flip']
)
def test_a_mark_in_each_date_stays_under_its_label(augment: Any) -> None:
    series = torch.zeros(8, 4, 2, 40, 40)
    mask = torch.zeros(8, 40, 40, dtype=torch.int64)
    series[..., 22:27, 8:13] = 1.0
    mask[:, 22:27, 8:13] = 3
    torch.manual_seed(1)
    out = step(40, augment())({'image': series, 'mask': mask})
    places = set()
    for image, labels in zip(out['image'], out['mask'], strict=True):
        rows, columns = (labels == 3).nonzero().float().mean(0).tolist()
        grid = torch.arange(40.0)
        for plane in image.flatten(0, 1):
            assert (plane.sum(1) @ grid / plane.sum()).item() == pytest.approx(rows, abs=0.6)
            assert (plane.sum(0) @ grid / plane.sum()).item() == pytest.approx(columns, abs=0.6)
        places.add((round(rows), round(columns)))
    if augment is segmentation:
        assert len(places) > 3
    else:
        assert places == {(24, 29)}


def test_a_series_is_flipped_in_classification_too_and_keeps_its_dates_apart() -> None:
    series = torch.randn(32, 3, 2, 8, 8)
    torch.manual_seed(0)
    out = step(8, classification())({'image': series})['image']
    found = set()
    for before, after in zip(series, out, strict=True):
        candidates = {axes: before.flip(axes) for axes in ((), (2,), (3,), (2, 3))}
        matches = [axes for axes, flipped in candidates.items() if torch.equal(flipped, after)]
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) == 4


def test_each_date_has_its_own_statistics_and_one_pair_serves_all() -> None:
    series = torch.rand(2, 3, 2, 4, 4)
    mean = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    std = torch.tensor([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]])
    out = Preprocess(mean, std, 4)({'image': series})['image']
    for date in range(3):
        for band in range(2):
            wanted = (series[:, date, band] - mean[date, band]) / std[date, band]
            torch.testing.assert_close(out[:, date, band], wanted)
    shared = Preprocess(mean[0], std[0], 4)({'image': series})['image']
    wanted = (series - mean[0][:, None, None]) / std[0][:, None, None]
    torch.testing.assert_close(shared, wanted)


def test_clipping_comes_before_normalisation_and_what_is_missing_becomes_the_upper_end() -> None:
    values = [-1.0, 0.0, 0.1, 0.15, 0.2, torch.nan, torch.inf, -torch.inf]
    image = torch.tensor(values).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    clipped = Preprocess(torch.tensor([0.1]), torch.tensor([0.05]), 8, clip=(0.0, 0.15))
    out = clipped({'image': image})['image'][0, 0, 0]
    torch.testing.assert_close(out, torch.tensor([-2.0, -2.0, 0.0, 1.0, 1.0, 1.0, 1.0, -2.0]))


def holes(n: int = 6, size: int = 32) -> Tensor:
    """Targets `[N, size, size]` that differ everywhere, with blocks of NaN."""
    target = blobs(n, size)[:, 0] * 100 + 500
    target[:, 4:12, 6:20] = torch.nan
    target[:, -5:, :3] = torch.nan
    return target


@EVERY_TARGET
@pytest.mark.parametrize(
    ('operation', 'axis'), [(K.RandomHorizontalFlip, 2), (K.RandomVerticalFlip, 1)]
)
def test_a_flip_moves_target_values_and_holes_and_changes_none(
    interpolation: str, operation: Any, axis: int
) -> None:
    target = holes()
    flip = K.AugmentationSequential(operation(p=1.0), data_keys=list(TARGETS[interpolation]))
    out = step(32, flip, interpolation)({'image': blobs(6, 32), 'mask': target})
    torch.testing.assert_close(out['mask'], target.flip(axis), equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(out['image'], blobs(6, 32).flip(axis + 1))


@EVERY_TARGET
@pytest.mark.parametrize('degrees', [90.0, -90.0, 180.0])
def test_a_quarter_turn_moves_target_and_image_the_same_way(
    interpolation: str, degrees: float
) -> None:
    image = blobs(2, 33)
    target = image[:, 0] * 100 + 500
    target[:, 4:10, 3:20] = torch.nan
    out = step(33, turn(degrees, *TARGETS[interpolation]), interpolation)(
        {'image': image, 'mask': target}
    )
    known = out['mask'].isfinite()
    # Of 33 x 33 pixels 102 are holes, wherever they are turned to; a rim may be lost to rounding.
    assert known.float().mean().item() == pytest.approx(1 - 102 / 1089, abs=0.04)
    wanted = out['image'][:, 0] * 100 + 500
    torch.testing.assert_close(out['mask'][known], wanted[known], rtol=0, atol=0.1)
    quarter = torch.rot90(target, round(degrees / 90), (1, 2))
    inside = known & quarter.isfinite()
    assert inside.float().mean() > 0.85
    torch.testing.assert_close(out['mask'][inside], quarter[inside], rtol=0, atol=0.1)


@pytest.mark.parametrize('size', [64, 96, 16])
def test_a_hole_does_not_spread_when_a_target_takes_the_nearest_value(size: int) -> None:
    target = holes()
    out = step(size)({'image': blobs(6, 32), 'mask': target})['mask']
    assert out.shape == (6, size, size)
    where = torch.arange(size) * 32 // size
    wanted = target[:, where][:, :, where]
    torch.testing.assert_close(out, wanted, equal_nan=True, rtol=0, atol=0)


def test_a_hole_spreads_by_less_than_a_pixel_when_a_target_is_interpolated() -> None:
    target = holes()
    out = step(63, target='bilinear')({'image': blobs(6, 32), 'mask': target})['mask']
    # Every second pixel is one of the input, on which nothing is mixed in.
    torch.testing.assert_close(out[:, ::2, ::2], target, equal_nan=True, rtol=1e-5, atol=1e-3)
    # Between two pixels both must be known.
    both = (target[:, :, 1:] + target[:, :, :-1]) / 2
    torch.testing.assert_close(out[:, ::2, 1::2], both, equal_nan=True, rtol=1e-5, atol=1e-3)


@EVERY_TARGET
def test_rotation_pads_a_target_with_nan_and_neither_0_nor_the_mean(interpolation: str) -> None:
    out = step(64, turn(45.0, *TARGETS[interpolation]), interpolation)(
        {'image': torch.ones(2, 1, 64, 64), 'mask': torch.full((2, 64, 64), 4654.0)}
    )['mask']
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert out[:, row, column].isnan().all()
    assert out[:, 32, 32].isfinite().all()
    # An octagon remains, in which nothing fades towards 0.
    known = out[out.isfinite()]
    assert known.numel() / out.numel() == pytest.approx(0.828, abs=0.05)
    torch.testing.assert_close(known, torch.full_like(known, 4654.0), rtol=1e-3, atol=0)


@EVERY_TARGET
@pytest.mark.parametrize('value', [0.0, -3.5, 4654.2632, 1e9])
@pytest.mark.parametrize('size', [24, 56])
def test_a_target_that_is_one_number_stays_that_number(
    interpolation: str, value: float, size: int
) -> None:
    target = torch.full((8, 32, 32), value)
    target[torch.rand(8, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.1] = torch.nan
    augment = rotation_and_flips(*TARGETS[interpolation])
    torch.manual_seed(2)
    out = step(size, augment, interpolation)({'image': blobs(8, 32), 'mask': target})['mask']
    assert out.dtype == torch.float32
    known = out.isfinite()
    assert known.flatten(1).any(dim=1).all()
    assert not known.all()
    torch.testing.assert_close(out[known], torch.full_like(out[known], value), rtol=1.1e-3, atol=0)


@EVERY_TARGET
@pytest.mark.parametrize('size', [17, 32, 96])
def test_without_rotation_a_target_without_holes_gets_none(interpolation: str, size: int) -> None:
    target = blobs(8, 32)[:, 0] * 1000
    out = step(size, flips(*TARGETS[interpolation]), interpolation)(
        {'image': blobs(8, 32), 'mask': target}
    )['mask']
    assert out.isfinite().all()
    assert target.min() - 1e-2 <= out.min()
    assert out.max() <= target.max() + 1e-2


@EVERY_TARGET
def test_infinite_targets_and_targets_without_any_value_are_unknown(interpolation: str) -> None:
    target = torch.ones(3, 16, 16)
    target[0, 4:8, 4:8] = torch.inf
    target[1, 4:8, 4:8] = -torch.inf
    target[2] = torch.nan
    augment = rotation_and_flips(*TARGETS[interpolation])
    torch.manual_seed(0)
    out = step(24, augment, interpolation)({'image': blobs(3, 16), 'mask': target})['mask']
    assert not out.isinf().any()
    assert out[:2].isfinite().flatten(1).any(dim=1).all()
    assert out[2].isnan().all()
    assert out[out.isfinite()].sub(1).abs().max() < 1.1e-3
