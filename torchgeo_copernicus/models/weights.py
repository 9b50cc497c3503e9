"""Weight enums of the models here, one entry per released file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models._api import Weights, WeightsEnum

from torchgeo_copernicus.download import fetch
from torchgeo_copernicus.models.checkpoint import load_tensors, read_tensors
from torchgeo_copernicus.sensors import SENSORS

_LOGGER = logging.getLogger(__name__)


def _modalities() -> dict[str, dict[str, object]]:
    return {
        sensor.name: {
            'bands': list(sensor.band_names),
            'wavelengths_nm': [band.wavelength_nm for band in sensor.bands],
            'bandwidths_nm': [band.bandwidth_nm for band in sensor.bands],
            'mean': list(sensor.statistics.of(sensor.bands)[0]),
            'std': list(sensor.statistics.of(sensor.bands)[1]),
            'unit': sensor.statistics.unit,
            'gsd_m': sensor.gsd_m,
            'kernel_size': sensor.kernel_size,
        }
        for sensor in SENSORS.values()
    }


def _as_it_is(image: Tensor) -> Tensor:
    return image


class CopernicusFMBase16_Weights(WeightsEnum):  # type: ignore[misc]
    """Weights of Copernicus-FM ViT-B/16.

    `transforms` does nothing: the weights serve eight modalities, each with its own statistics. Those are
    in `meta['modalities']`; the datamodules here apply them.
    """

    COPERNICUS_PRETRAIN = Weights(
        # The hash pins the content, whatever the branch comes to hold.
        url='https://huggingface.co/wangyi111/Copernicus-FM/resolve/main/'
        'CopernicusFM_ViT_base_varlang_e100.pth',
        transforms=_as_it_is,
        meta={
            'dataset': 'Copernicus-Pretrain',
            'model': 'CopernicusFM',
            'builder': 'copernicus_fm_base',
            'publication': 'https://arxiv.org/abs/2503.11849',
            'repo': 'https://github.com/zhu-xlab/Copernicus-FM',
            'license': 'CC-BY-4.0',
            'ssl_method': 'masked image modelling + distillation',
            'sha256': '539c5dd95cdf5b95fac1c4540929eaeb24b53a694a3421535ef3322a51644397',
            'num_params': 139_452_544,
            # Of the parameters; the file itself has a few kB of headers more.
            'parameter_bytes': 4 * 139_452_544,
            # Of the decoder, in the file but not in the encoder.
            'unexpected': ('mask_token',),
            'modalities': _modalities(),
        },
    )

    def path(self) -> Path:
        """Return where the file is, or belongs, in torch hub's cache."""
        return Path(torch.hub.get_dir()) / 'checkpoints' / str(self.url).rsplit('/', 1)[1]

    def get_state_dict(
        self, progress: bool = True, check_hash: bool = True, weights_only: bool = True
    ) -> Mapping[str, Tensor]:
        """Return the tensors of the file, downloading it into torch hub's cache when needed.

        Args:
            progress: Show a progress bar.
            check_hash: Must be True: the hash is always verified.
            weights_only: Must be True: nothing but tensors is read.

        Raises:
            ValueError: If an argument asks for less safety, or the file is not the released one.
            ConnectionError: If it cannot be downloaded; says where to put it by hand.
        """
        if not check_hash or not weights_only:
            raise ValueError(
                f'{self} is always verified and read as tensors only; leave check_hash and '
                'weights_only True.'
            )
        path = fetch(self.url, self.path(), sha256=self.meta['sha256'], progress=progress)
        return read_tensors(path)


def load_weights(model: nn.Module, weights: CopernicusFMBase16_Weights) -> None:
    """Load released weights into an encoder, whose head (if any) stays fresh.

    Raises:
        ValueError: If the file has not exactly the tensors that are expected of it.
    """
    head = [key for key in model.state_dict() if key.startswith('head.')]
    missing, left_over = load_tensors(
        model,
        weights.get_state_dict(),
        str(weights),
        may_miss=head,
        may_exceed=weights.meta['unexpected'],
    )
    _LOGGER.info('%s loaded. Not in the file: %s. Not used: %s.', weights, missing, left_over)
