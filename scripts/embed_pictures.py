"""Draws the pictures of docs/embeddings.md, of a made-up Earth.

python scripts/embed_pictures.py
python scripts/embed_pictures.py --map embed_map_310k.npz --place 8.75 50.75 --out pictures
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from torchgeo_copernicus.datasets.embed import MapWindow, map_dataset, open_map
from torchgeo_copernicus.datasets.lookalike.embed_map import paint_map
from torchgeo_copernicus.embedding.pictures import draw_pca_map, draw_similarity_map, similarity_to

OUT = Path(__file__).parents[1] / 'docs' / 'images'
DPI = 100
# Those of the guide.
SEED, PLACE = 1, (16.1, 51.2)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, small enough to lie in the repository."""
    buffer = BytesIO()
    figure.savefig(buffer, format='png', dpi=DPI)
    image = Image.open(buffer).convert('RGB')
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


if __name__ == '__main__':
    main()
