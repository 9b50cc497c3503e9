"""The commands `convert ssl4eo v11`, `convert ssl4eo zarr3` and `convert ssl4eo webdataset`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality

Scheduler = Literal['threads', 'processes', 'synchronous']


def v11(
    root: str,
    output: str,
    modalities: list[Literal['S1GRD', 'S2L1C', 'S2L2A']] | None = None,
    train: str | None = None,
    val: str | None = None,
    val_fraction: float | None = None,
    block_deg: float = 1.0,
    seed: int = 0,
    places_per_file: int = 64,
    incomplete: Literal['raise', 'skip', 'keep'] = 'raise',
    codec: Literal['lz4', 'zstd'] = 'lz4',
    scheduler: Scheduler = 'threads',
    workers: int | None = None,
) -> str:
    """Convert folders of SSL4EO-S12 v1.0 into files of the Zarr edition of v1.1.

    A run that was stopped goes on where it was. Coordinates are approximate, as those of v1.0 are; there
    are no cloud masks and no pictures (S2RGB). Needs the extra `convert`.

    Args:
        root: Folder with s1, s2c and s2a.
        output: Folder to write into.
        modalities: Which images; all three when left out.
        train: File with the ids of the places for training, one in each line.
        val: The same for validation; without both files all places are divided.
        val_fraction: Without files: share of the places for validation, chosen by region; none when left out.
        block_deg: Side of a region in degrees.
        seed: Of the regions, and of the order of places in files.
        places_per_file: Places of a file.
        incomplete: Places with other than four dates: raise names them, skip leaves them out, keep takes
            the dates there are.
        codec: lz4 is faster, zstd smaller.
        scheduler: How Dask runs.
        workers: Files made at once, each with 1 GB of memory; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.ssl4eo.convert.v10 import convert_v10

    report = convert_v10(
        root,
        output,
        ['S1GRD', 'S2L1C', 'S2L2A'] if modalities is None else list(modalities),
        train=train,
        val=val,
        val_fraction=val_fraction,
        block_deg=block_deg,
        seed=seed,
        places_per_file=places_per_file,
        incomplete=incomplete,
        codec=codec,
        scheduler=scheduler,
        workers=workers,
    )
    return report.told(output)


def zarr3(
    root: str,
    output: str,
    split: Literal['train', 'val'] = 'train',
    modalities: list[Modality] | None = None,
    places_per_shard: int = 16,
    codec: Literal['lz4', 'zstd'] = 'zstd',
    scheduler: Scheduler = 'threads',
    workers: int | None = None,
) -> str:
    """Convert SSL4EO-S12 v1.1 into one Zarr 3 store for each modality, for zarr and xarray.

    A run that was stopped goes on where it was. Needs the extra `convert` and zarr 3.

    Args:
        root: Folder or address with train and val.
        output: Folder to write into.
        split: train or val.
        modalities: Which images; S2L1C, S2L2A and S1GRD when left out.
        places_per_shard: Places of a file of the store.
        codec: lz4 is faster, zstd smaller.
        scheduler: How Dask runs.
        workers: Shards made at once; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.ssl4eo.convert.zarr3 import convert_zarr3

    report = convert_zarr3(
        root,
        output,
        split,
        _usual(modalities),
        places_per_shard=places_per_shard,
        codec=codec,
        scheduler=scheduler,
        workers=workers,
    )
    return report.told(output)


def webdataset(
    root: str,
    output: str,
    split: Literal['train', 'val'] = 'train',
    modalities: list[Modality] | None = None,
    places_per_tar: int = 512,
    codec: Literal['lz4', 'zstd'] = 'zstd',
    scheduler: Scheduler = 'threads',
    workers: int | None = None,
) -> str:
    """Convert SSL4EO-S12 v1.1 into tar archives, as those of its WebDataset edition.

    A run that was stopped goes on where it was. Needs the extra `convert`.

    Args:
        root: Folder or address with train and val.
        output: Folder to write into.
        split: train or val.
        modalities: Which images; S2L1C, S2L2A and S1GRD when left out.
        places_per_tar: Places of an archive.
        codec: lz4 is faster, zstd smaller.
        scheduler: How Dask runs.
        workers: Archives made at once; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.ssl4eo.convert.webdataset import convert_webdataset

    report = convert_webdataset(
        root,
        output,
        split,
        _usual(modalities),
        places_per_tar=places_per_tar,
        codec=codec,
        scheduler=scheduler,
        workers=workers,
    )
    return report.told(output)


#: For the command line.
COMMANDS: Mapping[str, Callable[..., str]] = {'v11': v11, 'zarr3': zarr3, 'webdataset': webdataset}


def _usual(modalities: list[Modality] | None) -> list[Modality]:
    return ['S2L1C', 'S2L2A', 'S1GRD'] if modalities is None else modalities
