"""`torchgeo-copernicus embed`: makes a store of embeddings from a YAML file."""

from __future__ import annotations

from collections.abc import Sequence

from jsonargparse import auto_cli
from lightning.pytorch.utilities import rank_zero_only

from torchgeo_copernicus.embedding.run import describe, embed
from torchgeo_copernicus.embedding.store import EmbeddingStore


def embed_command(arguments: Sequence[str]) -> str | None:
    """Run the command.

    Args:
        arguments: Those after its name.

    Returns:
        What is in the store; None from other ranks than the first.

    Raises:
        ValueError: As `embed`.
        OSError: As `embed`.
    """
    store: EmbeddingStore = auto_cli(
        embed, args=list(arguments), as_positional=False, prog='torchgeo-copernicus embed'
    )
    # One rank speaks for all.
    return rank_zero_only(describe)(store)
