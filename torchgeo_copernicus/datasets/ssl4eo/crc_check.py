"""Compares the members of a zip archive with their CRC-32: the only checksum that SSL4EO-S12 v1.1 has."""

from __future__ import annotations

import random
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from torchgeo_copernicus.datasets.ssl4eo.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import (
    ByteSource,
    LocalFile,
    Part,
    SourceIO,
    read,
)

_PIECE_BYTES = 1 << 20


def containers(source: ByteSource) -> Iterator[ByteSource]:
    """Yield the zip archives of a file: itself, or those in a tar archive.

    Raises:
        ValueError: If it is a tar archive that is cut off.
    """
    if bytes(read(source, 0, min(4, source.size))) == b'PK\3\4':
        yield source
        return
    try:
        with tarfile.open(fileobj=SourceIO(source), mode='r:') as archive:
            members = [m for m in archive if m.isfile() and m.name.endswith('.zarr.zip')]
    except tarfile.TarError as error:
        raise ValueError(
            f'{source.name} is neither a zip nor a whole tar archive ({error}). Download it again.'
        ) from error
    if not members:
        raise ValueError(f'{source.name} holds no *.zarr.zip.')
    for member in members:
        yield Part(source, member.offset_data, member.size, f'{source.name}/{member.name}')


def damaged_members(group: ZarrZip, at_most: int | None = None) -> list[str]:
    """Return the names of members whose bytes do not fit their CRC-32.

    Args:
        group: Archive to read.
        at_most: Members to check, drawn by chance that is the same every time; all when None.

    Raises:
        ValueError: If the archive is cut off.
    """
    names = sorted(group.members)
    if at_most is not None and at_most < len(names):
        names = random.Random(group.source.size).sample(names, at_most)
    return [name for name in names if not _is_right(group, name)]


def check_whole(path: Path) -> None:
    """Check every member of a zip archive, or of the zip archives in a tar archive.

    Args:
        path: The file; its name does not matter.

    Raises:
        ValueError: If one is damaged; names it.
    """
    for container in containers(LocalFile(path)):
        if damaged := damaged_members(ZarrZip(container)):
            raise ValueError(f'{container.name} is damaged: the CRC of {damaged[:3]} differs.')


def _is_right(group: ZarrZip, name: str) -> bool:
    member, crc, size = group.members[name], 0, 0
    try:
        for plain in _plain_pieces(group, name):
            crc, size = zlib.crc32(plain, crc), size + len(plain)
            if size > member.plain_size:  # A bomb ends here.
                return False
    except zlib.error:
        return False
    return crc == member.crc and size == member.plain_size


def _plain_pieces(group: ZarrZip, name: str) -> Iterator[bytes]:
    member, start = group.members[name], group.place(name)
    inflate = None if member.stored else zlib.decompressobj(-15)
    for position in range(0, member.size, _PIECE_BYTES):
        length = min(_PIECE_BYTES, member.size - position)
        packed = bytes(read(group.source, start + position, length))
        if inflate is None:
            yield packed
            continue
        while packed:
            yield inflate.decompress(packed, _PIECE_BYTES)
            packed = inflate.unconsumed_tail
    if inflate is not None:
        yield inflate.flush()
