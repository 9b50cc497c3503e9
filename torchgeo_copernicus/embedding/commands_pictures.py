"""The commands that draw a map of embeddings: `pca`, `similar` and `page`."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def pca(
    map: str,
    output: str,
    region: list[float] | None = None,
    area_weighted: bool = False,
    outlines: str | None = None,
    title: str | None = None,
    dpi: int = 150,
) -> str:
    """Draw a map of embeddings by its first three principal components.

    Args:
        map: Map that open_map reads (.npz, .pt, .tif, .zarr, averaged .parquet), also behind an address.
        output: Picture to write (.png, .pdf, .svg, .jpg, .webp).
        region: West, south, east and north in degrees; the whole map when left out.
        area_weighted: Weigh cells by their area; else high latitudes count more.
        outlines: File of coast lines or borders to draw, as geopandas reads them.
        title: Above the map.
        dpi: Pixels per inch; the map is 10 inches wide.
    """
    import geopandas as gpd

    from torchgeo_copernicus.datasets.embed import open_map
    from torchgeo_copernicus.embedding.pictures import draw_pca_map

    target = _picture(output, dpi)
    lines = None if outlines is None else gpd.read_file(outlines)
    ds = open_map(map, region)
    figure = draw_pca_map(ds, area_weighted=area_weighted, outlines=lines, title=title)
    figure.savefig(target, dpi=dpi)
    return f'Wrote {target}'


def similar(
    map: str,
    lon: float,
    lat: float,
    output: str | None = None,
    region: list[float] | None = None,
    k: int = 5,
    min_distance_km: float = 1000,
    outlines: str | None = None,
    title: str | None = None,
    dpi: int = 150,
) -> str:
    """List the places that are most like one, and draw the similarity of all cells to it.

    Args:
        map: Map that open_map reads.
        lon: Longitude of the place (deg).
        lat: Its latitude (deg).
        output: Picture to write; none when left out.
        region: West, south, east and north in degrees to look in; the whole map when left out.
        k: Places to list.
        min_distance_km: Between any two of them, and from the place; 0 for all cells.
        outlines: Of the picture: file of coast lines or borders to draw.
        title: Of the picture: above the map.
        dpi: Of the picture: pixels per inch.
    """
    import geopandas as gpd

    from torchgeo_copernicus.datasets.embed import open_map
    from torchgeo_copernicus.embedding.pictures import (
        draw_similarity_map,
        similar_places,
        similarity_to,
    )

    if output is None and (outlines is not None or title is not None or dpi != 150):
        raise ValueError('outlines, title and dpi are of the picture: give output.')
    target = None if output is None else _picture(output, dpi)
    lines = None if outlines is None else gpd.read_file(outlines)
    similarity = similarity_to(open_map(map, region), lon, lat)
    text = similar_places(similarity, k, min_distance_km).to_string(index=False)
    if target is None:
        return text
    figure = draw_similarity_map(similarity, k, min_distance_km, outlines=lines, title=title)
    figure.savefig(target, dpi=dpi)
    return f'{text}\nWrote {target}'


def page(
    map: str,
    output: str,
    region: list[float] | None = None,
    components: int = 24,
    k: int = 8,
    min_distance_km: float = 1000,
    title: str = 'Map of embeddings',
) -> str:
    """Write a map of embeddings as an interactive HTML file that needs no network.

    Args:
        map: Map that open_map reads.
        output: File to write (.html); replaced where it exists.
        region: West, south, east and north in degrees; the whole map when left out.
        components: Numbers to keep of each vector, 1 to 64: the more, the larger the file, at most 12 MB.
        k: Places to list.
        min_distance_km: Between any two of them, and from the place; 0 for all cells.
        title: Heading of the page.
    """
    from torchgeo_copernicus.datasets.embed import open_map
    from torchgeo_copernicus.embedding.pictures import write_page

    written = write_page(
        open_map(map, region),
        output,
        components=components,
        k=k,
        min_distance_km=min_distance_km,
        title=title,
    )
    return (
        f'Wrote {written.path}: {written.size_bytes / 1e6:.1f} MB, {written.cells:,} cells, '
        f'{written.components} components; similarities are off by {written.error.rmse:.2g} (root mean square) '
        f'and at most {written.error.largest:.2g}.'
    )


#: For the command line.
COMMANDS: Mapping[str, Callable[..., str]] = {'page': page, 'pca': pca, 'similar': similar}


def _picture(output: str, dpi: int) -> str:
    """Check what to write, and make its folder, before minutes are spent on it."""
    from pathlib import Path

    from matplotlib.backend_bases import FigureCanvasBase

    from torchgeo_copernicus.datasets.whole_number import whole

    endings = FigureCanvasBase.get_supported_filetypes()
    if Path(output).suffix.lower().lstrip('.') not in endings:
        raise ValueError(f'{output} must end with one of {sorted(endings)}.')
    if not 1 <= whole('dpi', dpi) <= 1200:
        raise ValueError(f'dpi is {dpi}, must be 1 to 1200.')
    Path(output).absolute().parent.mkdir(parents=True, exist_ok=True)
    return output
