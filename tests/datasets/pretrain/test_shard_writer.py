"""Members of shards: the numbers of an image and no others, and names as the release has them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch

from torchgeo_copernicus.datasets.pretrain.shards.shard_writer import image_names, tensor_bytes


def test_of_a_view_neither_the_rest_nor_the_order_of_the_whole_is_saved() -> None:
    whole = np.arange(4 * 300 * 2, dtype=np.int16).reshape(4, 300, 2)
    for view in (whole[1], whole.T, whole[:, ::2]):
        content = tensor_bytes(view)
        assert len(content) < view.nbytes + 2000
        found = torch.load(BytesIO(content), weights_only=True)
        assert found.is_contiguous()
        assert found.untyped_storage().nbytes() == view.nbytes
        np.testing.assert_array_equal(found.numpy(), view)


def test_names_are_nested_as_in_the_release() -> None:
    grid, days = '0772176_-96.00_44.00', [['20221121', '20220320']]
    assert image_names('s2_toa', grid, ['0865831_-95.92_43.96'], days) == [
        [[f'{grid}/0865831_-95.92_43.96/20221121'], [f'{grid}/0865831_-95.92_43.96/20220320']]
    ]
    assert image_names('s3_olci', grid, (), days) == [[f'{grid}/20221121'], [f'{grid}/20220320']]
    assert image_names('dem', grid, (), ()) == [[grid]]
