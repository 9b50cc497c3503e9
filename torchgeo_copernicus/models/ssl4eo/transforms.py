"""From an image in physical units to what a pretrained model saw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop, resize

from torchgeo_copernicus.models.ssl4eo.normalisation import Normalisation, scaling_of


@dataclass(frozen=True)
class SSL4EOTransforms:
    """Scales, resizes and crops; never in place.

    The scaling is that of the pretraining; `dataclasses.replace(transforms, normalisation='standardise')`
    has another. Resizing to 256 and cropping to 224 is how the release evaluates. The pretraining took
    crops of 224 from images of 264 at 10 m, so for images of 10 m and any size a model can take, `resize_px`
    and `crop_px` of None keep the sampling distance.

    Attributes:
        bands: Names of the bands in the order of the channels.
        normalisation: See `normalisation`.
        quantised: Round down to 255 steps, as the 8-bit images of the training; not for `standardise`.
        offset_dn: What was added to the digital numbers of Sentinel-2, see `scaling_of`.
        resize_px: Sides (px) after resizing, bilinear with antialiasing; None for as they are.
        crop_px: Sides (px) of the centre that is taken; None for all.
    """

    bands: tuple[str, ...]
    normalisation: Normalisation
    quantised: bool = False
    offset_dn: float = 0.0
    resize_px: int | None = 256
    crop_px: int | None = 224

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: If one is not understood.
        """
        scaling = scaling_of(self.bands, self.normalisation, offset_dn=self.offset_dn)
        if self.quantised and not scaling.clip:
            raise ValueError(f'quantised is not for normalisation {self.normalisation!r}.')
        for name, size in (('resize_px', self.resize_px), ('crop_px', self.crop_px)):
            if size is not None and (type(size) is not int or size < 1):
                raise ValueError(f'{name} is {size!r}; wanted a number of pixels or None.')

    def __call__(self, image: Tensor) -> Tensor:
        """Transform one image or a batch.

        Args:
            image: `[..., C, H, W]`: digital numbers (reflectance x 10000) or dB. NaN stays NaN.

        Returns:
            `[..., C, crop_px, crop_px]`, float32 (float64 of float64).

        Raises:
            ValueError: If it is no image tensor of so many channels.
        """
        scaling = scaling_of(self.bands, self.normalisation, offset_dn=self.offset_dn)
        scaled = scaling(image)
        if self.quantised:
            scaled = torch.floor(scaled * 255) / 255
        if self.resize_px is not None:
            scaled = resize(scaled, [self.resize_px, self.resize_px], antialias=True)
        return scaled if self.crop_px is None else center_crop(scaled, [self.crop_px, self.crop_px])
