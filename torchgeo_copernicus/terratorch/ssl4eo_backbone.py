"""The networks pretrained on SSL4EO-S12 as TerraTorch backbones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path

from torch import Tensor, nn

from torchgeo_copernicus.models.ssl4eo.encoder import load_encoder, read_encoder
from torchgeo_copernicus.models.ssl4eo.entries import ENTRIES
from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.fetching import fetch_released
from torchgeo_copernicus.models.ssl4eo.first_convolution import select_bands
from torchgeo_copernicus.models.ssl4eo.pinned_hash import verify
from torchgeo_copernicus.terratorch.arguments import (
    parse_bands,
    parse_bool,
    parse_float,
    parse_ints,
    parse_str,
)
from torchgeo_copernicus.terratorch.frozen import FrozenInEval
from torchgeo_copernicus.terratorch.source import ModelBands
from torchgeo_copernicus.terratorch.ssl4eo_input import parse_input


class SSL4EOBackbone(FrozenInEval):
    """Returns maps of a ResNet's stages or of a transformer's patch tokens.

    Attributes:
        out_channels: Channels of each map.
        patch_size: Patch side (px), to a multiple of twice of which TerraTorch pads images; None for a
            ResNet.
        bands: What the channels measure.
    """

    encoder: nn.Module  # type: ignore[assignment]

    def __init__(
        self,
        name: str,
        pretrained: bool | str = False,
        ckpt_path: str | None = None,
        sha256: str | None = None,
        bands: ModelBands | None = None,
        rescale: bool | str = False,
        input_values: str = 'scaled',
        normalisation: str | None = None,
        offset_dn: float | str = 0.0,
        out_indices: Sequence[int] | str | None = None,
        norm: bool | str = False,
        drop_path: float | str = 0.0,
        grad_checkpointing: bool | str = False,
    ) -> None:
        """Build the encoder.

        Args:
            name: Key of `ENTRIES`.
            pretrained: Load the released weights.
            ckpt_path: File to load instead, a full checkpoint or a backbone; used whether or not
                *pretrained* is set.
            sha256: Hash that the file must have.
            bands: Band names of the input in its order, ours (B02) or TerraTorch's (BLUE); those of the
                pretraining when None. The first convolution is fitted to them by name.
            rescale: Enlarge the first convolution for fewer bands, see `adapt_first_convolution`.
            input_values: What the batch holds: `scaled` to what the pretraining saw, `physical` values, or
                the name of the Copernicus-Bench task that standardised them; see `parse_input`.
            normalisation: Scaling of what is not scaled yet, see `parse_input`.
            offset_dn: What was added to the digital numbers of Sentinel-2, see `parse_input`.
            out_indices: Blocks (from 0) of a transformer, or stem (0) and stages (1 to 4) of a ResNet, to
                return maps of, ascending; negative ones count from the end.
            norm: Apply a transformer's final norm to each map.
            drop_path: Share of samples that skip the last block in training, rising linearly.
            grad_checkpointing: Recompute blocks in the backward pass instead of keeping activations.

        Raises:
            ValueError: If an argument is not understood, or the weights do not fit.
            FileNotFoundError: If there is no such file.
            ConnectionError: If released weights cannot be had.
        """
        super().__init__()
        entry = ENTRIES[name]
        architecture = entry.architecture
        self.bands = select_bands(
            entry.bands, None if bands is None else parse_bands('bands', bands)
        )
        self.input = parse_input(input_values, normalisation, offset_dn, self.bands)
        self.patch_size = architecture.patch_size
        self.norm = parse_bool('norm', norm)
        if self.norm and not architecture.is_transformer:
            raise ValueError(f'norm is true, but {name} is a ResNet, which has no final norm.')
        self.out_indices = _indices(
            architecture.out_indices
            if out_indices is None
            else parse_ints('out_indices', out_indices),
            len(architecture.out_channels),
        )
        self.out_channels = [architecture.out_channels[index] for index in self.out_indices]
        share = parse_float('drop_path', drop_path, minimum=0, maximum=1)
        larger = parse_bool('rescale', rescale)
        path = _file(entry, parse_bool('pretrained', pretrained), ckpt_path, sha256)
        self.encoder = architecture.build(len(self.bands), drop_path=share)
        if path is not None:
            load_encoder(
                self.encoder,
                read_encoder(path, entry),
                entry,
                self.bands,
                str(path),
                rescale=larger,
                needs_norm=self.norm,
            )
        elif larger:
            raise ValueError('rescale is for pretrained weights; set pretrained or ckpt_path.')
        recompute = parse_bool('grad_checkpointing', grad_checkpointing)
        self.encoder.set_grad_checkpointing(recompute)  # type: ignore[operator]
        self._freeze_unused()

    def forward(self, x: Tensor | Mapping[str, Tensor], **batch: object) -> list[Tensor]:
        """Encode images.

        Args:
            x: Images `[B, C, H, W]`, for a transformer with sides that are multiples of the patch side; or
                a dictionary with one such entry.
            **batch: Must be empty: the network has no use for further batch keys.

        Returns:
            One map `[B, D, h, w]` per output index, without the class token.

        Raises:
            ValueError: If the input does not fit.
        """
        self.keep_frozen_in_eval()
        # TerraTorch says so to every backbone that takes keywords.
        if unused := sorted(set(batch) - {'image_size'}):
            raise ValueError(
                f'This backbone takes the image alone, but the batch has {unused} as well. Set metadata to '
                'false in the datamodule (data.init_args.metadata), or take the keys out of the batch.'
            )
        images = self._checked(x)
        maps: list[Tensor] = self.encoder.forward_intermediates(  # type: ignore[operator]
            self.input(images),
            indices=self.out_indices,
            norm=self.norm,
            stop_early=True,
            intermediates_only=True,
        )
        return maps

    def _checked(self, x: Tensor | Mapping[str, Tensor]) -> Tensor:
        if isinstance(x, Mapping):
            if len(x) != 1:
                raise ValueError(f'Wanted one image tensor, got the modalities {list(x)}.')
            x = next(iter(x.values()))
        if x.ndim != 4 or x.shape[1] != len(self.bands):
            raise ValueError(
                f'Got images of shape {list(x.shape)}, wanted [B, {len(self.bands)}, H, W] with the '
                f'channels {[band.name for band in self.bands]} (backbone_bands).'
            )
        patch = self.patch_size or 1
        if x.shape[2] % patch or x.shape[3] % patch:
            raise ValueError(
                f'Images are {list(x.shape[2:])} px; wanted multiples of the patch side {patch}.'
            )
        return x

    def _freeze_unused(self) -> None:
        """Freeze what no gradient can reach; distributed training fails on such parameters."""
        last = max(self.out_indices)
        if self.patch_size is None:
            for stage in range(last + 1, 5):
                getattr(self.encoder, f'layer{stage}').requires_grad_(False)
            return
        for block in list(self.encoder.blocks)[last + 1 :]:  # type: ignore[arg-type]
            block.requires_grad_(False)
        if not self.norm:
            self.encoder.norm.requires_grad_(False)


def _indices(given: Sequence[int], count: int) -> list[int]:
    allowed = f'wanted ascending numbers from {-count} to {count - 1}'
    if not given or any(not -count <= index < count for index in given):
        raise ValueError(f'out_indices is {list(given)}; {allowed}.')
    found = [index % count for index in given]
    # timm would return the maps in ascending order whatever is asked for.
    if found != sorted(set(found)):
        raise ValueError(f'out_indices is {list(given)}; {allowed}, each once.')
    return found


def _file(entry: Entry, pretrained: bool, ckpt_path: str | None, sha256: str | None) -> Path | None:
    """Return the file to load, or None."""
    wanted = None if sha256 is None else parse_str('sha256', sha256)
    if ckpt_path is not None:
        path = Path(parse_str('ckpt_path', ckpt_path))
        if not path.is_file():
            raise FileNotFoundError(f'There is no checkpoint at {path}.')
        if wanted is not None:
            verify(path, sha256=wanted)
        return path
    if pretrained:
        return fetch_released(entry.of_form(None), sha256=wanted)
    if wanted is not None:
        raise ValueError('sha256 is for a file of weights; set pretrained or ckpt_path.')
    return None


def _builder(name: str) -> Callable[..., nn.Module]:
    known = set(signature(SSL4EOBackbone).parameters) - {'name'}

    def build(**arguments: object) -> nn.Module:
        if unknown := sorted(f'backbone_{argument}' for argument in set(arguments) - known):
            raise ValueError(
                f'{name} takes no {unknown}; allowed are '
                f'{sorted(f"backbone_{argument}" for argument in known)}.'
            )
        return SSL4EOBackbone(name, **arguments)  # type: ignore[arg-type]

    build.__name__ = name
    build.__doc__ = SSL4EOBackbone.__init__.__doc__
    return build


#: Builders of all backbones by name.
SSL4EO_BACKBONES: Mapping[str, Callable[..., nn.Module]] = {
    name: _builder(name) for name in ENTRIES
}
