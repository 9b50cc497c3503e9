"""The commands `collect cities`, `collect fill`, `collect download` and `collect list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from torchgeo_copernicus.collect.collector import CollectionReport
from torchgeo_copernicus.collect.overlap import APART_M
from torchgeo_copernicus.datasets.pretrain.grid import Cell
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName

_SHOWN = 10


def cities(
    table: str,
    output: str,
    count: int,
    seed: int = 0,
    sigma_km: float = 50.0,
    largest: int = 10_000,
    min_distance_m: float = APART_M,
    spread: Literal['ground', 'degrees'] = 'ground',
) -> str:
    """Draw places around the largest cities, as SSL4EO-S12 did.

    Args:
        table: Table of cities with the columns name, lon, lat and population, comma-separated.
        output: Table of places to write: number, lon, lat. Must not exist.
        count: How many places.
        seed: Which ones.
        sigma_km: How far they are from the city, as the standard deviation in each of two directions (km).
        largest: How many cities, the most populous.
        min_distance_m: Smallest distance between two places (m).
        spread: degrees is as published: as many degrees of longitude as of latitude.
    """
    from torchgeo_copernicus.collect.cities import read_cities
    from torchgeo_copernicus.collect.overlap import SpacedPlaces
    from torchgeo_copernicus.collect.place import write_places
    from torchgeo_copernicus.collect.sampling import places_around_cities

    path = _new(output)
    places = places_around_cities(
        read_cities(table),
        count,
        seed,
        sigma_km=sigma_km,
        largest=largest,
        spread=spread,
        spaced=SpacedPlaces(min_distance_m),
    )
    write_places(path, places)
    return f'Wrote {len(places)} places to {path}'


def fill(
    cells: str,
    output: str,
    places: str | None = None,
    per_cell: int = 1,
    seed: int = 0,
    min_distance_m: float = APART_M,
) -> str:
    """Draw places in cells that have none.

    Args:
        cells: File with the numbers of the cells that should have places, one in each line.
        output: Table of places to write, those that were there first. Must not exist.
        places: Table of places that are there.
        per_cell: How many new places in each cell.
        seed: Which ones.
        min_distance_m: Smallest distance between a new place and any other (m).
    """
    from torchgeo_copernicus.collect.overlap import SpacedPlaces
    from torchgeo_copernicus.collect.place import read_places, write_places
    from torchgeo_copernicus.collect.sampling import fill_empty_cells

    path = _new(output)
    there = () if places is None else read_places(Path(places))
    found = fill_empty_cells(
        _cells(cells),
        seed,
        per_cell=per_cell,
        there=there,
        spaced=SpacedPlaces(min_distance_m, [(place.longitude, place.latitude) for place in there]),
        first_number=1 + max((place.number for place in there), default=-1),
    )
    write_places(path, [*there, *found.places])
    text = f'Wrote {len(there)} places and {len(found.places)} new ones to {path}'
    return f'{text}; {len(found.full)} cells had no room' if found.full else text


def download(
    output: str,
    project: str,
    places: str | None = None,
    cells: str | None = None,
    modalities: list[ModalityName] | None = None,
    polar: bool = False,
    harmonized: bool = True,
    cloud_percent: float = 20.0,
    year: int = 2021,
    shifted: bool = False,
    seed: int = 0,
    scheduler: Literal['threads', 'processes', 'synchronous'] = 'threads',
    workers: int = 8,
    tries: int = 5,
    check_hashes: bool = True,
) -> str:
    """Collect images from Google Earth Engine; a run that was stopped goes on where it was.

    Sentinel-1 is collected of places that have Sentinel-2, when both are wanted. Needs the extra `collect`,
    and `earthengine authenticate` once.

    Args:
        output: Folder to write into, in the layout of the released GeoTIFFs.
        project: Google Cloud project that is billed.
        places: Table of places: number, lon, lat. Their cells are collected too.
        cells: File with the numbers of more cells, one in each line.
        modalities: Which; all eight when left out.
        polar: The places are polar: Sentinel-1 in HH and HV, one image a year instead of one a season.
        harmonized: Sentinel-2 is reflectance x 10000 of all years; false is as published.
        cloud_percent: Largest share of clouds in a scene of Sentinel-2 (%).
        year: Of Sentinel-3 and -5P.
        shifted: Season dates of each place are drawn, as in SSL4EO-S12.
        seed: Of what is drawn.
        scheduler: How Dask runs.
        workers: How many tasks at once; Earth Engine serves some 40 at once at most.
        tries: How often to ask again for what failed.
        check_hashes: Compare the hashes of files that are there, not their sizes alone.
    """
    from torchgeo_copernicus.collect.client import EarthEngineLogin
    from torchgeo_copernicus.collect.collector import collect
    from torchgeo_copernicus.collect.file_names import write_file_names
    from torchgeo_copernicus.collect.place import read_places
    from torchgeo_copernicus.collect.recipe import Recipe
    from torchgeo_copernicus.collect.request import Retry
    from torchgeo_copernicus.collect.task import Task, tasks_of
    from torchgeo_copernicus.datasets.pretrain.modality import chosen_modalities

    wanted = chosen_modalities(modalities)
    recipe = Recipe(seed, polar, cloud_percent, year, shifted, harmonized)
    login = EarthEngineLogin(project)
    there = () if places is None else read_places(Path(places))
    grids = {place.cell for place in there} | set(() if cells is None else _cells(cells))

    def run(tasks: list[Task]) -> CollectionReport:
        return collect(
            tasks,
            output,
            login,
            recipe,
            retry=Retry(tries),
            scheduler=scheduler,
            workers=workers,
            check_hashes=check_hashes,
        )

    tasks = tasks_of(wanted, grids, there)
    if not tasks:
        raise ValueError('There is nothing to collect; give places or cells.')
    # Sentinel-1 after Sentinel-2, which decides of which places there are images.
    both = {'s1_grd', 's2_toa'} <= set(wanted)
    later = [task for task in tasks if both and task.modality == 's1_grd']
    first = [task for task in tasks if not both or task.modality != 's1_grd']
    reports = [run(first)] if first else []
    if later:
        done = {key for report in reports for key in (*report.made, *report.kept)}
        with_s2 = [task for task in later if task.key.replace('s1_grd', 's2_toa', 1) in done]
        reports += [run(with_s2)] if with_s2 else []
    if any(report.made or report.kept for report in reports):
        write_file_names(output)
    text = _told(reports, output)
    failed = {key: message for report in reports for key, message in report.failed.items()}
    if failed:
        lines = [f'{key}: {message}' for key, message in list(failed.items())[:_SHOWN]]
        raise ValueError('\n'.join([f'{text}. Run again for what failed, such as', *lines]))
    return text


def list_files(root: str, name: str = 'fnames_collected.json.gz') -> str:
    """Write the list of collected files anew.

    Args:
        root: Folder that was collected into.
        name: Name of the list: fnames_*.json.gz.
    """
    from torchgeo_copernicus.collect.file_names import write_file_names

    return f'Wrote {write_file_names(root, name)}'


#: For the command line.
COMMANDS: Mapping[str, Callable[..., str]] = {
    'cities': cities,
    'fill': fill,
    'download': download,
    'list': list_files,
}


def _new(output: str) -> Path:
    path = Path(output)
    if path.exists():
        raise ValueError(f'{path} exists; move it away, or choose another name.')
    return path


def _cells(path: str) -> list[Cell]:
    try:
        lines = Path(path).read_text(encoding='utf-8').split()
        return [Cell(int(line)) for line in lines]
    except (OSError, ValueError) as error:
        raise ValueError(f'{path} lists no numbers of cells: {error}') from error


def _told(reports: list[CollectionReport], output: str) -> str:
    made, kept, empty, failed = (
        sum(len(getattr(report, name)) for report in reports)
        for name in ('made', 'kept', 'empty', 'failed')
    )
    text = f'Collected {made} tasks into {output}; {kept} were there, {empty} have no images'
    resampled = sum(report.resampled for report in reports)
    if resampled:
        text += f', {resampled} images of Sentinel-2 were resampled'
    return f'{text}, {failed} failed' if failed else text
