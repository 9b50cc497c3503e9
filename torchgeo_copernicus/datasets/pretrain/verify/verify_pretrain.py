"""Checks a copy of Copernicus-Pretrain, whichever format it is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchgeo_copernicus.datasets.conversion.check_outputs import check_outputs
from torchgeo_copernicus.datasets.pretrain.copy_format import format_of, list_in
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.modality import ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_names import PUBLISHED, shard_names
from torchgeo_copernicus.datasets.pretrain.verify.published_counts import published_set
from torchgeo_copernicus.datasets.pretrain.verify.verify_geotiff import (
    describe_geotiff,
    verify_geotiff,
)
from torchgeo_copernicus.datasets.pretrain.verify.verify_shards import (
    describe_shards,
    verify_shards,
)
from torchgeo_copernicus.datasets.whole_number import whole


def verify_pretrain(
    root: str | Path | Sequence[str | Path],
    limit: int = 200,
    *,
    file_list: Path | str | None = None,
    modalities: Sequence[ModalityName] | None = None,
    published: str | None = None,
) -> tuple[str, bool]:
    """Check a copy; nothing is downloaded or changed.

    Files of a conversion, which has a manifest, are compared with its sizes and SHA-256, too.

    Args:
        root: Folder of GeoTIFFs; or shards as `shard_names` takes them.
        limit: Cells to read, spread over all, and files of a conversion to compare by SHA-256; 0 for all.
        file_list: Of GeoTIFFs: the list; the only one in *root* when None.
        modalities: Of GeoTIFFs: which, where a copy has some only; all when None.
        published: Of shards: published set that they should be; that of *root* where it is such a name.

    Returns:
        A text for people, and whether there are problems.

    Raises:
        ValueError: If an argument is impossible or of the other format, there is no copy, or the list is
            damaged.
    """
    whole('limit', limit)
    if format_of(root, has_list=file_list is not None) == 'geotiff':
        if published is not None:
            raise ValueError(f'published is {published!r}, but {root} holds GeoTIFFs, no shards.')
        folder = Path(str(root))
        files = FileList.read(list_in(folder) if file_list is None else file_list)
        found = verify_geotiff(folder, files, limit, modalities)
        text, problems = describe_geotiff(found), bool(found.problems)
    else:
        if modalities is not None:
            raise ValueError('modalities are of GeoTIFFs; of shards all are checked.')
        if published is None and str(root) in PUBLISHED:
            published = str(root)
        wanted = None if published is None else published_set(published)
        report = verify_shards(shard_names(root), limit, wanted)
        text, problems = describe_shards(report), bool(report.problems)
    manifest = check_outputs(Path(str(root)), limit) if isinstance(root, str | Path) else None
    if manifest is None:
        return text, problems
    lines = [
        text,
        f'Conversion: {manifest.files} files, SHA-256 of {manifest.hashed} compared',
        *(f'PROBLEM {problem}' for problem in manifest.problems),
    ]
    return '\n'.join(lines), problems or bool(manifest.problems)
