"""Extract one folder of a zip archive, whole or not at all.

Nothing is written outside the destination and nothing of the user's is overwritten; what is in
place was read to the end with every CRC right.
"""

import errno
import os
import shutil
import stat
import tempfile
import zlib
from lzma import LZMAError
from pathlib import Path, PureWindowsPath
from zipfile import BadZipFile, ZipFile, ZipInfo


def _refusal(member: ZipInfo) -> str | None:
    """Return why a member must not be extracted, or None if it may be."""
    # `filename` is already cleaned by zipfile; the original shows what the archive really says.
    name = member.orig_filename
    parts = name.split('/')
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith('/') or PureWindowsPath(name).drive:
        return 'its path is absolute'
    if '..' in parts or '\\' in name or '\0' in name:
        return 'its path has a "..", a backslash or a null byte'
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return 'it is a link or another special file'
    return None


def _members(archive: ZipFile, directory: str) -> list[ZipInfo]:
    """Return the members to extract.

    Raises:
        ValueError: If one member is dangerous, or none lies in ``directory``.
    """
    for member in archive.infolist():
        if reason := _refusal(member):
            raise ValueError(
                f'{archive.filename}: member {member.orig_filename!r} refused: {reason}'
            )
    # What else lies there (macOS adds files of its own) is no data, and stays in the archive.
    members = [m for m in archive.infolist() if m.filename.startswith(f'{directory}/')]
    if not members:
        raise ValueError(f'{archive.filename}: no member lies in {directory}/')
    return members


def _move(source: Path, target: Path) -> Path:
    """Rename a folder into place, or keep the one that another process put there first."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    return target


def extract_zip(archive: Path | str, destination: Path | str, *, directory: str) -> Path:
    """Extract the top folder ``directory`` of a zip archive to ``<destination>/<directory>``.

    Args:
        archive: Path of the zip file.
        destination: Folder to extract into; it is created where it is missing.
        directory: Name of the one top folder in the archive, such as ``cloud_s2``.

    Returns:
        Path of the extracted folder.

    Raises:
        FileExistsError: If the folder is there already; it is left as it is.
        ValueError: If ``directory`` is no plain name, if the archive is truncated, corrupt or
            encrypted, or if a member is dangerous or none lies in the folder.
        OSError: If the disk is too small for what the archive declares.
    """
    if directory in ('', '.', '..', '__MACOSX') or set(directory) & set('/\\:'):
        raise ValueError(f'directory is {directory!r}; give the plain name of one folder')
    destination = Path(destination)
    target = destination / directory
    if os.path.lexists(target):
        raise FileExistsError(f'{target} exists; move it away to extract {archive} anew')
    try:
        with ZipFile(archive) as file:
            members = _members(file, directory)
            destination.mkdir(parents=True, exist_ok=True)
            # Declared sizes bind: zipfile reads no member beyond its own.
            need, free = sum(m.file_size for m in members), shutil.disk_usage(destination).free
            if need > free:
                message = f'{archive} needs {need} bytes in {destination}, {free} are free'
                raise OSError(errno.ENOSPC, f'{message}; make room or choose another folder')
            scratch = Path(tempfile.mkdtemp(dir=destination, prefix=f'.{directory}.extracting-'))
            try:
                for member in members:
                    file.extract(member, scratch)
                return _move(scratch / directory, target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    # RuntimeError is what zipfile raises for encrypted members and unknown compression.
    except (BadZipFile, EOFError, LZMAError, RuntimeError, zlib.error) as error:
        advice = 'move it away and download it again'
        raise ValueError(
            f'{archive} is truncated, corrupt or encrypted ({error}); {advice}'
        ) from error
