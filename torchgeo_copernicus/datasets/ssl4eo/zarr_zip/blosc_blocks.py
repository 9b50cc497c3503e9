"""Decodes a part of a Blosc chunk: its blocks are independent, and only those in the way are read.

A chunk is a header, the offsets of its blocks and the blocks (c-blosc 1, README_CHUNK_FORMAT). A few of the
blocks behind a header of their own are a chunk again, which any Blosc decodes: so this needs nothing but
numcodecs, whose own partial decoding was removed in 0.16.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read

HEADER_BYTES = 16
# Flag of a chunk that did not shrink and is stored as it is.
_STORED = 0x02
# Blocks this close are read in one go: remote reads cost more by their number than by their length.
_GAP_BYTES = 32_768
_FORMAT_VERSION = 2


class Scratch(threading.local):
    """Buffers of a thread, kept between reads: fresh memory is slower than decoding."""

    def __init__(self) -> None:
        """Start empty."""
        self._packed = np.empty(0, np.uint8)
        self._plain = np.empty(0, np.uint8)

    def packed(self, size: int) -> NDArray[np.uint8]:
        """Return *size* bytes for compressed data, valid until the next call."""
        if len(self._packed) < size:
            self._packed = np.empty(size + size // 4, np.uint8)
        return self._packed[:size]

    def plain(self, size: int) -> NDArray[np.uint8]:
        """Return *size* bytes for decoded data, valid until the next call."""
        if len(self._plain) < size:
            self._plain = np.empty(size + size // 4, np.uint8)
        return self._plain[:size]


@dataclass(frozen=True)
class BloscBlocks:
    """Where the blocks of a chunk are.

    Attributes:
        head: The first four bytes: versions, flags, size of an item.
        size: Bytes of the chunk after decompression.
        block_size: Bytes of a block after decompression; the last may have fewer.
        starts: Position of each block in the chunk; empty for one stored as it is.
        lengths: Compressed bytes of each block.
    """

    head: bytes
    size: int
    block_size: int
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def find(cls, source: ByteSource, offset: int, length: int, size: int) -> BloscBlocks:
        """Read the header of a chunk and the offsets of its blocks.

        Args:
            source: Where the chunk is.
            offset: Its first byte.
            length: Its compressed bytes.
            size: Bytes it must have after decompression.

        Raises:
            ValueError: If this is no such chunk.
        """
        if length < HEADER_BYTES:
            raise ValueError(f'a Blosc chunk of {length} bytes has no header')
        header = bytes(read(source, offset, HEADER_BYTES))
        nbytes, block_size, cbytes = np.frombuffer(header, '<u4', 3, 4).tolist()
        if header[0] != _FORMAT_VERSION or (nbytes, cbytes) != (size, length) or block_size < 1:
            raise ValueError(
                f'no Blosc chunk of {size} bytes: its header tells of format {header[0]}, {nbytes} '
                f'bytes in {cbytes} (of {length}) and blocks of {block_size}'
            )
        none = np.empty(0, np.int64)
        if header[2] & _STORED:
            if length != size + HEADER_BYTES:
                raise ValueError(f'a stored Blosc chunk of {size} bytes has {length}')
            return cls(header[:4], size, block_size, none, none)
        count = -(-size // block_size)
        table = HEADER_BYTES + 4 * count
        if table > length:
            raise ValueError(f'a Blosc chunk of {count} blocks has only {length} bytes')
        raw = read(source, offset + HEADER_BYTES, 4 * count)
        starts = np.frombuffer(raw, '<u4').astype(np.int64)
        # Threads that compress side by side store blocks in the order they end.
        order = np.argsort(starts)
        lengths = np.empty(count, np.int64)
        lengths[order] = np.diff(starts[order], append=length)
        if starts.min() < table or lengths.min() < 1 or starts.max() >= length:
            raise ValueError('the offsets of the Blosc blocks are damaged')
        return cls(header[:4], size, block_size, starts, lengths)

    def decode(
        self, source: ByteSource, offset: int, first: int, last: int, scratch: Scratch
    ) -> NDArray[np.uint8]:
        """Return the bytes *first* to *last* of the decompressed chunk.

        Args:
            source: Where the chunk is.
            offset: Its first byte.
            first: First byte wanted.
            last: One past the last byte wanted.
            scratch: Buffers; the result lies in them, valid until they are used again.

        Raises:
            ValueError: If the chunk is damaged.
        """
        if not len(self.starts):
            found = scratch.plain(last - first)
            source.read_into(offset + HEADER_BYTES + first, found.data)
            return found
        low, high = first // self.block_size, -(-last // self.block_size)
        # Blosc refuses blocks larger than the whole, which a short last block alone would have.
        low = max(0, min(low, high - 2)) if high * self.block_size > self.size else low
        packed, size = self._pack(source, offset, low, high, scratch)
        plain = scratch.plain(size)
        try:
            Blosc().decode(packed, plain)
        except RuntimeError as error:
            raise ValueError(f'Blosc blocks {low} to {high} are damaged ({error})') from error
        begin = low * self.block_size
        return plain[first - begin : last - begin]

    def _pack(
        self, source: ByteSource, offset: int, low: int, high: int, scratch: Scratch
    ) -> tuple[NDArray[np.uint8], int]:
        """Read some blocks and make a chunk of them; return it and its decompressed size."""
        starts, lengths = self.starts[low:high], self.lengths[low:high]
        order = np.argsort(starts)
        first, ends = starts[order], starts[order] + lengths[order]
        # Where a run of neighbours begins, in the order of the file.
        breaks = np.flatnonzero(first[1:] - ends[:-1] > _GAP_BYTES) + 1
        runs = [(int(run[0]), int(run[-1])) for run in np.split(order, breaks)]
        spans = [(int(starts[a]), int(starts[b] + lengths[b])) for a, b in runs]
        table = HEADER_BYTES + 4 * (high - low)
        total = table + sum(end - start for start, end in spans)
        packed = scratch.packed(total)
        moved = np.empty(high - low, np.uint32)
        position = table
        for run, (start, end) in zip(np.split(order, breaks), spans, strict=True):
            source.read_into(offset + start, packed[position : position + end - start].data)
            moved[run] = starts[run] - start + position
            position += end - start
        size = min(self.size, high * self.block_size) - low * self.block_size
        packed[:4] = np.frombuffer(self.head, np.uint8)
        packed[4:HEADER_BYTES] = np.array([size, self.block_size, total], '<u4').view(np.uint8)
        packed[HEADER_BYTES:table] = moved.astype('<u4').view(np.uint8)
        return packed, size
