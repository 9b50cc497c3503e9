"""How much of each image does not see the ground, read once from the cloud masks and kept."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from torchgeo_copernicus.datasets.ssl4eo.v11.layout import CLEAR_CLASSES
from torchgeo_copernicus.datasets.ssl4eo.v11.patch_reader import PatchReader
from torchgeo_copernicus.datasets.storage.npy_headers import NPY_HEADERS

_THREADS = 8


def cloud_share(reader: PatchReader, kept: Path) -> NDArray[np.float32]:
    """Return the share of pixels that are not clear: clouds, shadows and no data.

    Args:
        reader: Of a modality of Sentinel-2.
        kept: Where the table of its places is kept; the shares lie beside it.

    Returns:
        Shares by place and date in the order of the index, `[N, T]`.

    Raises:
        ValueError: If a file has no cloud mask, or is damaged.
    """
    index = reader.index
    path = kept.with_name(f'{kept.stem}-clouds.npz')
    try:
        with NPY_HEADERS, np.load(path, allow_pickle=False) as stored:
            same = np.array_equal(stored['stamps'], index.stamps)
            if same and np.array_equal(stored['files'], index.files):
                return np.asarray(stored['share'], np.float32)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        # Absent or cut off: it is made again.
        pass
    clear = np.isin(np.arange(256), CLEAR_CLASSES)

    def of(row: int) -> list[float]:
        dates = range(index.order.shape[1])
        return [1 - float(clear[reader.clouds(row, date)].mean()) for date in dates]

    with ThreadPoolExecutor(_THREADS) as pool:
        rows = tqdm(
            pool.map(of, range(len(index))), 'Reading cloud masks', len(index), disable=None
        )
        share = np.array(list(rows), np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    with part.open('wb') as file:
        np.savez(file, stamps=index.stamps, files=index.files, share=share)
    os.replace(part, path)
    return share
