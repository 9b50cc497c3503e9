"""Images brought to the squares of the shards: as kornia does, and gaps that stay as they are."""

from __future__ import annotations

import kornia.augmentation as K
import numpy as np
import pytest
import torch

from torchgeo_copernicus.datasets.pretrain.convert.square_image import square_image


@pytest.mark.parametrize(
    ('height', 'width', 'side'),
    [(268, 267, 264), (67, 174, 96), (26, 66, 28), (936, 2402, 960), (37, 20, 28), (16, 16, 28), (50, 91, 17)],
)  # fmt: skip
def test_resizing_is_that_of_the_release(height: int, width: int, side: int) -> None:
    image = torch.randn(2, height, width, generator=torch.Generator().manual_seed(0))
    theirs = torch.nn.Sequential(K.SmallestMaxSize(side), K.CenterCrop(side))(image[None])[0]
    ours = square_image(image.numpy(), side)
    assert ours.shape == (2, side, side)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_gaps_do_not_grow_by_resizing() -> None:
    image = torch.randn(1, 40, 50, generator=torch.Generator().manual_seed(1))
    image[:, :, 30:33] = torch.nan
    image[:, 11, 12] = torch.nan
    for side, least in ((28, 1.05), (56, 1.2)):
        theirs = torch.nn.Sequential(K.SmallestMaxSize(side), K.CenterCrop(side))(image[None])[0]
        ours = square_image(image.numpy(), side)
        known = ~np.isnan(theirs.numpy())
        # The same wherever theirs has a value, and fewer pixels without one, but those in the middle.
        np.testing.assert_allclose(ours[known], theirs.numpy()[known], atol=1e-5)
        share = np.isnan(ours).mean()
        assert 0.03 < share < np.isnan(theirs.numpy()).mean() / least
        assert share == pytest.approx(float(image.isnan().float().mean()), rel=0.5)


def test_an_image_of_the_right_size_keeps_pixels_beside_a_gap() -> None:
    image = np.random.default_rng(0).normal(size=(1, 28, 30)).astype(np.float32)
    image[0, 5, 5:8] = np.nan
    np.testing.assert_array_equal(square_image(image, 28), image[:, :, 1:29])
