"""Writes a map of embeddings as one interactive HTML file that needs nothing else: no network, no server."""

from __future__ import annotations

import html
import json
import os
import re
import zlib
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from torchgeo_copernicus.datasets.embed.great_circle import EARTH_RADIUS_KM
from torchgeo_copernicus.datasets.pretrain.grid import CELL_DEG, COLUMNS, ROWS
from torchgeo_copernicus.datasets.whole_number import whole
from torchgeo_copernicus.embedding.pictures.map_axes import NO_DATA, aspect
from torchgeo_copernicus.embedding.pictures.map_colours import MapColours, fit_colours
from torchgeo_copernicus.embedding.pictures.quantised_vectors import (
    QuantisedVectors,
    SimilarityError,
    quantise,
    similarity_error,
)
from torchgeo_copernicus.embedding.pictures.similar_places import MIN_DISTANCE_KM
from torchgeo_copernicus.embedding.pictures.similarity_map import COLOUR_MAP, LOW_PERCENTILE

#: A page is never larger: mail and browsers take it. The 310,000 cells of the world need less with 24 components.
MOST_BYTES = 12_000_000
_PACKAGE = 'torchgeo_copernicus.embedding.pictures'


@dataclass(frozen=True)
class Page:
    """A page that was written.

    Attributes:
        path: The file.
        size_bytes: Its size.
        cells: Cells with data in it.
        components: Numbers that are kept of each.
        error: How far its similarities are from those of the whole vectors.
    """

    path: Path
    size_bytes: int
    cells: int
    components: int
    error: SimilarityError


