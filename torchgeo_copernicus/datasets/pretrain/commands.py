"""The commands `pretrain index`, `pretrain stats`, `pretrain verify` and `pretrain convert`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Literal

from torchgeo_copernicus.datasets.pretrain.modality import ModalityName

Scheduler = Literal['threads', 'processes', 'synchronous']
PublishedName = Literal['220k_aligned', '220k_310k_union', '310k_union', '100_example']


def index(
    root: str,
    output: str,
    file_list: str | None = None,
    modalities: list[ModalityName] | None = None,
    grids: list[int] | None = None,
    cells_per_file: int = 100,
    index_folder: str | None = None,
    scheduler: Scheduler = 'threads',
    workers: int | None = None,
) -> str:
    """Write an index of a copy: GeoParquet with place, date and statistics of every image.

    A run that was stopped goes on where it was. Images that cannot be read are rows that say why. Needs the
    extra `convert`.

    Args:
        root: Folder of GeoTIFFs or of shards; or path, address, pattern with braces or published name
            (220k_aligned, 220k_310k_union, 310k_union, 100_example) of shards.
        output: Folder to write into.
        file_list: Of GeoTIFFs: their list; the only fnames_*.json.gz in root when left out.
        modalities: Which images; all when left out.
        grids: Numbers of cells; all when left out.
        cells_per_file: Cells of a file, at least.
        index_folder: Of shards: folder where places in shards are kept; .index beside them when left out.
        scheduler: How Dask runs.
        workers: Files made at once; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.pretrain.index.convert_index import convert_index

    report = convert_index(
        root,
        output,
        file_list=file_list,
        modalities=modalities,
        grids=grids,
        cells_per_file=cells_per_file,
        index_folder=index_folder,
        scheduler=scheduler,
        workers=workers,
    )
    return report.told(output)


def stats(
    index: str,
    output: str | None = None,
    modalities: list[ModalityName] | None = None,
    void: bool = False,
    max_zero_share: float = 1.0,
) -> str:
    """Print mean, standard deviation and range of each band over all pixels that an index knows of.

    Args:
        index: Folder of an index.
        output: File to write means and standard deviations to (.json, .yaml), as `statistics` of
            CopernicusPretrainDataModule takes them. Must not exist.
        modalities: Which; all that are there when left out.
        void: Count images without a single value among the images, too.
        max_zero_share: Leave out images of which a larger share of values is exactly 0, which Sentinel-2 has
            where there is no data.
    """
    from torchgeo_copernicus.datasets.pretrain.index.index_statistics import (
        describe_statistics,
        index_statistics,
        write_statistics,
    )

    found = index_statistics(index, modalities, void=void, max_zero_share=max_zero_share)
    text = describe_statistics(found)
    if output is not None:
        write_statistics(found, output)
        text += f'\nWrote means and standard deviations to {output}'
    return text


def verify(
    root: str,
    limit: int = 200,
    file_list: str | None = None,
    modalities: list[ModalityName] | None = None,
    published: PublishedName | None = None,
) -> str:
    """Check a copy and print what is in it; fails when something is wrong. Nothing is changed.

    Args:
        root: Folder of GeoTIFFs or of shards; or path, address, pattern with braces or published name of
            shards.
        limit: Cells to read, and files of a conversion to compare by SHA-256; 0 for all.
        file_list: Of GeoTIFFs: their list; the only fnames_*.json.gz in root when left out.
        modalities: Of GeoTIFFs: which, where a copy has some only.
        published: Of shards: published set they should be.
    """
    from torchgeo_copernicus.datasets.pretrain.verify.verify_pretrain import verify_pretrain

    text, has_problems = verify_pretrain(
        root, limit, file_list=file_list, modalities=modalities, published=published
    )
    if has_problems:
        sys.exit(text)
    return text


def shards(
    root: str,
    output: str,
    file_list: str | None = None,
    modalities: list[ModalityName] | None = None,
    grids: list[int] | None = None,
    cells_per_shard: int = 100,
    seed: int = 0,
    pad: bool = True,
    resize: bool = True,
    on_error: Literal['raise', 'skip'] = 'raise',
    scheduler: Scheduler = 'threads',
    workers: int | None = None,
) -> str:
    """Convert GeoTIFFs into shards, as those of the release.

    A run that was stopped goes on where it was. Needs the extra `convert`.

    Args:
        root: Folder of GeoTIFFs.
        output: Folder to write into.
        file_list: Their list; the only fnames_*.json.gz in root when left out.
        modalities: Which images; all when left out.
        grids: Numbers of cells, in the order wanted; all when left out.
        cells_per_shard: Cells of a shard.
        seed: Of the images that pad repeats.
        pad: Repeat images to the number of dates of the release.
        resize: Bring images to the sizes of the release; else all of a modality of a cell must have one size.
        on_error: raise names a file that cannot be read, skip leaves it out and counts it.
        scheduler: How Dask runs.
        workers: Shards made at once, each with 200 MB of memory; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.pretrain.convert.convert_shards import convert_shards

    report = convert_shards(
        root,
        output,
        file_list,
        modalities,
        grids=grids,
        cells_per_shard=cells_per_shard,
        seed=seed,
        pad=pad,
        resize=resize,
        on_error=on_error,
        scheduler=scheduler,
        workers=workers,
    )
    return report.told(output)


def geotiff(
    shards: str,
    output: str,
    modalities: list[ModalityName] | None = None,
    grids: list[int] | None = None,
    on_error: Literal['raise', 'skip'] = 'raise',
    scheduler: Scheduler = 'threads',
    workers: int | None = None,
) -> str:
    """Convert shards into GeoTIFFs and a list of them; georeferences are reconstructed.

    A run that was stopped goes on where it was. Needs the extra `convert`.

    Args:
        shards: Folder, path, address, pattern with braces or published name of shards.
        output: Folder to write into.
        modalities: Which images; all when left out.
        grids: Numbers of cells, in the order wanted; all when left out.
        on_error: Of shards that are cut off or damaged: raise names them, skip leaves out what is lost and
            counts it.
        scheduler: How Dask runs.
        workers: Files made at once; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.pretrain.convert.convert_geotiff import convert_geotiff

    report = convert_geotiff(
        shards,
        output,
        modalities,
        grids=grids,
        on_error=on_error,
        scheduler=scheduler,
        workers=workers,
    )
    return report.told(output)


#: For the command line.
COMMANDS: Mapping[str, Callable[..., str] | Mapping[str, Callable[..., str]]] = {
    'index': index,
    'stats': stats,
    'verify': verify,
    'convert': {'shards': shards, 'geotiff': geotiff},
}
