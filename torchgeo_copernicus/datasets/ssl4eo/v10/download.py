"""Gets SSL4EO-S12 v1.0: downloads the parts of its archives and extracts them as one stream.

About 500 GB for each modality. No joined copy of the parts is written, each part is verified as it is read,
and a folder appears in place when all of it was there and right.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from filelock import FileLock

from torchgeo_copernicus.datasets.ssl4eo.statistics import Modality
from torchgeo_copernicus.download import fetch

_HOST = 'https://hf.co/datasets/wangyi111/SSL4EO-S12/resolve'
_REVISION = '3f5ddad68ba2ea29d019b0cef6cf292ff8af0d62'
_CHUNK = 1 << 20
# <place>/<scene>/<file>, below whatever folders the archive has above them.
_MEMBER = re.compile(r'(?:[^/]+/)*?(\d{7}/[^/]+/[^/]+)')


@dataclass(frozen=True)
class Release:
    """The parts of an archive, as TorchGeo 0.10 lists them.

    Attributes:
        name: Of the archive, without `.tar.gz.part`.
        sha256: Of each part, in order.
    """

    name: str
    sha256: tuple[str, ...]

    def files(self) -> list[tuple[str, str]]:
        """Return (name, SHA-256) of each part: `.partaa`, `.partab` and so on."""
        return [
            (f'{self.name}.tar.gz.parta{chr(ord("a") + number)}', digest)
            for number, digest in enumerate(self.sha256)
        ]

    def url(self, file: str) -> str:
        """Return the address of a part."""
        return f'{_HOST}/{_REVISION}/{self.name}/{file}'


#: Modality -> archive of the raw images.
RELEASES: dict[Modality, Release] = {
    'S1GRD': Release(
        's1_grd',
        (
            'c875a430ed19c48fa90ea2574785069eb939629beec372b42d8ba283aa26d5e6',
            '517fe7eaa8a93b74ab8ea2cd5a8f65fb2130986266c7a702bcdd312afce2b396',
            '0146dd447d6f89d6bfe88fec05155df586f0b10643a50a7d9cf22c37edd1c3a2',
            '02871cc0d33356ad3d06f8a496d7f06d10121caa0e9078f095491bb8649f9d0d',
            'c4694fbba061ad89d4bfd1de2069b2a5cd19de2922d81f5a6364178d23948b61',
            'c7ba827f7b35f8bd974ee626eca55358da55830d85a29ecbfaa6e4bf70811bae',
            'e37fac95aa0e78fe418e392652cecb5dfff72b98b0d6996fdf9c824da254bccb',
            '1824079dfe4f844b0f6672582e296b74f25ffd5ae8c46ed92b70b08b7d5eb0e6',
            'b246750cdffe2c77dcea624c01aa5e6b53db73e33ce58082af4ce1fef5fb5b98',
            '6d3253bb0b294c4cf14fe8e4f09505d370e32be20b0bb8de3a829ce004154535',
        ),
    ),
    'S2L1C': Release(
        's2_l1c',
        (
            '1003dd0b4e11fdcca00855c3de23fa3209926c24074a36f40a07efeba377a9da',
            '96dd31b2d53e131daa73604013678e21dd2b29ff4865c73a24ada77001f77a7a',
            '23cb241e947de1da08bb9a53c6c9b088232bbf622c9aee2117e4b9bf8e93d83d',
            'e9502f21de324e6fc400c73af1a6486e1b75176c6511642763fb899537dada1e',
            'f47a7aaaeda7df30af9b892e54eb6c00941c706f82584c8c5b4481ee411e3e56',
            '207d2dc70378fc9c289b666fe1730821ec6dca0d2d6fb60d5325ba31b17de896',
            '060e01cc896e1ed3e426ff965ed6aba2538d065b398575968b0f1ae92f6ef8bc',
            'c32211630526dad919891d1a6aae82b7d82829f343f2176f04b37378b49d1f61',
            'a62a34fe0708885b4bd0dcc3d8e2a14c0c29737d94f744b41381d2a6618ff240',
            'a6206d4e40569b9e3b92eb4d5174193543980b6710b02f847d3629c50fd89d59',
            '5ae573daf729a0d32ad8d7998b78d91e4083289df1d4444feb4907b9091d9f03',
            '75ef65fdd931176ef82bc0d87dbd2c35202714499dfe7a3918bf48d01788538f',
        ),
    ),
    'S2L2A': Release(
        's2_l2a',
        (
            'b124fe99809fa2eee663d683435399e8f8ffdbc7fc40c3e5cbe5b3e3d5f29752',
            '31b624e24e41192340f449b90b6fefac2a6ba91e640467df4e4bd5b7ae15c36f',
            '4a73229310e4f4cf61584353f1fc39ef715b08ce65e4bbd4033065391c26e262',
            '3a0dfd18476ee1dd0f1dcc77e91a8b82312a1b9f64e977bcf4577407f63375d4',
            'd5a7d1f8c07de315710aa528d1aed877093a379f4d035d22d823212cc22fb0ae',
            '15f2e4a365f517ea272a14905caef8da5214c93ebf166e94820a1a9ae8bfa0d7',
            '9f18d7544fcfa63ae1c3481cb452c8f00e298112bac7d08fe199433569963c1c',
            'c682a97d2fd420d6be214f0f3cf3d588940077d9fb7004d5b95d56e8c5532aa8',
            'a5dec0d93ac846c5c7f44a79b8d0ab5e2507a4543cb7acff78604fb7b6fe54d0',
            'ff8378e1f12a566f9ce440569f1aff5c373908f8fc32ca233ebd98e455bfd172',
            'e78649ee5de002b961c62fa02674ec6a4accbb67c69962754012af29a2d51dec',
            'b5b43650d5a5fa0dbd4ab5cc791920757b98ffb4d684c8a7bb000e70a44b071a',
        ),
    ),
}


class _Parts(io.RawIOBase):
    """Files one after another as one stream that goes forward only."""

    def __init__(self, files: Sequence[tuple[Path, str]], checksum: bool) -> None:
        self._waiting = list(files)
        self._checksum = checksum
        self._file: IO[bytes] | None = None
        self._path, self._wanted = Path(), ''
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            if self._file is None:
                if not self._waiting:
                    return 0
                self._path, self._wanted = self._waiting.pop(0)
                self._file, self._digest = self._path.open('rb'), hashlib.sha256()
            count = cast(io.BufferedReader, self._file).readinto(buffer)
            if count:
                if self._checksum:
                    self._digest.update(buffer[:count])
                return count
            self._end_part()

    def _end_part(self) -> None:
        self.close_file()
        found = self._digest.hexdigest()
        if self._checksum and found != self._wanted:
            raise ValueError(
                f'{self._path} has SHA-256 {found}, wanted {self._wanted}: it is cut off or another '
                'version. Move it away, or pass checksum=False if you trust it.'
            )

    def finish_part(self) -> None:
        """Read the part that is being read to its end, so that it is verified."""
        self._waiting.clear()
        while self.read(_CHUNK):
            pass

    def close_file(self) -> None:
        """Close the part that is being read."""
        if self._file is not None:
            self._file.close()
            self._file = None


def present(release: Release, root: Path) -> bool:
    """Return whether all parts of an archive are there."""
    return all((root / name).is_file() for name, _ in release.files())


def obtain(release: Release, root: Path, folder: str, *, download: bool, checksum: bool) -> None:
    """Download what is missing of an archive and extract it, unless the folder is there.

    Several processes may ask at once: one does the work, the others wait. A download that was interrupted
    goes on where it stopped; an extraction begins anew.

    Args:
        release: The archive.
        root: Folder of the parts, and of the new folder.
        folder: Name of the folder to make.
        download: Fetch parts that are not there.
        checksum: Verify the SHA-256 of parts that are there; a download always is.

    Raises:
        ValueError: If a part is not the released one, or the archive is damaged or dangerous.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / f'.{folder}.lock')
    try:
        with lock:
            if (root / folder).is_dir():  # Another process came first.
                return
            files = release.files()
            there = {name for name, _ in files if (root / name).is_file()}
            if download:
                for name, digest in files:
                    if name not in there:
                        fetch(release.url(name), root / name, sha256=digest)
            # What was downloaded just now was verified by that; once more costs little beside extracting.
            extract(files, root, folder, checksum=checksum)
    finally:
        with contextlib.suppress(PermissionError):
            Path(lock.lock_file).unlink(missing_ok=True)


