"""Copernicus-FM as a TerraTorch backbone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from enum import Enum

import torch
from torch import Tensor, nn

from torchgeo_copernicus.models.builders import SIZES
from torchgeo_copernicus.models.channels import VariableChannels, resolve_channels
from torchgeo_copernicus.models.checkpoint import load_tensors, read_tensors
from torchgeo_copernicus.models.language import stand_in_vector
from torchgeo_copernicus.models.weights import CopernicusFMBase16_Weights, load_weights
from torchgeo_copernicus.sensors import Band, get_sensor, resolve_bands
from torchgeo_copernicus.terratorch.arguments import (
    parse_bands,
    parse_bool,
    parse_int,
    parse_ints,
    parse_str,
)
from torchgeo_copernicus.terratorch.fusion import check_fusion, fuse
from torchgeo_copernicus.terratorch.host_metadata import HOST_KEYS, metadata_from_host


class CopernicusFMBackbone(nn.Module):
    """Returns maps of patch tokens, and takes the metadata of each image from the batch.

    Attributes:
        out_channels: Channels of each map.
        patch_size: Patch side (px); TerraTorch pads images to a multiple of twice this.
        bands: What the channels measure.
    """

    def __init__(
        self,
        size: str,
        pretrained: bool | str = False,
        ckpt_path: str | None = None,
        model_bands: Sequence[Band | str | Enum] | str | None = None,
        sensor: str | None = None,
        out_indices: Sequence[int] | str | None = None,
        kernel_size: int | str | None = None,
        series: str | None = None,
    ) -> None:
        """Build the encoder.

        Args:
            size: Key of `SIZES`.
            pretrained: Load the released weights (base only).
            ckpt_path: Checkpoint to load instead; used whether or not *pretrained* is set.
            model_bands: Band names of the input in its order, ours (B02) or TerraTorch's (BLUE).
            sensor: Name of a modality such as `s2_toa`; gives all its bands, or limits *model_bands* to
                it.
            out_indices: Blocks to return maps of; the published four when None.
            kernel_size: Patch side (px); the one the sensor was pretrained with when *sensor* is given,
                16 otherwise.
            series: For images of several dates `[B, T, C, H, W]`, how the maps of the dates become one:
                `difference` (the last date less the mean of those before it), `mean` or `max`.

        Raises:
            ValueError: If neither bands nor sensor are given, or an argument is not understood.
            ConnectionError: If released weights cannot be had, or the language vectors that they were
                trained with.
        """
        super().__init__()
        source = None if sensor is None else get_sensor(parse_str('sensor', sensor))
        names = None if model_bands is None else parse_bands('model_bands', model_bands)
        given = source if names is None else names
        if given is None:
            raise ValueError(
                'Say what the channels are: backbone_model_bands (such as [B02, B03, B04]) or '
                'backbone_sensor (such as s2_toa).'
            )
        self.bands = resolve_bands(given)
        if source is not None and (
            foreign := [b.name for b in self.bands if b not in source.bands]
        ):
            raise ValueError(
                f'{foreign} are no bands of {source.name}; it has {list(source.band_names)}.'
            )
        trained = parse_bool('pretrained', pretrained)
        # Kept in checkpoints: a model must not meet another vector than it was trained with.
        self.language_vectors: Tensor | None
        self.register_buffer(
            'language_vectors', _language_vectors(self.bands, trained or ckpt_path is not None)
        )
        if kernel_size is None:
            self.kernel_size = 16 if source is None else source.kernel_size
        else:
            self.kernel_size = parse_int('kernel_size', kernel_size)
        self.patch_size = self.kernel_size
        self.series = None if series is None else check_fusion(parse_str('series', series))

        preset = SIZES[size]
        self.encoder = preset.build(num_classes=0, global_pool='token')
        wanted = (
            preset.out_indices if out_indices is None else parse_ints('out_indices', out_indices)
        )
        self.out_indices = self.encoder.block_indices(wanted)
        self.out_channels = [preset.embed_dim] * len(self.out_indices)
        self._load(size, trained, ckpt_path)
        self._freeze_unused(spectral=self.language_vectors is None)
        self._warned: set[str] = set()

    def _load(self, size: str, pretrained: bool, ckpt_path: str | None) -> None:
        if ckpt_path is not None:
            path = parse_str('ckpt_path', ckpt_path)
            unexpected = CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN.meta['unexpected']
            load_tensors(self.encoder, read_tensors(path), path, may_exceed=unexpected)
        elif pretrained:
            if size != 'copernicus_fm_base':
                raise ValueError(
                    f'No weights are released for {size}: set backbone_pretrained to false, or '
                    'backbone_ckpt_path to a file of yours. Only copernicus_fm_base has them.'
                )
            load_weights(self.encoder, CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN)

    def _freeze_unused(self, *, spectral: bool) -> None:
        """Freeze what no gradient can reach; distributed training fails on such parameters."""
        encoder = self.encoder
        idle = encoder.patch_embed_variable if spectral else encoder.patch_embed_spectral
        idle.requires_grad_(False)
        encoder.norm.requires_grad_(False)
        encoder.blocks[max(self.out_indices) + 1 :].requires_grad_(False)

    def freeze(self) -> None:
        """Freeze the encoder and keep it in evaluation mode."""
        self.requires_grad_(False)
        self._keep_frozen_in_eval()

    def train(self, mode: bool = True) -> CopernicusFMBackbone:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self._keep_frozen_in_eval()
        return self

    def _keep_frozen_in_eval(self) -> None:
        if self.encoder.training and not any(p.requires_grad for p in self.parameters()):
            self.encoder.eval()

    def forward(
        self,
        x: Tensor | dict[str, Tensor],
        metadata: Tensor | None = None,
        valid: Tensor | None = None,
        **batch: object,
    ) -> list[Tensor]:
        """Encode images.

        Args:
            x: Normalised images `[B, C, H, W]`, or `[B, T, C, H, W]` with `series`; or a dictionary with
                one such entry.
            metadata: float32 `[B, 4]`, or `[B, T, 4]` for each date, see `CopernicusFM`; all unknown
                when None.
            valid: bool `[B, T]`, False for dates that only fill up a series; all count when None.
            **batch: Further batch keys. `location_coords`, `temporal_coords`, `lat`, `lon` and `time`
                of other datasets stand in for *metadata*; anything else is ignored with a warning.

        Returns:
            One `[B, D, h, w]` per output index, before any norm.

        Raises:
            ValueError: If the input does not fit; see `CopernicusFM`.
        """
        # TerraTorch freezes some models parameter by parameter, without telling the module.
        self._keep_frozen_in_eval()
        images = self._single(x)
        if metadata is None:
            metadata = metadata_from_host(batch, len(images))
        ignored = sorted(set(batch) - set(HOST_KEYS) - {'image_size'})
        if ignored:
            self._warn_once(f'Copernicus-FM ignores the batch keys {ignored}.')
        if images.ndim == 5 and self.series is not None:
            dates = images.shape[1]
            vectors = self._per_image(metadata, len(images))
            if vectors is not None:
                vectors = (vectors if vectors.ndim == 3 else vectors[:, None]).expand(-1, dates, -1)
                vectors = vectors.flatten(0, 1)
            maps = self._encode(images.flatten(0, 1), vectors)
            if valid is not None and len(valid) == 1:  # Tiles of one series.
                valid = valid.expand(len(images), -1)
            return [fuse(m.reshape(-1, dates, *m.shape[1:]), self.series, valid) for m in maps]
        if self.series is not None or images.ndim == 5:
            raise ValueError(
                f'Got images of shape {list(images.shape)} with series={self.series!r}. Several dates '
                '[B, T, C, H, W] need backbone_series (difference, mean or max); one date '
                '[B, C, H, W] needs none.'
            )
        return self._encode(images, self._per_image(metadata, len(images)))

    def _encode(self, images: Tensor, metadata: Tensor | None) -> list[Tensor]:
        if self.language_vectors is None:
            return self.encoder.forward_intermediates(
                images,
                metadata,
                bands=self.bands,
                kernel_size=self.kernel_size,
                indices=self.out_indices,
            )
        return self.encoder.forward_intermediates(
            images,
            metadata,
            language_embedding=self.language_vectors,
            kernel_size=self.kernel_size,
            indices=self.out_indices,
        )

    def _single(self, x: Tensor | dict[str, Tensor]) -> Tensor:
        if isinstance(x, Tensor):
            return x
        if len(x) != 1:
            raise ValueError(f'Wanted one image tensor, got the modalities {list(x)}.')
        return next(iter(x.values()))

    def _per_image(self, metadata: Tensor | None, images: int) -> Tensor | None:
        """Match metadata to tiles: TerraTorch's tiled inference hands on that of the whole images."""
        if metadata is None or len(metadata) == images:
            return metadata
        if len(metadata) == 1:
            return metadata.expand(images, *metadata.shape[1:])
        self._warn_once(
            f'{images} tiles came with the metadata of {len(metadata)} images, and nothing says which '
            'belongs to which: it is taken as unknown. Use a batch size of 1 with tiled inference.'
        )
        return metadata.new_full((images, *metadata.shape[1:]), torch.nan)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=3)


def _language_vectors(bands: Sequence[Band], trained: bool) -> Tensor | None:
    """Return what variables mean to the model, `[C, 2048]`, or None for spectral bands.

    A fresh encoder has learned no meaning yet, so it can do without the released vectors.
    """
    try:
        channels = resolve_channels(bands=bands)
    except ConnectionError:
        if trained:
            raise
        names = [band.name for band in bands]
        warnings.warn(
            f'The language vectors of {names} could not be downloaded. As this encoder starts from '
            'nothing, random ones stand in for them; they are kept in its checkpoints. Released '
            'weights would need the real ones.',
            stacklevel=3,
        )
        return torch.stack([stand_in_vector(name) for name in names])
    return channels.vectors if isinstance(channels, VariableChannels) else None
