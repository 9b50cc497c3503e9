"""Copernicus-FM as a TerraTorch backbone for several modalities at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast, get_args

import yaml
from torch import Tensor

from torchgeo_copernicus.models.builders import SIZES
from torchgeo_copernicus.models.channels import VariableChannels, resolve_channels
from torchgeo_copernicus.models.copernicus_fm import CopernicusFM
from torchgeo_copernicus.models.multimodal import Fusion, Modality, MultiModalCopernicusFM
from torchgeo_copernicus.terratorch.arguments import parse_bool, parse_ints, parse_str
from torchgeo_copernicus.terratorch.encoder import build_encoder, freeze_unused
from torchgeo_copernicus.terratorch.frozen import FrozenInEval
from torchgeo_copernicus.terratorch.host_metadata import metadata_from_host, metadata_of_tiles
from torchgeo_copernicus.terratorch.meaning import language_vectors_of
from torchgeo_copernicus.terratorch.source import ModelBands, parse_source

Modalities = Mapping[str, str | Mapping[str, object]] | Sequence[str] | str

_KEYS = ('sensor', 'bands', 'kernel_size')
#: Entry of the image dictionary that is no image.
METADATA = 'metadata'


class MultiModalBackbone(FrozenInEval):
    """Returns fused maps of patch tokens of a dictionary of images.

    Attributes:
        out_channels: Channels of each map.
        patch_size: Patch side (px) if it is the same for all modalities, else None: TerraTorch pads
            images to a multiple of twice this, or not at all.
    """

    def __init__(
        self,
        size: str,
        modalities: Modalities,
        fusion: str = 'mean',
        pretrained: bool | str = False,
        ckpt_path: str | None = None,
        out_indices: Sequence[int] | str | None = None,
        drop_path: float | str = 0.0,
        grad_checkpointing: bool | str = False,
        freeze_blocks: int | str | None = None,
    ) -> None:
        """Build the encoder.

        Args:
            size: Key of `SIZES`.
            modalities: Names of sensors such as `[s1_grd, s2_toa, dem]`; or for each name in the image
                dictionary a sensor, or a dictionary of `sensor`, `bands` and `kernel_size`, such as
                `{S2: s2_toa, DEM: {sensor: dem, kernel_size: 16}}`.
            fusion: `mean`, `concat`, `token` or `dict`, see `MultiModalCopernicusFM`.
            pretrained: Load the released weights (base only).
            ckpt_path: Checkpoint to load instead; used whether or not *pretrained* is set.
            out_indices: Blocks to return maps of; the published four when None.
            drop_path: See `CopernicusFMBackbone`.
            grad_checkpointing: See `CopernicusFMBackbone`.
            freeze_blocks: See `CopernicusFMBackbone`.

        Raises:
            ValueError: If an argument is not understood.
            ConnectionError: If released weights cannot be had, or the language vectors that they were
                trained with.
        """
        super().__init__()
        trained = parse_bool('pretrained', pretrained)
        how = parse_str('fusion', fusion)
        if how not in get_args(Fusion):
            raise ValueError(f'fusion is {how!r}; allowed are {list(get_args(Fusion))}.')
        parsed = {
            name: _modality(name, given, trained or ckpt_path is not None)
            for name, given in _by_name(modalities).items()
        }
        preset = SIZES[size]
        encoder = build_encoder(
            size, trained, ckpt_path, drop_path, grad_checkpointing, freeze_blocks
        )
        self.model = MultiModalCopernicusFM(encoder, parsed, cast(Fusion, how))
        wanted = (
            preset.out_indices if out_indices is None else parse_ints('out_indices', out_indices)
        )
        self.out_indices = encoder.block_indices(wanted)
        width = preset.embed_dim * (len(parsed) if how == 'concat' else 1)
        self.out_channels = [width] * len(self.out_indices)
        kernels = {modality.kernel_size for modality in parsed.values()}
        self.patch_size = kernels.pop() if len(kernels) == 1 else None
        variable = [isinstance(m.channels, VariableChannels) for m in parsed.values()]
        freeze_unused(
            encoder, max(self.out_indices), spectral=not all(variable), variable=any(variable)
        )

    @property
    def encoder(self) -> CopernicusFM:  # type: ignore[override]
        """The encoder that all modalities share."""
        return self.model.encoder

    def forward(
        self,
        x: Mapping[str, Tensor],
        metadata: Mapping[str, Tensor] | Tensor | None = None,
        present: Mapping[str, Tensor] | Tensor | None = None,
        **batch: object,
    ) -> list[Tensor] | list[dict[str, Tensor]]:
        """Encode samples.

        Args:
            x: Normalised images `[B, C, H, W]` by modality. An entry `metadata` `[B, 4]`, as TerraTorch
                reads it from a table, stands in for *metadata*.
            metadata: float32 `[B, 4]` for all modalities, or by modality; unknown when None.
            present: Which samples have which modality: bool `[B, M]` in the order of the modalities, or
                `[B]` by modality; all when None.
            **batch: Further batch keys, see `CopernicusFMBackbone`.

        Returns:
            One map per output index; for the fusion `dict` one dictionary of maps per output index.

        Raises:
            ValueError: If the input does not fit; see `MultiModalCopernicusFM`.
        """
        self.keep_frozen_in_eval()
        if not isinstance(x, Mapping):
            raise ValueError(
                f'Wanted a dictionary of {list(self.model.modalities)}, got {type(x).__name__}: '
                'backbone_modalities is for images of several modalities.'
            )
        images = {name: image for name, image in x.items() if name != METADATA}
        if any(image.ndim != 4 for image in images.values()):
            shapes = {name: list(image.shape) for name, image in images.items()}
            raise ValueError(f'Images of each modality must be [B, C, H, W], got {shapes}.')
        size = len(next(iter(images.values()))) if images else 0
        if metadata is None and METADATA in x:
            metadata = x[METADATA].float()
        if metadata is None:
            metadata = metadata_from_host(batch, size)
        if isinstance(metadata, Tensor):
            metadata = metadata_of_tiles(metadata, size)
        if isinstance(present, Tensor):
            if present.shape != (size, len(self.model.modalities)):
                raise ValueError(
                    f'present must be [{size}, {len(self.model.modalities)}], got '
                    f'{list(present.shape)}.'
                )
            columns = zip(self.model.modalities, present.unbind(dim=1), strict=True)
            present = {name: flags for name, flags in columns if name in images}
        maps: list[Tensor] | list[dict[str, Tensor]] = self.model(
            images, metadata, present, self.out_indices
        )
        return maps


def _by_name(modalities: Modalities) -> dict[str, Mapping[str, object]]:
    given = yaml.safe_load(modalities) if isinstance(modalities, str) else modalities
    if isinstance(given, Mapping):
        entries = {str(name): entry for name, entry in given.items()}
    elif isinstance(given, list | tuple):
        entries = {str(name): name for name in given}
    else:
        raise ValueError(
            f'modalities is {modalities!r}; wanted a list of sensors, or a dictionary from names to '
            'sensors.'
        )
    if not entries or METADATA in entries:
        raise ValueError(f'modalities is {modalities!r}; name at least one, and none {METADATA!r}.')
    return {
        name: {'sensor': entry} if isinstance(entry, str) else entry
        for name, entry in entries.items()
    }


def _modality(name: str, entry: Mapping[str, object], trained: bool) -> Modality:
    if not isinstance(entry, Mapping) or (unknown := set(entry) - set(_KEYS)):
        what = sorted(unknown) if isinstance(entry, Mapping) else entry
        raise ValueError(f'modalities: {name} has {what}; allowed are {list(_KEYS)}.')
    source = parse_source(
        cast(str | None, entry.get('sensor')),
        cast(ModelBands | None, entry.get('bands')),
        cast(int | str | None, entry.get('kernel_size')),
    )
    vectors = language_vectors_of(source.bands, trained)
    if vectors is not None:
        return Modality(VariableChannels(vectors), source.kernel_size)
    return Modality(resolve_channels(bands=source.bands), source.kernel_size)
