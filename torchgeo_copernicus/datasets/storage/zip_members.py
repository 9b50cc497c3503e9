"""The members of a zip archive, and where they lie."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass

from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, SourceIO


@dataclass(frozen=True)
class Member:
    """A file in a zip archive.

    Attributes:
        header: Position of its local header.
        size: Bytes as stored.
        plain_size: Bytes after inflation.
        crc: CRC-32 of the bytes after inflation.
        stored: Whether it is stored without compression.
    """

    header: int
    size: int
    plain_size: int
    crc: int
    stored: bool


def members_of(source: ByteSource) -> dict[str, Member]:
    """Read the directory of a zip archive.

    Raises:
        ValueError: If it is none, is cut off, or is encrypted.
    """
    try:
        with zipfile.ZipFile(SourceIO(source)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(
            f'{source.name} is not a whole zip archive ({error}). Download it again.'
        ) from error
    for info in infos:
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise ValueError(
                f'{source.name}: {info.filename} is encrypted or compressed by method '
                f'{info.compress_type}; only stored and deflated members are read.'
            )
    # Of several members of one name the last one counts, as in every zip reader.
    return {
        info.filename: Member(
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.compress_type == zipfile.ZIP_STORED,
        )
        for info in infos
    }
