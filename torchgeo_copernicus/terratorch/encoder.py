"""Builds the encoder of a TerraTorch backbone from its untyped arguments."""

from __future__ import annotations

from torch import nn

from torchgeo_copernicus.models.builders import build_from
from torchgeo_copernicus.models.copernicus_fm import CopernicusFM
from torchgeo_copernicus.terratorch.arguments import parse_bool, parse_float, parse_int, parse_str


def build_encoder(
    size: str,
    pretrained: bool | str = False,
    ckpt_path: str | None = None,
    drop_path: float | str = 0.0,
    grad_checkpointing: bool | str = False,
    freeze_blocks: int | str | None = None,
) -> CopernicusFM:
    """Build an encoder.

    Args:
        size: Key of `SIZES`.
        pretrained: Load the released weights (base only).
        ckpt_path: Checkpoint to load instead; used whether or not *pretrained* is set.
        drop_path: Share of samples that skip the last block in training, rising linearly from the first.
        grad_checkpointing: Recompute each block in the backward pass instead of keeping its activations.
        freeze_blocks: Freeze the embeddings and so many blocks; None to freeze nothing.

    Raises:
        ValueError: If an argument is not understood, or the weights do not fit.
        ConnectionError: If released weights cannot be had.
    """
    share = parse_float('drop_path', drop_path, minimum=0, maximum=1)
    path = None if ckpt_path is None else parse_str('ckpt_path', ckpt_path)
    encoder, _, _ = build_from(size, parse_bool('pretrained', pretrained), path, drop_path=share)
    encoder.set_grad_checkpointing(parse_bool('grad_checkpointing', grad_checkpointing))
    encoder.train()
    if freeze_blocks is not None:
        encoder.freeze(parse_int('freeze_blocks', freeze_blocks, minimum=0))
    return encoder


def freeze_unused(
    encoder: CopernicusFM, last_block: int, *, spectral: bool, variable: bool
) -> None:
    """Freeze what no gradient can reach; distributed training fails on such parameters.

    Args:
        encoder: Gives maps, not vectors.
        last_block: Last block whose output is used.
        spectral: Whether spectral channels come in.
        variable: Whether geophysical variables come in.
    """
    encoder.patch_embed_spectral.requires_grad_(spectral and _learns(encoder.patch_embed_spectral))
    encoder.patch_embed_variable.requires_grad_(variable and _learns(encoder.patch_embed_variable))
    encoder.norm.requires_grad_(False)
    encoder.blocks[last_block + 1 :].requires_grad_(False)


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
