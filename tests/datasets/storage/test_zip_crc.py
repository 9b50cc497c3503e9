"""Zip archives whose bytes are not those that were written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.storage.byte_source import LocalFile, Part
from torchgeo_copernicus.datasets.storage.zip_crc import differing_members
from torchgeo_copernicus.datasets.storage.zip_members import members_of


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('stored', bytes(range(256)) * 8192)
        file.writestr('packed', bytes(range(256)) * 8192, zipfile.ZIP_DEFLATED)
        file.writestr('empty', b'')
    return path


def test_only_members_that_differ_are_named_stored_or_packed(archive: Path) -> None:
    source = LocalFile(archive)
    members = members_of(source)
    assert differing_members(source, members) == []
    content = bytearray(archive.read_bytes())
    content[members['stored'].header + (1 << 20) + 100] ^= 1
    content[members['packed'].header + 60] ^= 1
    archive.write_bytes(content)
    source = LocalFile(archive)
    assert differing_members(source, members) == ['stored', 'packed']
    assert differing_members(source, members, ['packed', 'empty']) == ['packed']


def test_a_header_that_is_none_and_an_archive_that_ends_early_are_named(archive: Path) -> None:
    members = members_of(LocalFile(archive))
    short = Part(LocalFile(archive), 0, 1 << 20, 'short')
    with pytest.raises(ValueError, match='short is cut off inside stored'):
        differing_members(short, members)
    content = bytearray(archive.read_bytes())
    content[members['packed'].header] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match='packed has no header'):
        differing_members(LocalFile(archive), members)
