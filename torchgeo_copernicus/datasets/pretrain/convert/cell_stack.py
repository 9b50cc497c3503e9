"""Stacks the GeoTIFFs of a cell into the tensors that a shard holds of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.draw import drawn
from torchgeo_copernicus.datasets.pretrain.convert.square_image import square_image
from torchgeo_copernicus.datasets.pretrain.geotiffs.cell_files import CellFiles, ImageFile, Images
from torchgeo_copernicus.datasets.pretrain.geotiffs.geotiff import OnError
from torchgeo_copernicus.datasets.pretrain.geotiffs.image_reader import ImageReader
from torchgeo_copernicus.datasets.pretrain.grid import Cell, split_name
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.shard_writer import image_names
from torchgeo_copernicus.datasets.raster import read_raster

_log = logging.getLogger(__name__)

_EPOCH = date(1970, 1, 1)
_LARGEST_DN = np.iinfo(np.int16).max


@dataclass(frozen=True)
class _Image:
    """An image `[C, H, W]` as it is stored, and its day."""

    pixels: NDArray[np.generic]
    days: float


@dataclass(frozen=True)
class CellStack:
    """What a shard holds of a cell.

    Attributes:
        tensors: Images by modality: `[N, T, C, H, W]` of local patches, `[H, W]` of elevation, `[T, C, H, W]`
            of the others; int16 DN of Sentinel-2, float32 of the others, Sentinel-3 in counts.
        names: What the JSON says of them, by modality.
        counts: `images` there are, `repetitions` of them, and `unreadable_files` that were left out.
    """

    tensors: dict[ModalityName, NDArray[np.generic]] = field(default_factory=dict)
    names: dict[ModalityName, list[object]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Stacker:
    """Stacks cells, each of its own images alone.

    Attributes:
        root: Folder of the GeoTIFFs.
        modalities: What to take of each cell.
        resize: Bring images to the sizes of the release; else they keep theirs.
        pad: Repeat images until there are as many dates as in the release; else as many as the place has
            that has the most.
        seed: Of the repetitions, which are a function of it, cell, modality and patch.
        on_error: `raise` names a file that cannot be read, `skip` leaves it out.
    """

    root: Path
    modalities: tuple[ModalityName, ...]
    resize: bool
    pad: bool
    seed: int
    on_error: OnError

    def stack(self, files: CellFiles) -> CellStack:
        """Read and stack the images of a cell.

        Raises:
            ValueError: If a file cannot be read and *on_error* is `raise`, or images of a modality that keep
                their sizes have different ones.
        """
        stack = CellStack()
        for name in self.modalities:
            places: dict[str, list[_Image]] = {}
            for place, images in files.images.get(name, {}).items():
                if found := self._images(name, files.cell, place, images, stack.counts):
                    places[place] = found
            if places:
                self._add(stack, name, files.cell, places)
        return stack

    def _add(
        self, stack: CellStack, name: ModalityName, cell: Cell, places: dict[str, list[_Image]]
    ) -> None:
        modality = MODALITIES[name]
        dates = max(map(len, places.values()))
        if self.pad:
            dates = max(dates, modality.dates)
        shapes = {image.pixels.shape for images in places.values() for image in images}
        if len(shapes) > 1:
            sizes = sorted(f'{height} x {width}' for _, height, width in shapes)
            raise ValueError(
                f'Cell {cell.name} has images of {name} of {" and ".join(sizes[:4])} px, which make no tensor; '
                'convert with resize=True, or leave this cell or modality out.'
            )
        (shape,) = shapes
        tensor = np.empty((len(places), dates, *shape), modality.stored_dtype)
        days = []
        for row, (place, images) in zip(tensor, places.items(), strict=True):
            order = self._filled(name, cell, place, len(images), dates)
            for target, number in zip(row, order, strict=True):
                target[...] = images[number].pixels
            days.append([images[number].days for number in order])
            stack.counts['images'] += len(images)
            stack.counts['repetitions'] += dates - len(images)
        if name == 'dem':
            stack.tensors[name] = tensor[0, 0, 0]
            stack.names[name] = image_names(name, cell.name, (), ())
            return
        stack.tensors[name] = tensor if modality.local else tensor[0]
        texts = [[f'{_EPOCH + timedelta(days=day):%Y%m%d}' for day in row] for row in days]
        stack.names[name] = image_names(name, cell.name, list(places), texts)

    def _filled(
        self, name: ModalityName, cell: Cell, place: str, there: int, wanted: int
    ) -> list[int]:
        """Return the images of a place by number, behind them those that come again to make up a number."""
        local = (split_name(place)[0],) if place else ()
        key = (self.seed, cell.grid_id, MODALITY_NAMES.index(name), *local)
        again = [drawn(*key, number) % there for number in range(there, wanted)]
        return [*range(there), *again]

    def _images(
        self, name: ModalityName, cell: Cell, place: str, images: Images, counts: Counter[str]
    ) -> list[_Image]:
        """Return the images of a place in the order of time, without those that were left out."""
        reader = ImageReader(self.root)
        found = []
        for image in images:
            try:
                pixels = _read(reader, name, image, cell, place)
                found.append(_Image(self._stored(pixels, name, reader.path(image)), image.days))
            except ValueError as error:
                if self.on_error == 'raise':
                    raise
                _log.warning('%s', error)
                counts['unreadable_files'] += 1
        return found

    def _stored(
        self, pixels: NDArray[np.float32], name: ModalityName, path: Path
    ) -> NDArray[np.generic]:
        """Return pixels of the size and the type of the shards.

        Raises:
            ValueError: If a digital number does not fit.
        """
        dtype = MODALITIES[name].stored_dtype
        if dtype == 'int16' and (largest := pixels.max()) > _LARGEST_DN:
            raise ValueError(
                f'{path} has a digital number of {largest:.0f}, and shards hold {_LARGEST_DN} at most. It is '
                'damaged, or scaled in another way.'
            )
        if self.resize:
            pixels = square_image(pixels, MODALITIES[name].size_px)
        return pixels if dtype == 'float32' else np.rint(pixels).astype(dtype)


def _read(
    reader: ImageReader, name: ModalityName, image: ImageFile, cell: Cell, place: str
) -> NDArray[np.float32]:
    """Return an image as it is stored, float32 `[C, H, W]`, after all checks of the reader."""
    pixels, _ = reader.read(name, image, cell, place)
    if name != 's3_olci':
        return np.asarray(pixels.numpy())
    # The reader gives radiance; shards hold counts, which radiance does not give back to the bit.
    bands = len(MODALITIES[name].sensor.bands)
    return read_raster(reader.path(image), bands=bands).pixels.astype(np.float32)


def all_paths(files: CellFiles, modalities: Sequence[ModalityName]) -> list[ImageFile]:
    """Return the files that a stack of some modalities of a cell is made of."""
    return [
        image
        for name in modalities
        for images in files.images.get(name, {}).values()
        for image in images
    ]
