"""Any backbone of TerraTorch as an encoder of one modality."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.embedding.encoders.encoder import Pool
from torchgeo_copernicus.embedding.fingerprint import weights_sha256
from torchgeo_copernicus.embedding.image import ImageKind
from torchgeo_copernicus.terratorch.feature_backbone import build_feature_backbone


class BackboneEncoder:
    """Takes the last features of a backbone, as maps.

    `mean` is the mean of the map, `dense` the map. `cls` is the first token, of backbones that return tokens
    with one more than their map has places.

    Attributes:
        module: The weights; see `EmbeddingEncoder`.
        pool: What becomes the embedding.
    """

    def __init__(
        self,
        backbone: str,
        bands: list[str],
        arguments: dict[str, object] | None = None,
        pool: Pool = 'mean',
        weights_path: str | None = None,
    ) -> None:
        """Build the backbone.

        Args:
            backbone: Its name in TerraTorch's registry.
            bands: Bands that it is told, in the order of its input, by the names of the sensor. Images must
                have these.
            arguments: Of its builder, such as `{pretrained: true}`.
            pool: What becomes the embedding.
            weights_path: State dict to load, all of it.

        Raises:
            ValueError: If an argument is unknown, or the backbone cannot be built.
        """
        one_of('pool', pool, Pool)
        if not isinstance(bands, list | tuple) or not bands:
            raise ValueError(f'bands is {bands!r}; name those of the input, in its order.')
        self.pool: Pool = pool
        self._bands = list(bands)
        self._name, self._arguments = backbone, dict(arguments or {})
        self.module = build_feature_backbone(backbone, self._arguments, weights_path).eval()
        self.module.requires_grad_(False)
        parameters = inspect.signature(self.module.forward).parameters
        self._takes_metadata = 'metadata' in parameters

    def check(self, kind: ImageKind, size_px: int) -> None:
        """See `EmbeddingEncoder`.

        Raises:
            ValueError: If the images have other bands, or another order of them, or a trial fails.
        """
        wanted = [band.name for band in kind.sensor.select(self._bands)]
        if wanted != kind.band_names:
            raise ValueError(
                f'{self._name} takes the bands {wanted}, images of {kind.name} have {kind.band_names}; make '
                'them the same.'
            )
        # Backbones do not say what they take.
        trial = torch.zeros(1, len(wanted), size_px, size_px)
        try:
            with torch.no_grad():
                self.encode(trial, torch.full((1, 4), torch.nan), kind)
        except (RuntimeError, AssertionError) as error:
            # timm asserts the size of its images.
            raise ValueError(
                f'{self._name} does not take images {list(trial.shape)}: {error}'
            ) from error

    def facts(self, kinds: Sequence[ImageKind]) -> Mapping[str, object]:
        """See `EmbeddingEncoder`."""
        return {
            'class': f'TerraTorch {self._name}',
            'arguments': {key: str(value) for key, value in sorted(self._arguments.items())},
            'bands': self._bands,
            'metadata': self._takes_metadata,
            'weights_sha256': weights_sha256(self.module),
        }

    def encode(self, images: Tensor, metadata: Tensor, kind: ImageKind) -> Tensor:
        """See `EmbeddingEncoder`.

        Raises:
            ValueError: If the features are neither maps, nor tokens that can be brought to maps.
        """
        extra = {'metadata': metadata} if self._takes_metadata else {}
        found = self.module(images, **extra)
        features = found if isinstance(found, list | tuple) else [found]
        last = features[-1]
        maps = self._maps(features)
        if self.pool == 'cls':
            places = maps.shape[-2] * maps.shape[-1]
            if last.ndim != 3 or last.shape[1] != places + 1:
                raise ValueError(
                    f"{self._name} returns {list(last.shape)}, without a class token; pool 'mean' or 'dense'."
                )
            return torch.as_tensor(last[:, 0])
        return maps.mean(dim=(-2, -1)) if self.pool == 'mean' else maps

    def _maps(self, features: Sequence[Tensor]) -> Tensor:
        prepare = getattr(self.module, 'prepare_features_for_image_model', None)
        last = features[-1] if prepare is None else prepare(list(features))[-1]
        if last.ndim != 4:
            raise ValueError(
                f'{self._name} returns features {list(last.shape)}; wanted maps [B, D, h, w], or a method '
                'prepare_features_for_image_model that makes them.'
            )
        return torch.as_tensor(last)
