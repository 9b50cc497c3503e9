"""Measures the listed GeoTIFFs of some cells, a row of an index for each."""

from __future__ import annotations

from pathlib import Path

from torchgeo_copernicus.datasets.conversion.conversion import Stamps
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import CellFiles, ImageFile
from torchgeo_copernicus.datasets.pretrain.geotiffs.file_list import FileList
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.index.image_statistics import ImageStatistics
from torchgeo_copernicus.datasets.pretrain.index.index_table import ImageRow
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, ModalityName
from torchgeo_copernicus.datasets.raster import reading_several

Listed = tuple[CellFiles, ModalityName, str, ImageFile]


def listed_images(files: FileList, modalities: tuple[ModalityName, ...]) -> list[Listed]:
    """Return cell, modality, place and file of each image, in the order of `image_table`."""
    cells = (files.cell(row) for row in range(len(files)))
    return [
        (cell, name, place, image)
        for cell in cells
        for name in modalities
        for place, images in cell.images.get(name, {}).items()
        for image in images
    ]


def geotiff_rows(
    root: Path, files: FileList, modalities: tuple[ModalityName, ...]
) -> list[ImageRow]:
    """Read all images of a list; those that cannot be read say why."""
    reader = ImageReader(root)
    with reading_several():
        return [_row(root, reader, *listed) for listed in listed_images(files, modalities)]


def geotiff_stamps(root: Path, files: FileList, modalities: tuple[ModalityName, ...]) -> Stamps:
    """Return bytes and time of modification (ns) of all images of a list; zeros where one is missing."""
    reader = ImageReader(root)
    found = {}
    for _, _, _, image in listed_images(files, modalities):
        try:
            stat = reader.path(image).stat()
        except OSError:
            # A row will say so, and if the file comes later, it is read.
            found[image.path] = (0, 0)
        else:
            found[image.path] = (stat.st_size, stat.st_mtime_ns)
    return found


def _row(
    root: Path,
    reader: ImageReader,
    files: CellFiles,
    name: ModalityName,
    place: str,
    image: ImageFile,
) -> ImageRow:
    at = (files.cell.grid_id, name, place, image.days, image.path)
    try:
        pixels, metadata = reader.read(name, image, files.cell, place)
    except ValueError as error:
        # Below the root, for an index may be used elsewhere.
        reason = str(error).replace(f'{root}/', '')
        unknown = ImageStatistics.unknown(len(MODALITIES[name].sensor.bands))
        return ImageRow(*at, unknown, fault=reason)
    height, width = pixels.shape[1:]
    return ImageRow(
        *at, ImageStatistics.of(pixels), shape=(height, width), gsd_m=float(metadata[3])
    )
