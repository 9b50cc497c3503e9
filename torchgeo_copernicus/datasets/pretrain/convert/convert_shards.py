"""Converts GeoTIFFs of Copernicus-Pretrain into WebDataset shards.

Over the published converter this one never lets a cell have images of another, puts dates in the order of
time, refuses digital numbers that do not fit, names or counts files that cannot be read, and makes the same
bytes of the same files.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchgeo_copernicus.datasets.bench.dataset import one_of
from torchgeo_copernicus.datasets.conversion.conversion import (
    ConversionReport,
    Job,
    Stamps,
    convert,
)
from torchgeo_copernicus.datasets.pretrain.convert.cell_stack import Stacker, all_paths
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import CellFiles, read_entry
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import (
    CopernicusPretrainGeoTIFF,
    OnError,
)
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_writer import add_cell, tensor_bytes
from torchgeo_copernicus.datasets.raster import reading_several
from torchgeo_copernicus.datasets.whole_number import whole

#: Cells of a shard in the release.
CELLS_PER_SHARD = 100


def convert_shards(
    root: Path | str,
    output: Path | str,
    file_list: Path | str | FileList | None = None,
    modalities: Sequence[ModalityName] | None = None,
    *,
    grids: Sequence[int] | None = None,
    cells_per_shard: int = CELLS_PER_SHARD,
    seed: int = 0,
    pad: bool = True,
    resize: bool = True,
    on_error: OnError = 'raise',
    scheduler: object = None,
    workers: int | None = None,
    progress: bool = True,
) -> ConversionReport:
    """Write `<output>/example-000000.tar` and so on, as `CopernicusPretrainStream` and TorchGeo read them.

    Members and JSON are those of the release (see `shard_writer`). A modality that a cell lacks is absent
    from both. Sentinel-2 is int16 DN; the others are float32: dB, counts of Sentinel-3 before its scale,
    mol/m2, m. Pixels without a value stay NaN. Cells are in the order of the list or of *grids*.

    Georeferences are not kept: a shard tells of an image the cell, the local patch and the day.

    Args:
        root: Folder that the paths of the list are below.
        output: Folder to write into.
        file_list: A `fnames_*.json.gz`, or a `FileList`; the only one in *root* when None.
        modalities: Which; all when None. Cells that have none of them are left out.
        grids: Numbers of cells, in the order wanted; all when None.
        cells_per_shard: Cells of a shard.
        seed: Of the images that *pad* repeats.
        pad: Give each place as many dates as the release has (4 of Sentinel-1 and -2, 8 of Sentinel-3, 12 of
            Sentinel-5P) where it has fewer, with repetitions of its own behind, as the release does. Else
            only as many as the local patch has that has the most, because all of a cell make one tensor.
            Readers of this package tell repetitions by their day and pixels, and leave them out.
        resize: Bring images to the sizes of the release with `square_image`. Else they keep theirs, to the
            bit; those of a modality of a cell must then have the same.
        on_error: `raise` names a file that cannot be read; `skip` leaves it out, logs and counts it.
        scheduler: Of Dask; see `conversion.convert`.
        workers: How many shards are made at once; each takes four times the memory of a cell, about 200 MB.
        progress: Show a bar.

    Returns:
        What was written, and counts: `cells`, `images`, `repetitions`, `unreadable_files`, and
        `unreadable_cells`, of which nothing could be read.

    Raises:
        DatasetNotFoundError: If *root* is no folder, or has no list.
        ValueError: If an argument is impossible, a file cannot be read, a digital number does not fit into
            int16, sizes differ without *resize*, or the folder holds something else.
    """
    one_of('on_error', on_error, OnError)
    for name, value in (('pad', pad), ('resize', resize)):
        if not isinstance(value, bool):
            raise ValueError(f'{name} must be True or False, got {value!r}.')
    if whole('cells_per_shard', cells_per_shard) < 1:
        raise ValueError('cells_per_shard must be at least 1.')
    dataset = CopernicusPretrainGeoTIFF(root, file_list, modalities, grids=grids)
    stacker = Stacker(dataset.root, dataset.modalities, resize, pad, whole('seed', seed), on_error)
    rows = dataset.files.rows(dataset.grid_ids.tolist())
    options = {
        'format': 'Copernicus-Pretrain shards',
        'modalities': list(dataset.modalities),
        'seed': stacker.seed,
        'pad': pad,
        'resize': resize,
    }
    jobs = []
    for number, first in enumerate(range(0, len(rows), cells_per_shard)):
        cells = [dataset.files.cell(row) for row in rows[first : first + cells_per_shard]]
        shard = _Shard(stacker, _packed(cells))
        mine = {**options, 'cells': [files.cell.grid_id for files in cells]}
        path = f'example-{number:06d}.tar'
        jobs.append(Job(path, 'example-', mine, shard.stamps, shard.write))
    report = convert([jobs], output, scheduler=scheduler, workers=workers, progress=progress)
    if on_error == 'raise' and (lost := report.counts.get('unreadable_files')):
        # Shards that are whole are the same either way, so the option does not part them.
        raise ValueError(
            f'{output} has shards of an earlier run that left {lost} unreadable files out. Delete them, or '
            "go on with on_error='skip'."
        )
    return report


@dataclass(frozen=True)
class _Shard:
    """A shard to make.

    Attributes:
        stacker: Stacks its cells.
        packed: What the list says of them; small, because all shards wait in memory.
    """

    stacker: Stacker
    packed: bytes

    def stamps(self) -> Stamps:
        """Return size and time of all files, and what the list says of them."""
        reader = ImageReader(self.stacker.root)
        digest = hashlib.sha256(self.packed).digest()
        stamps = {'the list': (len(self.packed), int.from_bytes(digest[:8], 'big'))}
        for files in _unpacked(self.packed):
            for image in all_paths(files, self.stacker.modalities):
                path = reader.path(image)
                stat = path.stat() if path.exists() else None
                stamps[image.path] = (-1, 0) if stat is None else (stat.st_size, stat.st_mtime_ns)
        return stamps

    def write(self, path: Path) -> Mapping[str, int]:
        """Write the shard, and return counts."""
        counts: Counter[str] = Counter()
        with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive, reading_several():
            for files in _unpacked(self.packed):
                stack = self.stacker.stack(files)
                counts += stack.counts
                if not stack.tensors:
                    counts['unreadable_cells'] += 1
                    continue
                counts['cells'] += 1
                tensors = {name: tensor_bytes(images) for name, images in stack.tensors.items()}
                add_cell(archive, files.cell.grid_id, tensors, stack.names)
        return dict(counts)


def _packed(cells: Sequence[CellFiles]) -> bytes:
    entries = {}
    for files in cells:
        entry: dict[str, object] = {'grid_id_coord': files.cell.name}
        for name, places in files.images.items():
            paths = {place: [image.path for image in images] for place, images in places.items()}
            entry[name] = paths if MODALITIES[name].local else next(iter(paths.values()))
        entries[f'{files.cell.grid_id:07d}'] = entry
    return zlib.compress(json.dumps(entries).encode(), 1)


def _unpacked(packed: bytes) -> Iterator[CellFiles]:
    for key, entry in json.loads(zlib.decompress(packed)).items():
        yield read_entry(key, entry)
