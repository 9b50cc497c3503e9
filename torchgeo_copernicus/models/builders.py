"""Builders of the four sizes of Copernicus-FM; weights are released for base only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchgeo_copernicus.models.checkpoint import load_tensors, read_tensors
from torchgeo_copernicus.models.copernicus_fm import CopernicusFM, GlobalPool
from torchgeo_copernicus.models.weights import CopernicusFMBase16_Weights, load_weights


@dataclass(frozen=True)
class Size:
    """One size of the encoder.

    Attributes:
        embed_dim: Width.
        depth: Number of blocks.
        num_heads: Attention heads.
        patch_size: Patch side (px) of the position table.
        out_indices: Blocks whose maps the published segmentation protocol takes.
    """

    embed_dim: int
    depth: int
    num_heads: int
    patch_size: int
    out_indices: tuple[int, int, int, int]

    def build(
        self, num_classes: int = 0, global_pool: GlobalPool = 'token', drop_path: float = 0.0
    ) -> CopernicusFM:
        """Build an encoder of this size with fresh weights."""
        return CopernicusFM(
            patch_size=self.patch_size,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            num_classes=num_classes,
            global_pool=global_pool,
            drop_path=drop_path,
        )


#: The sizes of the official repository by builder name.
SIZES = {
    'copernicus_fm_small': Size(384, 12, 6, 16, (3, 5, 7, 11)),
    'copernicus_fm_base': Size(768, 12, 12, 16, (3, 5, 7, 11)),
    'copernicus_fm_large': Size(1024, 24, 16, 16, (7, 11, 15, 23)),
    'copernicus_fm_huge': Size(1280, 32, 16, 14, (7, 15, 23, 31)),
}


def copernicus_fm_small(
    weights: None = None,
    *,
    num_classes: int = 0,
    global_pool: GlobalPool = 'token',
    drop_path: float = 0.0,
) -> CopernicusFM:
    """Build Copernicus-FM ViT-S/16 (48.8 M parameters); no weights are released.

    Args:
        weights: None.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: `token` or `avg`, see `CopernicusFM`.
        drop_path: Stochastic depth, see `CopernicusFM`.

    Raises:
        ValueError: If *weights* is not None.
    """
    _refuse_weights('copernicus_fm_small', weights)
    return SIZES['copernicus_fm_small'].build(num_classes, global_pool, drop_path)


def copernicus_fm_base(
    weights: CopernicusFMBase16_Weights | None = None,
    *,
    num_classes: int = 0,
    global_pool: GlobalPool = 'token',
    drop_path: float = 0.0,
) -> CopernicusFM:
    """Build Copernicus-FM ViT-B/16 (139.5 M parameters).

    Args:
        weights: `CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN`, or None for fresh weights.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: `token` or `avg`, see `CopernicusFM`.
        drop_path: Stochastic depth, see `CopernicusFM`.

    Raises:
        TypeError: If *weights* is of another enum.
        ValueError: If the file does not fit.
        ConnectionError: If it cannot be downloaded.
    """
    checked = CopernicusFMBase16_Weights.verify(weights)
    model = SIZES['copernicus_fm_base'].build(num_classes, global_pool, drop_path)
    if checked is not None:
        load_weights(model, checked)
    return model


def copernicus_fm_large(
    weights: None = None,
    *,
    num_classes: int = 0,
    global_pool: GlobalPool = 'token',
    drop_path: float = 0.0,
) -> CopernicusFM:
    """Build Copernicus-FM ViT-L/16 (375.1 M parameters); no weights are released.

    Args:
        weights: None.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: `token` or `avg`, see `CopernicusFM`.
        drop_path: Stochastic depth, see `CopernicusFM`.

    Raises:
        ValueError: If *weights* is not None.
    """
    _refuse_weights('copernicus_fm_large', weights)
    return SIZES['copernicus_fm_large'].build(num_classes, global_pool, drop_path)


def copernicus_fm_huge(
    weights: None = None,
    *,
    num_classes: int = 0,
    global_pool: GlobalPool = 'token',
    drop_path: float = 0.0,
) -> CopernicusFM:
    """Build Copernicus-FM ViT-H/14 (721.4 M parameters); no weights are released.

    Args:
        weights: None.
        num_classes: Outputs of a linear head; 0 for none.
        global_pool: `token` or `avg`, see `CopernicusFM`.
        drop_path: Stochastic depth, see `CopernicusFM`.

    Raises:
        ValueError: If *weights* is not None.
    """
    _refuse_weights('copernicus_fm_huge', weights)
    return SIZES['copernicus_fm_huge'].build(num_classes, global_pool, drop_path)


def _refuse_weights(name: str, weights: object) -> None:
    if weights is not None:
        raise ValueError(
            f'No weights are released for {name}, got {weights!r}; only copernicus_fm_base has them.'
        )


def build_from(
    size: str,
    pretrained: bool,
    ckpt_path: Path | str | None,
    global_pool: GlobalPool = 'token',
    drop_path: float = 0.0,
) -> tuple[CopernicusFM, str, str]:
    """Build an encoder without a head, with weights.

    Args:
        size: Key of `SIZES`.
        pretrained: Take the released weights; not looked at when there is a *ckpt_path*.
        ckpt_path: File of weights, or None.
        global_pool: `token` or `avg`, see `CopernicusFM`.
        drop_path: Stochastic depth, see `CopernicusFM`.

    Returns:
        The encoder in evaluation mode, where its weights come from, and their licence.

    Raises:
        ValueError: If the size is unknown, has no released weights, or the file does not fit.
        FileNotFoundError: If there is no such file.
        ConnectionError: If the released weights cannot be had.
    """
    if size not in SIZES:
        raise ValueError(f'size is {size!r}; allowed are {list(SIZES)}.')
    encoder = SIZES[size].build(0, global_pool, drop_path).eval()
    released = CopernicusFMBase16_Weights.COPERNICUS_PRETRAIN
    if ckpt_path is not None:
        may_exceed = released.meta['unexpected']
        load_tensors(encoder, read_tensors(ckpt_path), str(ckpt_path), may_exceed=may_exceed)
        return encoder, f'the file {Path(ckpt_path).name}', 'other'
    if not pretrained:
        return encoder, 'random, untrained', 'apache-2.0'
    if size != 'copernicus_fm_base':
        raise ValueError(
            f'No weights are released for {size}: set pretrained to false, or ckpt_path to a file of '
            'yours (in a YAML backbone_pretrained and backbone_ckpt_path). Only copernicus_fm_base has '
            'them.'
        )
    load_weights(encoder, released)
    return encoder, f'{released} ({released.url})', str(released.meta['license']).lower()
