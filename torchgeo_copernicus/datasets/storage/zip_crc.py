"""Compares members of a zip archive with their CRC-32: the only checksum that such files bring along."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read
from torchgeo_copernicus.datasets.storage.zip_members import Member

_PIECE_BYTES = 1 << 20
_LOCAL_HEADER = struct.Struct('<4s5H3I2H')
_SIGNATURE = b'PK\3\4'


def differing_members(
    source: ByteSource, members: Mapping[str, Member], names: Iterable[str] | None = None
) -> list[str]:
    """Return the names of members whose bytes do not fit their CRC-32.

    Args:
        source: The archive.
        members: Its members, as `members_of` gives them.
        names: Which of them to read; all when None.

    Raises:
        ValueError: If the archive is cut off within a member, or has no header of it.
        OSError: If it cannot be read.
    """
    chosen = members if names is None else names
    return [name for name in chosen if not _is_right(source, name, members[name])]


def _is_right(source: ByteSource, name: str, member: Member) -> bool:
    crc, size = 0, 0
    try:
        for plain in _plain_pieces(source, name, member):
            crc, size = zlib.crc32(plain, crc), size + len(plain)
            if size > member.plain_size:  # A bomb ends here.
                return False
    except zlib.error:
        return False
    return crc == member.crc and size == member.plain_size


def _plain_pieces(source: ByteSource, name: str, member: Member) -> Iterator[bytes]:
    start = _start(source, name, member)
    inflate = None if member.stored else zlib.decompressobj(-15)
    for position in range(0, member.size, _PIECE_BYTES):
        length = min(_PIECE_BYTES, member.size - position)
        packed = bytes(read(source, start + position, length))
        if inflate is None:
            yield packed
            continue
        while packed:
            yield inflate.decompress(packed, _PIECE_BYTES)
            packed = inflate.unconsumed_tail
    if inflate is not None:
        yield inflate.flush()


def _start(source: ByteSource, name: str, member: Member) -> int:
    """Return the first byte of the content of a member."""
    header = bytes(read(source, member.header, _LOCAL_HEADER.size))
    signature, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    if signature != _SIGNATURE:
        raise ValueError(f'{source.name} is damaged: {name} has no header in it.')
    start = member.header + len(header) + int(name_bytes) + int(extra_bytes)
    if start + member.size > source.size:
        raise ValueError(f'{source.name} is cut off inside {name}. Download it again.')
    return start