def write_page(
    ds: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    components: int = 24,
    colours: MapColours | None = None,
    k: int = 8,
    min_distance_km: float = MIN_DISTANCE_KM,
    title: str = 'Map of embeddings',
) -> Page:
    """Write the page: the PCA map, and on a click the similarity of all cells to that place, and those most like it.

    It opens in any browser of 2023 or later. `page.html#select=8.75,50.75` opens it with a place chosen. Some rows of
    the map are in memory at a time.

    Args:
        ds: From `open_map`, at least two cells with data.
        path: File to write, with the ending `.html`; replaced where it exists. Its folder is made.
        components: Numbers to keep of each vector, 1 to 64, a byte each; the page says how large the error is.
        colours: From `fit_colours` of another map; fitted on this one when None.
        k: Places to list.
        min_distance_km: As of `similar_places`.
        title: Heading of the page.

    Raises:
        ValueError: If an argument is not allowed, the map has too few cells, or the page would be larger than 12 MB.
        OSError: If it cannot be written.
    """
    target = Path(path)
    if target.suffix != '.html':
        raise ValueError(f'{target} must end with .html.')
    if whole('k', k) < 1:
        raise ValueError('k must be at least 1.')
    if not isinstance(min_distance_km, int | float) or not 0 <= min_distance_km < np.inf:
        raise ValueError(f'min_distance_km is {min_distance_km!r}; give km, not negative.')
    if not isinstance(title, str):
        raise ValueError(f'title is {title!r}, wanted text.')
    if colours is not None and not isinstance(colours, MapColours):
        raise ValueError(f'colours is a {type(colours).__name__}; give those of fit_colours.')
    vectors = quantise(ds, components)
    error = similarity_error(ds, vectors)
    if colours is None:
        colours, picture = fit_colours(ds)
    else:
        picture = colours.picture(ds)
    about = {
        **_layout(vectors),
        'vectors': _packed(vectors.values.tobytes()),
        'colourMap': b64encode(_colour_table().tobytes()).decode(),
        'lowPercentile': LOW_PERCENTILE,
        'noData': NO_DATA,
        'places': k,
        'minDistanceKm': float(min_distance_km),
        'earthRadiusKm': EARTH_RADIUS_KM,
    }
    text = _filled(
        {
            'title': html.escape(title),
            'source': html.escape(_source(ds)),
            'facts': html.escape(_facts(ds, vectors, error)),
            'colours': html.escape(_colours_told(colours)),
            'k': str(k),
            'distance': f'{min_distance_km:g}',
            'picture': f'data:image/png;base64,{_png(picture)}',
            # Numbers and base64 alone: nothing that could end the script it is in.
            'data': json.dumps(about, allow_nan=False),
        }
    ).encode()
    if len(text) > MOST_BYTES:
        raise ValueError(
            f'The page would have {len(text) / 1e6:.1f} MB, at most {MOST_BYTES / 1e6:.0f}. Take fewer than '
            f'{len(vectors.values)} components, or a region.'
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.{os.getpid()}.part')
    try:
        part.write_bytes(text)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return Page(target, len(text), vectors.values.shape[1], len(vectors.values), error)


def _layout(vectors: QuantisedVectors) -> dict[str, object]:
    window = vectors.window
    return {
        'rows': window.rows,
        'columns': window.columns,
        'west': float(window.lon[0]),
        'north': float(window.lat[0]),
        'aspect': aspect(window),
        'cellDeg': CELL_DEG,
        'worldRows': ROWS,
        'worldColumns': COLUMNS,
        'valid': _packed(np.packbits(vectors.valid, axis=None, bitorder='little').tobytes()),
        'cells': vectors.values.shape[1],
        'components': len(vectors.values),
        'middle': vectors.middle.tolist(),
        'step': vectors.step.tolist(),
        'rest': vectors.rest,
    }


def _packed(values: bytes) -> str:
    """Return raw deflate as base64."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b64encode(deflate.compress(values) + deflate.flush()).decode()


def _png(picture: NDArray[np.uint8]) -> str:
    buffer = BytesIO()
    Image.fromarray(picture, 'RGBA').save(buffer, 'png', optimize=True)
    return b64encode(buffer.getvalue()).decode()


def _colour_table() -> NDArray[np.uint8]:
    """Return the colours of similarities from the lowest to the highest, `[256, 3]`."""
    table: NDArray[np.uint8] = matplotlib.colormaps[COLOUR_MAP](np.arange(256), bytes=True)
    return np.ascontiguousarray(table[:, :3])


def _source(ds: xr.Dataset) -> str:
    """Return what a map is from, without the folders of this machine."""
    return re.sub(r'\S*[/\\]', '', str(ds.attrs.get('source', '')))


def _facts(ds: xr.Dataset, vectors: QuantisedVectors, error: SimilarityError) -> str:
    kept, cells = vectors.values.shape
    return (
        f'{cells:,} cells of {CELL_DEG} degrees with {ds.sizes["channel"]} channels. This page keeps {kept} '
        f'components of each, a byte per component: its similarities are off by {error.rmse:.2g} (root mean '
        f'square) and at most {error.largest:.2g}, measured on {error.pairs:,} pairs of cells.'
    )


def _colours_told(colours: MapColours) -> str:
    low, high = colours.percentiles
    text = (
        f'Like colours, like vectors. Red, green and blue are the first three principal components, stretched from '
        f'percentile {low:g} to {high:g} of the cells'
    )
    if colours.projection is None or colours.projection.explained_variance is None:
        return f'{text}.'
    shares = ', '.join(f'{100 * s:.0f} %' for s in colours.projection.explained_variance)
    return f'{text}; they have {shares} of the variance.'


def _filled(texts: dict[str, str]) -> str:
    """Fill the template in one go: nothing that is put in is taken for a place to fill."""
    folder = files(_PACKAGE)
    read = {
        name: folder.joinpath(name).read_text('utf-8')
        for name in ('page.html', 'page.css', 'page_cells.js', 'page.js')
    }
    own = {'css': read['page.css'], 'js': f'{read["page_cells.js"]}\n{read["page.js"]}'}
    # The browser runs what has these hashes, and nothing else that may have got into the page.
    hashes = {
        f'{name}_hash': b64encode(sha256(text.encode()).digest()).decode()
        for name, text in own.items()
    }
    filling = {**texts, **own, **hashes}
    return re.sub(r'\{\{(\w+)\}\}', lambda found: filling[found[1]], read['page.html'])
