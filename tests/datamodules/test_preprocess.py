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