def extract(files: Sequence[tuple[str, str]], root: Path, folder: str, *, checksum: bool) -> Path:
    """Extract the places of a split archive to `<root>/<folder>`, whole or not at all.

    Args:
        files: (name, SHA-256) of each part in order.
        root: Folder of the parts.
        folder: Name of the folder to make. What lies above the places in the archive is left away.
        checksum: Verify each part while it is read.

    Returns:
        The folder.

    Raises:
        ValueError: If a part is missing or not the released one, or if the archive is damaged, holds a
            link or a path that leads out of it, or no place at all.
    """
    paths = [(root / name, digest) for name, digest in files]
    if absent := [path.name for path, _ in paths if not path.is_file()]:
        raise ValueError(f'{root} lacks {absent} of an archive of {len(paths)} parts.')
    scratch = Path(tempfile.mkdtemp(dir=root, prefix=f'.{folder}.extracting-'))
    places = scratch / folder
    parts = _Parts(paths, checksum)
    try:
        try:
            # tarfile's own decompression of streams does not look at the checksum at their end.
            with gzip.open(io.BufferedReader(parts, _CHUNK)) as stream:
                with tarfile.open(fileobj=stream, mode='r|') as archive:
                    count = sum(_extract_member(archive, member, places) for member in archive)
                # To the end of the last part, which verifies that too.
                while stream.read(_CHUNK):
                    pass
        except (gzip.BadGzipFile, tarfile.TarError, EOFError, zlib.error) as error:
            parts.finish_part()  # Which is to blame when its hash is wrong.
            raise ValueError(
                f'{paths[0][0]} and its {len(paths) - 1} other parts are cut off or damaged ({error}); '
                'move them away and download them again.'
            ) from error
        if not count:
            raise ValueError(f'{paths[0][0]} holds no place, such as 0000200/<scene>/B2.tif.')
        places.rename(root / folder)
    finally:
        parts.close_file()
        shutil.rmtree(scratch, ignore_errors=True)
    return root / folder


def _extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, places: Path) -> bool:
    """Write a member if it is a file of a scene; return whether it is.

    Raises:
        ValueError: If it is a link or another special file, or its path leads elsewhere.
    """
    if not (member.isfile() or member.isdir()):
        raise ValueError(f'member {member.name!r} refused: it is a link or another special file')
    name = member.name.removeprefix('./')
    if '..' in name.split('/') or name.startswith('/') or '\\' in name or ':' in name:
        raise ValueError(f'member {member.name!r} refused: its path leads out of the archive')
    match = _MEMBER.fullmatch(name)
    # What else lies there (macOS adds files of its own) is no data, and stays in the archive.
    if match is None or not member.isfile() or PurePosixPath(name).name.startswith('.'):
        return False
    target = places / match[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise ValueError(f'member {member.name!r} refused: the archive holds it twice')
    source = archive.extractfile(member)
    if source is None:  # Only links and special files have none.
        return False
    with source, target.open('xb') as file:
        shutil.copyfileobj(source, file, _CHUNK)
    return True
