"""The images of one modality of a cell in a shard, read one by one or in runs that lie together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_copernicus.datasets.buffers import Buffers
from torchgeo_copernicus.datasets.pretrain.modality import MODALITIES, MODALITY_NAMES, ModalityName
from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import read_whole
from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, Part, read
from torchgeo_copernicus.sensors import OLCI_SCALE

_OLCI = np.array(
    [OLCI_SCALE[band.name] for band in MODALITIES['s3_olci'].sensor.bands], np.float32
)[:, None, None]
# An image is first looked at in so many of its rows.
_GLANCES = 8
# To tell whether two images are the same: so many bytes, with at least so many values in them, say it.
_GLANCE_BYTES, _TELLING = 4096, 32
# Numbers that are converted at once, a single request to a server.
_PIECE = 1 << 20


class StoredImages:
    """Images by number: patch-major, then by stored date."""

    def __init__(self, source: ByteSource, cell: np.void, name: ModalityName) -> None:
        """Name a tensor; nothing is read.

        Args:
            source: The shard.
            cell: Entry of the cell in the index of the shard, of type `CELL`; it must have the modality.
            name: Which modality.
        """
        column = MODALITY_NAMES.index(name)
        shape = [int(n) for n in cell['shape'][column] if n]
        # Channels, rows and columns; elevation has no axis of channels.
        self._image_shape = (1, *shape[-2:]) if name == 'dem' else tuple(shape[-3:])
        self._dtype = np.dtype(cell['dtype'][column].decode())
        self._start = int(cell['data_offset'][column])
        self._name, self._source = name, source
        self._member = int(cell['member_offset'][column]), int(cell['member_bytes'][column])

    def read(self, numbers: Sequence[int], buffers: Buffers | None = None) -> Tensor:
        """Return images in physical units, float32 `[n, C, H, W]`.

        Args:
            numbers: Which.
            buffers: Where their memory is from; fresh memory when None.

        Raises:
            ValueError: If the file is cut off or damaged.
            OSError: If it cannot be read.
        """
        buffers = Buffers() if buffers is None else buffers
        images = buffers.take((len(numbers), *self._image_shape))
        array: NDArray[np.float32] = images.numpy()
        if self._start < 0:
            array[...] = self._whole()[list(numbers)]
        else:
            self._fill(array, numbers)
        if self._name == 's3_olci':
            array *= _OLCI
        return images

    def same(self, number: int, other: int) -> bool:
        """Return whether two images have the same pixels; a glance tells of most.

        Raises:
            ValueError: If the file is cut off or damaged.
            OSError: If it cannot be read.
        """
        if self._start < 0:
            whole = self._whole()
            return bool(whole[number].tobytes() == whole[other].tobytes())
        image_bytes = math.prod(self._image_shape) * self._dtype.itemsize
        length = min(_GLANCE_BYTES, image_bytes)
        # In the middle, where an image most likely has values.
        skipped = (image_bytes - length) // 2 // self._dtype.itemsize * self._dtype.itemsize
        starts = [self._start + image * image_bytes + skipped for image in (number, other)]
        glance, second = (bytes(read(self._source, start, length)) for start in starts)
        if glance != second:
            return False
        values = np.frombuffer(
            glance[: length // self._dtype.itemsize * self._dtype.itemsize], self._dtype
        )
        if len(np.unique(values[np.isfinite(values)])) >= _TELLING:
            return True
        first, again = (
            bytes(read(self._source, self._start + image * image_bytes, image_bytes))
            for image in (number, other)
        )
        return first == again

    def _fill(self, target: NDArray[np.float32], numbers: Sequence[int]) -> None:
        plain = self._dtype == target.dtype
        # Other numbers are converted piece by piece, which needs no second array as large.
        size = target.size if plain else min(target.size, _PIECE)
        stored = np.empty(0 if plain else size, self._dtype)
        flat, values = target.reshape(-1), math.prod(self._image_shape)
        for first, count in _runs(numbers):
            for skipped in range(0, count * values, size):
                length = min(size, count * values - skipped)
                part = flat[first * values + skipped :][:length]
                start = self._start + (numbers[first] * values + skipped) * self._dtype.itemsize
                self._source.read_into(start, (part if plain else stored[:length]).data.cast('B'))
                if not plain:
                    np.copyto(part, stored[:length], casting='unsafe')

    def _whole(self) -> NDArray[np.generic]:
        where = f'{self._source.name}: {self._name} at byte {self._member[0]}'
        values = read_whole(Part(self._source, *self._member, where))
        return values.reshape(-1, *self._image_shape)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first position and length of runs of consecutive numbers."""
    first = 0
    for position in range(1, len(numbers) + 1):
        if position == len(numbers) or numbers[position] != numbers[position - 1] + 1:
            yield first, position - first
            first = position


def void_images(images: Tensor) -> list[int]:
    """Return the positions of images without a single finite value, of `[n, C, H, W]`."""
    array: NDArray[np.float32] = images.numpy()
    step = max(1, array.shape[-2] // _GLANCES)
    return [
        position
        for position, image in enumerate(array)
        # Most images show a value at a glance.
        if not np.isfinite(image[:, step // 2 :: step]).any() and not np.isfinite(image).any()
    ]
