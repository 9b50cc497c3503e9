"""The commands `aggregate` and `climate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from rich.console import Console

from torchgeo_copernicus.embedding.averaging.cell_mean import Duplicates, Weights
from torchgeo_copernicus.embedding.climate.options import ClimateOptions
from torchgeo_copernicus.embedding.climate.study import StudyOptions

_STUDY, _TARGETS = StudyOptions(), ClimateOptions()


def aggregate(
    rows: list[str] | str,
    output: str,
    weights: Weights = 'images',
    modality_weights: dict[str, float] | None = None,
    duplicates: Duplicates = 'raise',
    allow_other_data: bool = False,
    maps: list[str] | str | None = None,
    overwrite: bool = False,
    range_mib: int = 128,
    scheduler: Literal['threads', 'processes', 'synchronous'] = 'threads',
    workers: int | None = None,
) -> str:
    """Average embeddings of images to one for each cell of 0.25 degrees, and write maps of them.

    A run that was stopped goes on where it was. Needs the extra `embed`.

    Args:
        rows: Store that `embed` wrote, folder of full chunks of the release, or Parquet file; of several '[a, b]'.
        output: Folder to write tables into, a row for each cell.
        weights: images (each the same), or modalities (each the same, and within it patches, then dates).
        modality_weights: What an image, or a modality, weighs on top: a number for each that occurs; 0 leaves
            it out.
        duplicates: Of an image that is there twice: raise, or count it once.
        allow_other_data: Average over stores that were made alike, but of other data.
        maps: Map to write as well, by its ending: .npz, .tif, .zarr; several as '[a.tif, b.zarr]'.
        overwrite: Replace maps that are there.
        range_mib: MiB of embeddings that a task has in memory.
        scheduler: How Dask runs.
        workers: Files made at once; as many as there are cores when left out.
    """
    from torchgeo_copernicus.datasets.embed.write_map import write_map
    from torchgeo_copernicus.embedding.averaging import aggregate as averaging
    from torchgeo_copernicus.embedding.averaging.averaged_table import to_map

    if overwrite and not maps:
        raise ValueError('overwrite is of maps, and none are given.')
    report = averaging.aggregate(
        rows,
        output,
        weights=weights,
        modality_weights=modality_weights,
        duplicates=duplicates,
        allow_other_data=allow_other_data,
        range_mib=range_mib,
        scheduler=scheduler,
        workers=workers,
    )
    told = f'{report.cells} cells of {report.images} images ({", ".join(report.modalities)})'
    lines = [f'{told}; {len(report.written)} files written to {output}, {len(report.kept)} kept']
    for path in [maps] if isinstance(maps, str) else maps or ():
        lines.append(f'Wrote {write_map(to_map(output), path, overwrite=overwrite)}')
    return '\n'.join(lines)


def climate(
    embeddings: list[str] | str,
    era5: list[str] | str,
    output: str,
    study: StudyOptions = _STUDY,
    targets: ClimateOptions = _TARGETS,
) -> str:
    """Repeat the climate study of the paper: linear regression from embeddings and coordinates to the climate.

    Args:
        embeddings: Map (.npz, .pt, .tif, .zarr), table of averages (.parquet), or the folder that aggregate wrote;
            several tables as '[a, b]'.
        era5: Monthly file of the six variables, NetCDF or Zarr; several as '[a, b]'.
        output: JSON file to write; the table goes beside it, as Markdown.
        study: How it is done.
        targets: How the targets are made of ERA5.
    """
    from torchgeo_copernicus.embedding.climate.study import climate_study
    from torchgeo_copernicus.embedding.climate.study_table import study_table, write_result

    several = isinstance(embeddings, list) and len(embeddings) > 1
    given = embeddings if several or isinstance(embeddings, str) else embeddings[0]
    result = climate_study(given, era5, study, targets)
    files = write_result(result, output)
    console = Console()
    # A pipe has no width, and nothing should be cut off in it.
    Console(width=None if console.is_terminal else 300).print(study_table(result))
    return f'Wrote {" and ".join(map(str, files))}'


#: For the command line.
COMMANDS: Mapping[str, Callable[..., str]] = {'aggregate': aggregate, 'climate': climate}
