"""Copernicus-FM as a TerraTorch backbone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import Tensor

from torchgeo_copernicus.models.builders import SIZES
from torchgeo_copernicus.terratorch.arguments import parse_bool, parse_ints, parse_str
from torchgeo_copernicus.terratorch.encoder import build_encoder, freeze_unused
from torchgeo_copernicus.terratorch.frozen import FrozenInEval
from torchgeo_copernicus.terratorch.fusion import check_fusion, fuse
from torchgeo_copernicus.terratorch.host_metadata import (
    HOST_KEYS,
    metadata_from_host,
    metadata_of_tiles,
)
from torchgeo_copernicus.terratorch.meaning import language_vectors_of
from torchgeo_copernicus.terratorch.source import ModelBands, parse_source


class CopernicusFMBackbone(FrozenInEval):
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
        model_bands: ModelBands | None = None,
        sensor: str | None = None,
        out_indices: Sequence[int] | str | None = None,
        kernel_size: int | str | None = None,
        series: str | None = None,
        drop_path: float | str = 0.0,
        grad_checkpointing: bool | str = False,
        freeze_blocks: int | str | None = None,
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
            drop_path: Share of samples that skip the last block in training, rising linearly from the
                first.
            grad_checkpointing: Recompute each block in the backward pass instead of keeping its
                activations: less memory, more time.
            freeze_blocks: Freeze the embeddings and so many blocks.

        Raises:
            ValueError: If neither bands nor sensor are given, or an argument is not understood.
            ConnectionError: If released weights cannot be had, or the language vectors that they were
                trained with.
        """
        super().__init__()
        self.bands, self.kernel_size = parse_source(sensor, model_bands, kernel_size)
        trained = parse_bool('pretrained', pretrained)
        # Kept in checkpoints: a model must not meet another vector than it was trained with.
        self.language_vectors: Tensor | None
        self.register_buffer(
            'language_vectors', language_vectors_of(self.bands, trained or ckpt_path is not None)
        )
        self.patch_size = self.kernel_size
        self.series = None if series is None else check_fusion(parse_str('series', series))

        preset = SIZES[size]
        self.encoder = build_encoder(
            size, trained, ckpt_path, drop_path, grad_checkpointing, freeze_blocks
        )
        wanted = (
            preset.out_indices if out_indices is None else parse_ints('out_indices', out_indices)
        )
        self.out_indices = self.encoder.block_indices(wanted)
        self.out_channels = [preset.embed_dim] * len(self.out_indices)
        spectral = self.language_vectors is None
        last = max(self.out_indices)
        freeze_unused(self.encoder, last, spectral=spectral, variable=not spectral)
        self._named: set[str] = set()

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
        self.keep_frozen_in_eval()
        images = self._single(x)
        if metadata is None:
            metadata = metadata_from_host(batch, len(images))
        if ignored := set(batch) - set(HOST_KEYS) - {'image_size'} - self._named:
            self._named |= ignored
            warnings.warn(f'Copernicus-FM ignores the batch keys {sorted(ignored)}.', stacklevel=2)
        if images.ndim == 5 and self.series is not None:
            dates = images.shape[1]
            vectors = metadata_of_tiles(metadata, len(images))
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
        return self._encode(images, metadata_of_tiles(metadata, len(images)))

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
