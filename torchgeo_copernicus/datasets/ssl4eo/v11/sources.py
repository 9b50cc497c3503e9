"""What files of SSL4EO-S12 v1.1 a source has: address, size and, where published, SHA-256.

Hugging Face tells size and hash of each file. The server of the Jülich Supercomputing Centre tells only the
size, so there every member of a file is compared with its CRC-32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from torchgeo_copernicus.datasets.ssl4eo.statistics import Edition, Modality
from torchgeo_copernicus.datasets.ssl4eo.v11.crc_check import check_whole
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import SUFFIX, Split, split_list, split_table
from torchgeo_copernicus.download import TIMEOUT_S, fetch

#: Repository of each edition on Hugging Face.
REPOSITORIES: dict[Edition, str] = {
    'zarr': 'embed2scale/SSL4EO-S12-v1.1-Zarr',
    'webdataset': 'embed2scale/SSL4EO-S12-v1.1',
}
#: Server of the Zarr edition without hashes.
JUELICH = 'https://datapub.fz-juelich.de/ssl4eo-s12'
_FILE_NAME = re.compile(r'[\w-]+\.(?:zarr\.zip|tar)')


@dataclass(frozen=True)
class RemoteEntry:
    """A file to download.

    Attributes:
        path: Its path below the root.
        url: Its address.
        size_bytes: Its size, where it is known beforehand.
        sha256: Its hash, where it is published.
        check: What is checked instead.
    """

    path: str
    url: str
    size_bytes: int | None = None
    sha256: str | None = None
    check: Callable[[Path], None] | None = None


def _chosen(names: Sequence[str], files: Sequence[str] | int | None, where: str) -> list[str]:
    """Return the wanted ones of the files that there are."""
    if isinstance(files, int):
        if files > len(names):
            raise ValueError(f'{files} files are wanted, {where} has {len(names)}.')
        return list(names[:files])
    if missing := [name for name in files or () if name not in names]:
        raise ValueError(f'{where} has no files {missing[:3]}; it has such as {list(names)[:3]}.')
    return list(names if files is None else files)


def files_on_hub(
    split: Split,
    modalities: Sequence[Modality],
    files: Sequence[str] | int | None,
    edition: Edition,
    revision: str,
) -> tuple[list[RemoteEntry], list[RemoteEntry]]:
    """Ask Hugging Face what there is.

    Args:
        split: `train` or `val`.
        modalities: Which images.
        files: Names of files, how many, or None for all.
        edition: `zarr` or `webdataset`.
        revision: Branch, tag or commit.

    Returns:
        Lists and tables of the split, and images.

    Raises:
        ValueError: If a file is not there.
        ConnectionError: If Hugging Face does not answer.
    """
    api, repository = HfApi(), REPOSITORIES[edition]
    try:
        # All files of one commit, whatever happens to the branch meanwhile.
        commit = str(api.dataset_info(repository, revision=revision).sha)
        documents = api.get_paths_info(
            repository,
            [split_list(split), split_table(split)],
            repo_type='dataset',
            revision=commit,
        )
        folders = {
            name: list(
                api.list_repo_tree(
                    repository, f'{split}/{name}', repo_type='dataset', revision=commit
                )
            )
            for name in modalities
        }
    except (HfHubHTTPError, OSError) as error:
        raise ConnectionError(
            f'{api.endpoint}/datasets/{repository} (revision {revision}): {error}. Check the network, or '
            "choose source='juelich'."
        ) from error
    make = partial(_hub_entry, repository, commit, str(api.endpoint))
    images = []
    for name, found in folders.items():
        there = {file.path.rpartition('/')[2]: file for file in found if isinstance(file, RepoFile)}
        names = sorted(n for n in there if n.endswith(SUFFIX[edition]))
        chosen = _chosen(names, files, f'{repository}/{split}/{name}')
        images += [make(there[n]) for n in chosen]
    return [make(file) for file in documents if isinstance(file, RepoFile)], images


def _hub_entry(repository: str, commit: str, endpoint: str, file: RepoFile) -> RemoteEntry:
    url = hf_hub_url(repository, file.path, repo_type='dataset', revision=commit, endpoint=endpoint)
    # Small texts are not in the large file storage and have no SHA-256.
    check = None if file.lfs else check_document
    if check and file.path.endswith(tuple(SUFFIX.values())):
        check = check_whole
    return RemoteEntry(file.path, url, file.size, file.lfs.sha256 if file.lfs else None, check)


def files_on_server(
    address: str,
    root: Path,
    split: Split,
    modalities: Sequence[Modality],
    files: Sequence[str] | int | None,
    edition: Edition,
) -> tuple[list[RemoteEntry], list[RemoteEntry]]:
    """Take the names of files from the list of the split, which is downloaded for that.

    Args:
        address: Address of the folder with `train`, `val` and `splits`.
        root: Folder for the list.
        split: `train` or `val`.
        modalities: Which images.
        files: Names of files, how many, or None for all.
        edition: `zarr` or `webdataset`.

    Returns:
        Lists and tables of the split, and images.

    Raises:
        ValueError: If a file is not listed, or there is no list.
        ConnectionError: If the server does not answer.
    """
    wanted = (split_list(split), split_table(split))
    tables = [RemoteEntry(path, f'{address}/{path}', check=check_document) for path in wanted]
    tables = [entry for entry in tables if _is_there(entry.url)]
    if not isinstance(files, list | tuple):
        if not tables or tables[0].path != wanted[0]:
            raise ValueError(f'{address}/{wanted[0]} is not there; name the files with files=.')
        path = fetch(tables[0].url, root / wanted[0], check=check_document, progress=False)
        listed = path.read_text(encoding='utf-8').split()
        names = [name for name in listed if name.endswith(SUFFIX[edition])]
        files = _chosen(names, files, f'{address}/{wanted[0]}')
    if wrong := [n for n in files if not (_FILE_NAME.fullmatch(n) and n.endswith(SUFFIX[edition]))]:
        raise ValueError(f'{wrong[:3]} are no names of files of the edition {edition!r}.')
    paths = [f'{split}/{modality}/{name}' for modality in modalities for name in files]
    return tables, [RemoteEntry(path, f'{address}/{path}', check=check_whole) for path in paths]


def _is_there(url: str) -> bool:
    try:
        with urlopen(Request(url, method='HEAD'), timeout=TIMEOUT_S):
            return True
    except HTTPError as error:
        if error.code in (403, 404, 410):
            return False
        raise ConnectionError(f'{url}: {error}. Try again later.') from error
    except URLError as error:
        if isinstance(error.reason, FileNotFoundError) or url.startswith('file:'):
            return False
        raise ConnectionError(f'{url}: {error}. Check the network and the address.') from error


def check_document(path: Path) -> None:
    """Check a list of files or a Parquet table; a page that asks to log in is neither.

    Args:
        path: The file; its name does not matter.

    Raises:
        ValueError: If it is something else, or cut off.
    """
    with path.open('rb') as file:
        content = file.read(4) if path.stat().st_size >= 12 else b''
        if content == b'PAR1':
            file.seek(-8, 2)
            tail = file.read()
            footer = int.from_bytes(tail[:4], 'little')
            if tail[4:] != b'PAR1' or not 0 < footer <= path.stat().st_size - 12:
                raise ValueError(f'{path} is a Parquet table that is cut off.')
            return
    names = path.read_bytes().split()
    if not names or not all(_FILE_NAME.fullmatch(n.decode('ascii', 'replace')) for n in names):
        raise ValueError(f'{path} is no list of files and no Parquet table.')
