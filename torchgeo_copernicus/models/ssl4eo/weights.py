"""Weight enums of SSL4EO-S12 v1.0, one member per released training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from torch import Tensor
from torchvision.models._api import Weights, WeightsEnum

from torchgeo_copernicus.models.ssl4eo.checkpoint_file import Checkpoint, read_full
from torchgeo_copernicus.models.ssl4eo.encoder import read_encoder
from torchgeo_copernicus.models.ssl4eo.entries import ENTRIES
from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.fetching import fetch_released
from torchgeo_copernicus.models.ssl4eo.normalisation import allowed_normalisations
from torchgeo_copernicus.models.ssl4eo.source import Form


def _weights(name: str) -> Weights:
    entry = ENTRIES[name]
    return Weights(
        url=entry.files[0].url,
        transforms=entry.transforms,
        meta={
            'entry': name,
            'dataset': 'SSL4EO-S12',
            'in_chans': len(entry.bands),
            'bands': list(entry.bands),
            'model': entry.architecture_name,
            'builder': f'ssl4eo_s12_{entry.architecture_name}',
            'ssl_method': entry.method,
            'epochs': entry.epochs,
            'normalisations': list(allowed_normalisations(entry.bands)),
            'publication': 'https://arxiv.org/abs/2211.07044',
            'repo': 'https://github.com/zhu-xlab/SSL4EO-S12',
            'license': entry.license,
            'published': dict(entry.published),
            'torchgeo': entry.torchgeo,
            'files': {file.file_name: file.url for file in entry.files},
            'note': entry.note,
        },
    )


class SSL4EOS12Weights(WeightsEnum):  # type: ignore[misc]
    """What the enums of all architectures have in common.

    `transforms` takes images in physical units, see `SSL4EOTransforms`.
    """

    @classmethod
    def verify(cls, obj: object) -> Self | None:
        """Return a member given as such or by its name, or None.

        Raises:
            ValueError: If it is neither.
        """
        if obj is None or isinstance(obj, cls):
            return obj
        name = obj.removeprefix(f'{cls.__name__}.') if isinstance(obj, str) else ''
        members: Mapping[str, Self] = cls.__members__
        if name not in members:
            allowed = [str(member) for member in members.values()]
            raise ValueError(f'weights is {obj!r}; allowed are {allowed} and None.')
        return members[name]

    @property
    def entry(self) -> Entry:
        """The declaration of the training run."""
        return ENTRIES[self.meta['entry']]

    def fetch(
        self, form: Form | None = None, *, sha256: str | None = None, progress: bool = True
    ) -> Path:
        """Return the path of a released file, downloading it into torch hub's cache when needed.

        Its SHA-256 is logged and written beside it on first use, and no other file is taken for it later.

        Args:
            form: `backbone` or `full`; any of them when None.
            sha256: Hash of the file, when you know it.
            progress: Show a progress bar.

        Raises:
            ValueError: If there is no such form, or the file is another one.
            ConnectionError: If it cannot be downloaded; says where to put it by hand.
        """
        return fetch_released(self.entry.of_form(form), sha256=sha256, progress=progress)

    def get_state_dict(
        self, progress: bool = True, check_hash: bool = True, weights_only: bool = True
    ) -> Mapping[str, Tensor]:
        """Return the tensors of the encoder under the names of the builder's model.

        Args:
            progress: Show a progress bar.
            check_hash: Must be True: the hash is always verified.
            weights_only: Must be True: nothing but tensors is taken.

        Raises:
            ValueError: If an argument asks for less safety, or the file is not what it should be.
            ConnectionError: If it cannot be downloaded; says where to put it by hand.
        """
        if not check_hash or not weights_only:
            raise ValueError(
                f'{self} is always verified and read as tensors only; leave check_hash and '
                'weights_only True.'
            )
        return read_encoder(self.fetch(progress=progress), self.entry)

    def read_full(self, progress: bool = True) -> Checkpoint:
        """Return the full checkpoint: encoder, and decoder, heads or momentum encoder.

        Raises:
            ValueError: If none is released, or the file is not what it should be.
            ConnectionError: If it cannot be downloaded; says where to put it by hand.
        """
        return read_full(self.fetch('full', progress=progress))


class SSL4EOS12ResNet18_Weights(SSL4EOS12Weights):
    """Weights of ResNet-18."""

    SENTINEL2_L1C_ALL_MOCO = _weights('ssl4eo_s12_resnet18_s2_moco')
    SENTINEL2_L1C_RGB_MOCO = _weights('ssl4eo_s12_resnet18_rgb_moco')
    SENTINEL2_L1C_RGB_MOCO_EP200 = _weights('ssl4eo_s12_resnet18_rgb_moco_ep200')


class SSL4EOS12ResNet50_Weights(SSL4EOS12Weights):
    """Weights of ResNet-50."""

    SENTINEL2_L1C_ALL_MOCO = _weights('ssl4eo_s12_resnet50_s2_moco')
    SENTINEL2_L1C_ALL_DINO = _weights('ssl4eo_s12_resnet50_s2_dino')
    SENTINEL2_L1C_RGB_MOCO = _weights('ssl4eo_s12_resnet50_rgb_moco')
    SENTINEL1_GRD_MOCO = _weights('ssl4eo_s12_resnet50_s1_moco')


class SSL4EOS12ViTSmall16_Weights(SSL4EOS12Weights):
    """Weights of ViT-S/16."""

    SENTINEL2_L1C_ALL_MOCO = _weights('ssl4eo_s12_vits16_s2_moco')
    SENTINEL2_L1C_ALL_DINO = _weights('ssl4eo_s12_vits16_s2_dino')
    SENTINEL2_L1C_ALL_MAE = _weights('ssl4eo_s12_vits16_s2_mae')
    SENTINEL1_GRD_MAE = _weights('ssl4eo_s12_vits16_s1_mae')


class SSL4EOS12BEiTSmall16_Weights(SSL4EOS12Weights):
    """Weights of ViT-S/16 as BEiT has it: relative position bias and layer scale."""

    SENTINEL2_L1C_ALL_DATA2VEC = _weights('ssl4eo_s12_vits16_s2_data2vec')


class SSL4EOS12ViTBase16_Weights(SSL4EOS12Weights):
    """Weights of ViT-B/16."""

    SENTINEL2_L1C_ALL_MAE = _weights('ssl4eo_s12_vitb16_s2_mae')
    SENTINEL1_GRD_MAE = _weights('ssl4eo_s12_vitb16_s1_mae')


class SSL4EOS12ViTLarge16_Weights(SSL4EOS12Weights):
    """Weights of ViT-L/16."""

    SENTINEL2_L1C_ALL_MAE = _weights('ssl4eo_s12_vitl16_s2_mae')
    SENTINEL1_GRD_MAE = _weights('ssl4eo_s12_vitl16_s1_mae')


class SSL4EOS12ViTHuge14_Weights(SSL4EOS12Weights):
    """Weights of ViT-H/14."""

    SENTINEL2_L1C_ALL_MAE = _weights('ssl4eo_s12_vith14_s2_mae')
    SENTINEL1_GRD_MAE = _weights('ssl4eo_s12_vith14_s1_mae')
