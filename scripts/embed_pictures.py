"""Draws the pictures of docs/embeddings.md, of a made-up Earth.

python scripts/embed_pictures.py
python scripts/embed_pictures.py --map embed_map_310k.npz --place 8.75 50.75 --out pictures
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from torchgeo_copernicus.datasets.embed import MapWindow, map_dataset, open_map
from torchgeo_copernicus.datasets.lookalike.embed_map import paint_map
from torchgeo_copernicus.embedding.pictures import (
    draw_pca_map,
    draw_similarity_map,
    similarity_to,
    write_page,
)

OUT = Path(__file__).parents[1] / 'docs' / 'images'
DPI = 100
# Those of the guide.
SEED, PLACE = 1, (16.1, 51.2)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, small enough to lie in the repository."""
    buffer = BytesIO()
    figure.savefig(buffer, format='png', dpi=DPI)
    write(Image.open(buffer), path)


def photograph(ds: xr.Dataset, lon: float, lat: float, title: str, path: Path) -> None:
    """Write what Chromium shows of the page."""
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        print(f'{path} is left as it is: Chromium is not installed.')
        return
    with TemporaryDirectory() as folder:
        page = write_page(ds, Path(folder) / 'page.html', title=title).path
        shot = Path(folder) / 'page.png'
        options = ['--headless', '--no-sandbox', '--disable-gpu', '--virtual-time-budget=9000']
        options += ['--hide-scrollbars', '--window-size=1100,640', f'--screenshot={shot}']
        address = f'{page.as_uri()}#select={lon},{lat}'
        subprocess.run([chromium, *options, address], check=True, capture_output=True)
        write(Image.open(shot), path)


def write(picture: Image.Image, path: Path) -> None:
    """Write a picture."""
    image = picture.convert('RGB')
    image.save(path, quality=80, method=6)
    print(f'{path}: {image.width} x {image.height} px, {path.stat().st_size} bytes')


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description='Draw the pictures of docs/embeddings.md.')
    parser.add_argument('--map', type=Path, help='a map; a look-alike is made without')
    parser.add_argument(
        '--place', type=float, nargs=2, default=PLACE, metavar=('LON', 'LAT'), help='in degrees'
    )
    parser.add_argument('--out', type=Path, default=OUT, help='folder to write into')
    arguments = parser.parse_args()
    if arguments.map is None:
        made = 'made-up Earth, not real data'
        ds = map_dataset(paint_map(seed=SEED), MapWindow(), source=made)
    else:
        made, ds = arguments.map.name, open_map(arguments.map)
    arguments.out.mkdir(parents=True, exist_ok=True)
    title = f'PCA of {ds.sizes["channel"]} channels ({made})'
    save(draw_pca_map(ds, title=title), arguments.out / 'embed_pca.webp')
    lon, lat = arguments.place
    title = f'Like ({lon}, {lat}) ({made})'
    figure = draw_similarity_map(similarity_to(ds, lon, lat), title=title)
    save(figure, arguments.out / 'embed_similarity.webp')
    photograph(ds, lon, lat, 'Map of embeddings', arguments.out / 'embed_page.webp')


if __name__ == '__main__':
    main()
