"""Compares the members of a zip archive with their CRC-32: the only checksum that SSL4EO-S12 v1.1 has."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

from torchgeo_copernicus.datasets.ssl4eo.zarr_zip.zarr_zip import ZarrZip
from torchgeo_copernicus.datasets.storage.byte_source import (
    ByteSource,
    LocalFile,
    Part,
    SourceIO,
    read,
)
from torchgeo_copernicus.datasets.storage.zip_crc import differing_members


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
    return differing_members(group.source, group.members, names)


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
