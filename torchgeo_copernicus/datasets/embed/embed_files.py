"""The published files of Copernicus-Embed-025deg, and their download.

Where a SHA-256 is known, the file is compared with it. Of the others none is published; what can be seen
without one is checked: that the file is whole, and laid out as it should be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torchgeo_copernicus.datasets.embed.embed_table import open_table
from torchgeo_copernicus.datasets.embed.pt_array import open_pt
from torchgeo_copernicus.download import fetch

CHANNELS = 768
_HUB = 'https://huggingface.co/datasets'
_AUTHORS = f'{_HUB}/wangyi111/Copernicus-Embed-025deg/resolve'
_FOLDER = 'embeddings_025_v1'


@dataclass(frozen=True)
class EmbedFile:
    """A published file.

    Attributes:
        url: Its address; `{revision}` stands for a branch, tag or commit.
        revision: The pinned one. `main` where no commit is known: the SHA-256 pins the content then.
        sha256: Its SHA-256; None where none is known.
        check: What is checked instead of it.
    """

    url: str
    revision: str = 'main'
    sha256: str | None = None
    check: Callable[[Path], None] | None = None

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rpartition('/')[2]


def check_pt(path: Path) -> None:
    """Check that a file is the map as `torch.save` wrote it; its numbers are not compared with anything.

    Raises:
        ValueError: If it is not, or is cut off.
    """
    found = open_pt(str(path))
    if found.channels != CHANNELS:
        raise ValueError(f'{path} has {found.channels} channels, wanted {CHANNELS}.')


def check_table(path: Path) -> None:
    """Check that a file is a whole table of embeddings; its numbers are not compared with anything.

    Raises:
        ValueError: If it is not, or is cut off.
    """
    if not open_table(path).metadata.num_rows:
        raise ValueError(f'{path} has no rows.')


def _table(name: str) -> EmbedFile:
    return EmbedFile(f'{_AUTHORS}/{{revision}}/{_FOLDER}/{name}', check=check_table)


#: Files by a short name. Hashes: of the `.npz` from the authors' notebook, of the `.tif` from TorchGeo 0.10. No
#: hash is known of the others, and their folder is that of the `.npz`, which may be wrong.
FILES: dict[str, EmbedFile] = {
    'map_npz': EmbedFile(
        f'{_AUTHORS}/{{revision}}/{_FOLDER}/embed_map_310k.npz',
        sha256='be1d6537efd98c3fcfea5ed128b4c99659259080250ad2efcb65590ec29270dc',
    ),
    'map_tif': EmbedFile(
        f'{_HUB}/torchgeo/copernicus_embed/resolve/{{revision}}/embed_map_310k.tif',
        revision='435b4a7bdce6f6fdbf4272f9d6e54f2604f35fdb',
        sha256='38f6fd15b20153f7b3ba2d7b38fb9ef56b751dfcb42e17cc1b02aad1580a59ad',
    ),
    'map_pt': EmbedFile(f'{_AUTHORS}/{{revision}}/{_FOLDER}/embed_map_310k.pt', check=check_pt),
    'averaged_220k': _table('avg_chunks/embeddings_avg_220k_aligned.parquet'),
    'averaged_220k_310k': _table('avg_chunks/embeddings_avg_220k_310k_union.parquet'),
    'averaged_310k': _table('avg_chunks/embeddings_avg_310k.parquet'),
}


def download_embed(
    name: str,
    root: Path | str,
    *,
    url: str | None = None,
    revision: str | None = None,
    checksum: bool = True,
    progress: bool = True,
) -> Path:
    """Download a file of Copernicus-Embed, or return at once if the right one is there.

    Args:
        name: Which: a name of `FILES`.
        root: Folder to put it into.
        url: Address of a copy (http, https or file), if not the published one. Its content must be the same.
        revision: Branch, tag or commit on Hugging Face, if not the pinned one.
        checksum: Check a file that is there already, too. It was right when it got its name.
        progress: Show a progress bar.

    Returns:
        Path of the file.

    Raises:
        ValueError: If the name is unknown, arguments contradict, or the file is wrong, there or at the source.
        ConnectionError: If it could not be had; running again goes on where it ended.
        OSError: If the disk has no room.
    """
    if name not in FILES:
        raise ValueError(f'There is no file {name!r}; there are {list(FILES)}.')
    if url is not None and revision is not None:
        raise ValueError('revision is of Hugging Face; leave it out with url.')
    wanted = FILES[name]
    path = Path(root) / wanted.name
    if path.is_file() and not checksum:
        return path
    address = wanted.url.format(revision=revision or wanted.revision) if url is None else url
    return fetch(address, path, sha256=wanted.sha256, check=wanted.check, progress=progress)
