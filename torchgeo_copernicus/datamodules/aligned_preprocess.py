"""From a batch of several modalities and dates to what a model sees, all of them kept pixel on pixel.

Each modality has its own scale; crop and flips are drawn once for each sample and are the same for its
modalities and dates, and the metadata follows the crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.ssl4eo.scale import Scale
from torchgeo_copernicus.metadata import METRES_PER_DEGREE


class AlignedPreprocess(nn.Module):
    """Scales, crops and flips a batch; keys other than `image` and `metadata` pass through."""

    def __init__(
        self,
        scales: Mapping[str, Scale],
        crop_size: int | None = None,
        augment: bool = False,
        concat: bool = False,
        metadata: bool = True,
    ) -> None:
        """Set the steps.

        Args:
            scales: By modality, in the order of the channels when they are concatenated. With one
                modality the batch holds tensors, with several it holds dicts of them.
            crop_size: Side (px) of the crop; None leaves images whole.
            augment: Draw the crop's place and flips with PyTorch's generator, else take the middle.
            concat: Put the channels of all modalities into one image; the metadata is then that of the
                first.
            metadata: Keep it.
        """
        super().__init__()
        self.modalities = tuple(scales)
        self.clip = {name: scale.clip for name, scale in scales.items()}
        self.crop_size, self.augment = crop_size, augment
        self.concat, self.metadata = concat, metadata
        for name, scale in scales.items():
            for part in ('offset', 'span', 'fill'):
                values = torch.tensor(getattr(scale, part))[:, None, None]
                self.register_buffer(f'{part}_{name}', values, persistent=False)

    def forward(self, batch: Sample) -> Sample:
        """Return the batch with images for a model.

        Args:
            batch: `image` (`[B, C, H, W]` or `[B, T, C, H, W]`) and perhaps `metadata` (`[B, 4]` or
                `[B, T, 4]`), each a dict by modality where there are several.

        Raises:
            ValueError: If an image is smaller than the crop, modalities differ in size, or have
                different numbers of dates and are to be concatenated.
        """
        single = len(self.modalities) == 1
        images: dict[str, Tensor] = (
            {self.modalities[0]: batch['image']} if single else dict(batch['image'])
        )
        sizes = {tuple(image.shape[-2:]) for image in images.values()}
        if len(sizes) > 1:
            raise ValueError(f'modalities of a batch differ in size: {sorted(sizes)} px.')
        rows, columns, flips = self._drawn(len(next(iter(images.values()))), sizes.pop())
        images = {
            name: self._moved(self._scaled(name, images[name]), rows, columns, flips)
            for name in self.modalities
        }
        out = {key: value for key, value in batch.items() if key not in ('image', 'metadata')}
        out['image'] = self._joined(images)
        if self.metadata and 'metadata' in batch:
            whole = batch['image'] if single else batch['image'][self.modalities[0]]
            given = {self.modalities[0]: batch['metadata']} if single else batch['metadata']
            places = {
                name: self._follow(entry, whole.shape[-2:], rows, columns)
                for name, entry in given.items()
            }
            first = places[self.modalities[0]]
            out['metadata'] = first if single or self.concat else places
        return out

    def _joined(self, images: dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
        if len(images) == 1:
            return images[self.modalities[0]]
        if not self.concat:
            return images
        shapes = {tuple(image.shape[:-3]) for image in images.values()}
        if len(shapes) > 1:
            raise ValueError(
                f'modalities have different numbers of dates, {sorted(shapes)}, and cannot be concatenated.'
            )
        return torch.cat([images[name] for name in self.modalities], dim=-3)

    def _scaled(self, name: str, image: Tensor) -> Tensor:
        offset, span, fill = (
            cast(Tensor, getattr(self, f'{part}_{name}')).to(image)
            for part in ('offset', 'span', 'fill')
        )
        scaled = (torch.where(image.isfinite(), image, fill) - offset) / span
        return scaled.clamp(0, 1) if self.clip[name] else scaled

    def _drawn(
        self, count: int, size: tuple[int, ...]
    ) -> tuple[list[int], list[int], list[list[int]]]:
        """Return the first row, the first column and the flipped axes of each sample."""
        height, width = size
        crop = self.crop_size
        if crop is not None and crop > min(height, width):
            raise ValueError(f'crop_size is {crop} px, images are {height} x {width} px.')
        spare = (0, 0) if crop is None else (height - crop, width - crop)
        if not self.augment:
            return [spare[0] // 2] * count, [spare[1] // 2] * count, [[]] * count
        rows, columns = (torch.randint(side + 1, (count,)).tolist() for side in spare)
        coins = torch.rand(count, 2) < 0.5
        return rows, columns, [[axis for axis in (0, 1) if coin[axis]] for coin in coins]

    def _moved(
        self, image: Tensor, rows: list[int], columns: list[int], flips: list[list[int]]
    ) -> Tensor:
        height, width = image.shape[-2:]
        tall, wide = (height, width) if self.crop_size is None else (self.crop_size, self.crop_size)
        return torch.stack(
            [
                one[..., row : row + tall, column : column + wide].flip([axis - 2 for axis in axes])
                for one, row, column, axes in zip(image, rows, columns, flips, strict=True)
            ]
        )

    def _follow(
        self, metadata: Tensor, size: Sequence[int], rows: list[int], columns: list[int]
    ) -> Tensor:
        """Return the metadata of the crops: images lie north up, on a grid of metres."""
        if self.crop_size is None:
            return metadata
        down, right = (
            torch.tensor(firsts, dtype=torch.float64) + self.crop_size // 2 - side // 2
            for firsts, side in zip((rows, columns), size, strict=True)
        )
        longitude, latitude, days, gsd_m = metadata.double().unbind(-1)
        if metadata.ndim == 3:
            down, right = down[:, None], right[:, None]
        degrees = gsd_m / METRES_PER_DEGREE
        north = latitude - down.to(degrees) * degrees
        east = longitude + right.to(degrees) * degrees / latitude.deg2rad().cos()
        # Where the grid crosses the date line.
        east = torch.where(east > 180, east - 360, torch.where(east < -180, east + 360, east))
        moved = torch.stack([east, north, days, gsd_m], dim=-1)
        # Unknown distances leave a known place alone.
        return torch.where(moved.isfinite(), moved, metadata.double()).to(metadata.dtype)
