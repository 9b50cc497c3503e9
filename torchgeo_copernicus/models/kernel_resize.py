"""Resizes generated 16 x 16 patch kernels to any kernel size, by the pseudo-inverse (FlexiViT).

The resized kernel gives on an upsampled patch what the old one gave on the patch: plain interpolation of
kernels changes the outputs of the released model by 0.4 to 1.7.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from torchgeo_copernicus.models.constant import as_constant, constant

#: Side (px) of the kernels the hypernetwork generates.
BASE_KERNEL_SIZE = 16


@constant
def resize_matrix(kernel_size: int, device: torch.device) -> Tensor:
    """Return the matrix that maps a flattened 16 x 16 kernel to a flattened `kernel_size` one.

    It is the pseudo-inverse of antialiased bicubic interpolation from 16 to *kernel_size*. Source:
    FlexiViT, arXiv:2212.08013, section 3.4.

    Args:
        kernel_size: New side (px).
        device: Device of the result.

    Returns:
        float32 tensor `[kernel_size ** 2, 256]`; shared, not to be changed in place.
    """
    with torch.autocast('cpu', enabled=False):
        one_hot = torch.eye(BASE_KERNEL_SIZE**2, dtype=torch.float32, device='cpu')
        one_hot = one_hot.view(-1, 1, BASE_KERNEL_SIZE, BASE_KERNEL_SIZE)
        size = (kernel_size, kernel_size)
        interpolation = F.interpolate(one_hot, size, mode='bicubic', antialias=True)
        matrix: Tensor = torch.linalg.pinv(interpolation.flatten(1))
    return matrix.to(device)


def resize_kernel(kernel: Tensor, kernel_size: int) -> Tensor:
    """Resize patch kernels.

    Args:
        kernel: `[D, C, 16, 16]`.
        kernel_size: New side (px).

    Returns:
        `[D, C, kernel_size, kernel_size]` in the dtype of *kernel*, computed in float32.
    """
    if kernel_size == BASE_KERNEL_SIZE:
        return kernel
    matrix = resize_matrix(as_constant(kernel_size), kernel.device)
    with torch.autocast(kernel.device.type, enabled=False):
        # One matrix: generated kernels are not contiguous, and a product per feature is slower.
        resized = kernel.float().reshape(-1, BASE_KERNEL_SIZE**2) @ matrix.T
    return resized.reshape(*kernel.shape[:2], kernel_size, kernel_size).to(kernel.dtype)
