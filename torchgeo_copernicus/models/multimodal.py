"""All Sentinels together: images of several modalities of one place, through one encoder.

Promises that a sample's result is that of the modalities it has, whatever its neighbours in the batch have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from torchgeo_copernicus.models.channels import Channels, VariableChannels
from torchgeo_copernicus.models.copernicus_fm import CopernicusFM
from torchgeo_copernicus.models.map_fusion import concatenate, masked, mean, to_grid
from torchgeo_copernicus.require import require

Fusion = Literal['mean', 'concat', 'token', 'dict']


@dataclass(frozen=True, eq=False)
class Modality:
    """One kind of image.

    Attributes:
        channels: What its channels measure, see `resolve_channels`.
        kernel_size: Patch side (px).
    """

    channels: Channels
    kernel_size: int


@dataclass
class _Stream:
    """Tokens `[B, 1 + h * w, D]` of one modality, and their grid."""

    tokens: Tensor
    grid: tuple[int, int]


class MultiModalCopernicusFM(nn.Module):
    """Encodes several modalities and fuses their maps.

    Modalities with equal token grids go through the blocks together. Maps are brought to the finest grid
    among the images given (bilinear), taken to cover the same ground.

    How they are fused:

    - `mean` of the modalities that a sample has;
    - `concat`: channels side by side in the order of the modalities, zero for a missing one;
    - `token`: all modalities form one token sequence, in which each attends to the others, and the mean of
      their maps is taken after that;
    - `dict`: not at all; one dictionary of maps for each block asked for, zero for a missing one.
    """

    def __init__(
        self, encoder: CopernicusFM, modalities: Mapping[str, Modality], fusion: Fusion = 'mean'
    ) -> None:
        """Wrap an encoder.

        Args:
            encoder: Shared by all modalities.
            modalities: By the names the images will have.
            fusion: See the class.

        Raises:
            ValueError: If there is no modality, or no such fusion.
        """
        super().__init__()
        if fusion not in get_args(Fusion):
            raise ValueError(f'fusion is {fusion!r}; allowed are {list(get_args(Fusion))}.')
        if not modalities:
            raise ValueError('Name at least one modality.')
        self.encoder = encoder
        self.modalities = dict(modalities)
        for number, modality in enumerate(self.modalities.values()):
            # Kept in checkpoints: a model must not meet another vector than it was trained with.
            if isinstance(modality.channels, VariableChannels):
                vectors = modality.channels.vectors.clone()
                self.register_buffer(f'language_vectors_{number}', vectors)
        self.fusion: Fusion = fusion

    def forward(
        self,
        images: Mapping[str, Tensor],
        metadata: Mapping[str, Tensor] | Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
        indices: Sequence[int] = (3, 5, 7, 11),
    ) -> list[Tensor] | list[dict[str, Tensor]]:
        """Encode samples.

        Args:
            images: Normalised images `[B, C, H, W]` by modality; a modality that no sample has may be
                left out.
            metadata: float32 `[B, 4]`, see `CopernicusFM`, for all modalities or by modality; unknown
                where there is none.
            present: bool `[B]` by modality: which samples have it; all, where there is none. The images
                of the others are not looked at, whatever they hold.
            indices: Blocks to return maps of.

        Returns:
            One map `[B, D, h, w]` per index (`[B, M * D, h, w]` for `concat`), before any norm; for
            `dict` one dictionary of maps per index.

        Raises:
            ValueError: If a name is unknown, batches differ, or a sample has no modality.
        """
        batch = self._batch_size(images, metadata, present)
        device = self.encoder.cls_token.device
        names = [name for name in self.modalities if name in images]
        all_of_them = torch.ones(batch, dtype=torch.bool, device=device)
        has = {name: (present or {}).get(name, all_of_them).to(device) for name in names}
        require(torch.stack(list(has.values())).any(dim=0), 'A sample has none of the modalities.')
        streams = []
        for name in names:
            modality = self.modalities[name]
            x = images[name]
            if present is not None:
                # What a missing image holds, such as NaN, must not get anywhere.
                x = x.where(has[name][:, None, None, None], 0.0)
            known = metadata.get(name) if isinstance(metadata, Mapping) else metadata
            tokens, grid = self.encoder.embed(x, known, self._channels(name), modality.kernel_size)
            streams.append(_Stream(tokens, grid))
        wanted = self.encoder.block_indices(indices)
        if self.fusion == 'token':
            maps = self._together(streams, None if present is None else list(has.values()), wanted)
        else:
            maps = self._apart(streams, wanted)
        layers = [dict(zip(names, layer, strict=True)) for layer in maps]
        if self.fusion == 'dict':
            return [{name: masked(layer[name], has[name]) for name in names} for layer in layers]
        grid = max((stream.grid for stream in streams), key=lambda sides: sides[0] * sides[1])
        layers = [{name: to_grid(layer[name], grid) for name in names} for layer in layers]
        if self.fusion == 'concat':
            return [concatenate(layer, has, list(self.modalities)) for layer in layers]
        return [mean(layer, has) for layer in layers]

    def _channels(self, name: str) -> Channels:
        channels = self.modalities[name].channels
        if isinstance(channels, VariableChannels):
            number = list(self.modalities).index(name)
            return VariableChannels(self.get_buffer(f'language_vectors_{number}'))
        return channels

    def _batch_size(
        self,
        images: Mapping[str, Tensor],
        metadata: Mapping[str, Tensor] | Tensor | None,
        present: Mapping[str, Tensor] | None,
    ) -> int:
        """Return the batch size.

        Raises:
            ValueError: If names or shapes do not go together.
        """
        told = metadata if isinstance(metadata, Mapping) else {}
        for what, given in (('images', images), ('metadata', told), ('present', present or {})):
            if unknown := [name for name in given if name not in self.modalities]:
                raise ValueError(
                    f'{what} has {unknown}; the modalities are {list(self.modalities)}.'
                )
        if not images:
            raise ValueError(f'No images were given; the modalities are {list(self.modalities)}.')
        sizes = {name: x.shape[0] for name, x in images.items()}
        batch = next(iter(sizes.values()))
        if any(size != batch for size in sizes.values()):
            raise ValueError(f'The modalities have different batch sizes: {sizes}.')
        for name, flags in (present or {}).items():
            if flags.shape != (batch,) or flags.dtype != torch.bool:
                raise ValueError(
                    f'present[{name!r}] must be bool [{batch}], got {flags.dtype} '
                    f'{list(flags.shape)}.'
                )
        return batch

    def _apart(self, streams: list[_Stream], indices: list[int]) -> list[list[Tensor]]:
        """Return maps by index and modality; equal grids take one pass together."""
        maps: list[dict[int, Tensor]] = [{} for _ in indices]
        for grid in dict.fromkeys(stream.grid for stream in streams):
            members = [i for i, stream in enumerate(streams) if stream.grid == grid]
            tokens = torch.cat([streams[i].tokens for i in members])
            for found, layer in zip(maps, self._run(tokens, None, indices), strict=True):
                parts = layer.chunk(len(members))
                found |= {i: _as_map(part, grid) for i, part in zip(members, parts, strict=True)}
        return [[found[i] for i in range(len(streams))] for found in maps]

    def _together(
        self, streams: list[_Stream], present: list[Tensor] | None, indices: list[int]
    ) -> list[list[Tensor]]:
        """Return maps by index and modality, of one joint sequence."""
        lengths = [stream.tokens.shape[1] for stream in streams]
        mask = None
        if present is not None:
            columns = [
                flags[:, None].expand(-1, length)
                for flags, length in zip(present, lengths, strict=True)
            ]
            mask = torch.cat(columns, dim=1)[:, None, None]
        tokens = torch.cat([stream.tokens for stream in streams], dim=1)
        return [
            [
                _as_map(part, stream.grid)
                for part, stream in zip(torch.split(layer, lengths, dim=1), streams, strict=True)
            ]
            for layer in self._run(tokens, mask, indices)
        ]

    def _run(self, tokens: Tensor, mask: Tensor | None, indices: list[int]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for index in range(max(indices) + 1):
            tokens = self.encoder.run_block(index, tokens, mask)
            if index in indices:
                found[index] = tokens
        return [found[index] for index in indices]


def _as_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return `[B, D, h, w]` of tokens `[B, 1 + h * w, D]`."""
    return tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], -1, *grid)
