"""Which format a copy of Copernicus-Pretrain is in, told by what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torchgeo_copernicus.datasets.pretrain.shards.shard_names import PUBLISHED

#: GeoTIFFs with a list of them, or shards of WebDataset.
Format = Literal['geotiff', 'shards']
#: Pattern of the published lists of GeoTIFFs.
LISTS = 'fnames_*.json.gz'


def format_of(root: str | Path | Sequence[str | Path], *, has_list: bool = False) -> Format:
    """Return the format of a copy.

    Args:
        root: Folder; or path, address, pattern or published name of shards, or a list of such.
        has_list: Whether a list of GeoTIFFs is given apart from the folder.

    Raises:
        ValueError: If a folder holds both or neither.
    """
    if not isinstance(root, str | Path):
        return 'shards'
    folder = Path(root)
    if str(root) in PUBLISHED or not folder.is_dir():
        if has_list:
            raise ValueError(
                f'{root} is no folder, but a list of GeoTIFFs is given; leave it out for shards.'
            )
        return 'shards'
    shards = next(folder.glob('*.tar'), None) is not None
    lists = has_list or next(folder.glob(LISTS), None) is not None
    if shards and lists:
        raise ValueError(
            f'{root} holds shards (*.tar) and a list of GeoTIFFs ({LISTS}). Keep them in folders of their '
            f'own, or name the shards, such as {folder / "example-{000000..000009}.tar"}.'
        )
    if not shards and not lists:
        raise ValueError(
            f'{root} holds neither shards (*.tar) nor a list of GeoTIFFs ({LISTS}). Give the folder that '
            'they are right in.'
        )
    return 'shards' if shards else 'geotiff'


def list_in(root: Path) -> Path:
    """Return the only list of GeoTIFFs in a folder.

    Raises:
        ValueError: If there is none, or there are several.
    """
    found = sorted(root.glob(LISTS))
    if len(found) != 1:
        names = [path.name for path in found]
        raise ValueError(
            f'{root} has the lists {names}; choose one with file_list.'
            if found
            else f'{root} has no list of GeoTIFFs ({LISTS}); give one as file_list.'
        )
    return found[0]
