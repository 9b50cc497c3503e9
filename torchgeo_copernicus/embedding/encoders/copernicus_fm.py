"""Copernicus-FM as an encoder of all modalities."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from torch import Tensor

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.embedding.encoders.encoder import Pool
from torchgeo_copernicus.embedding.fingerprint import weights_sha256
from torchgeo_copernicus.embedding.image import ImageKind
from torchgeo_copernicus.models.builders import build_from
from torchgeo_copernicus.models.channels import VariableChannels, resolve_channels


class CopernicusFMEncoder:
    """One model for all modalities, told bands, place, day and sampling distance of each image.

    `cls` is the class token after the final norm; `mean` the mean of the patch tokens, as the published
    benchmark takes it, after a LayerNorm without parameters; `dense` the patch tokens after the final norm.
    Which of them the published map has is not known.

    Attributes:
        module: The weights; see `EmbeddingEncoder`.
        pool: What becomes the embedding.
    """

    def __init__(
        self,
        size: str = 'copernicus_fm_base',
        pretrained: bool = True,
        ckpt_path: str | None = None,
        pool: Pool = 'cls',
        metadata: bool = True,
    ) -> None:
        """Build the model.

        Args:
            size: copernicus_fm_small, _base, _large or _huge.
            pretrained: Take the released weights (base only).
            ckpt_path: Take the weights of this file instead (.safetensors, or tensors saved by torch).
            pool: What becomes the embedding.
            metadata: Tell the model place, day and sampling distance; without them all are unknown.

        Raises:
            ValueError: If an argument is unknown, there are no weights, or they do not fit.
            FileNotFoundError: If there is no such file.
            ConnectionError: If the released weights cannot be had.
        """
        one_of('pool', pool, Pool)
        if ckpt_path is None and not pretrained:
            raise ValueError(
                'Untrained weights are others each time: leave pretrained true, or give ckpt_path.'
            )
        self.pool: Pool = pool
        self._size, self._metadata = size, metadata
        self.module, _, _ = build_from(
            size, pretrained, ckpt_path, 'avg' if pool == 'mean' else 'token'
        )
        self.module.requires_grad_(False)

    def check(self, kind: ImageKind, size_px: int) -> None:
        """See `EmbeddingEncoder`.

        Raises:
            ValueError: If the size is no multiple of the kernel.
            ConnectionError: If the language vectors of variables cannot be had.
        """
        if size_px % kind.kernel_size:
            raise ValueError(
                f'sizes_px of {kind.name} is {size_px}; wanted a multiple of the {kind.kernel_size} px of its '
                'kernel.'
            )
        resolve_channels(bands=kind.bands)

    def facts(self, kinds: Sequence[ImageKind]) -> Mapping[str, object]:
        """See `EmbeddingEncoder`."""
        return {
            'class': 'Copernicus-FM',
            'size': self._size,
            'metadata': self._metadata,
            'weights_sha256': weights_sha256(self.module),
            'inputs': {kind.name: _input(kind) for kind in kinds},
        }

    def encode(self, images: Tensor, metadata: Tensor, kind: ImageKind) -> Tensor:
        """See `EmbeddingEncoder`."""
        vectors = metadata if self._metadata else None
        if self.pool != 'dense':
            return self.module(images, vectors, bands=kind.bands, kernel_size=kind.kernel_size)  # type: ignore[no-any-return]
        tokens = self.module.forward_features(
            images, vectors, bands=kind.bands, kernel_size=kind.kernel_size
        )
        side = images.shape[-1] // kind.kernel_size
        return tokens[:, 1:].transpose(1, 2).reshape(len(images), -1, side, side)


def _input(kind: ImageKind) -> dict[str, object]:
    channels = resolve_channels(bands=kind.bands)
    if isinstance(channels, VariableChannels):
        vectors = channels.vectors.float().contiguous().numpy()
        meaning: object = {'language_sha256': hashlib.sha256(vectors.tobytes()).hexdigest()}
    else:
        meaning = {
            'wavelengths_nm': list(channels.wavelengths_nm),
            'bandwidths_nm': list(channels.bandwidths_nm),
        }
    return {'channels': meaning, 'kernel_size': kind.kernel_size}
