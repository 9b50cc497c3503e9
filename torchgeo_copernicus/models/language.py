"""Language vectors: what a geophysical variable is, as a text model sees its name.

The released file holds the five variables of Copernicus-Pretrain; a user may bring a vector of their own.
A vector that is missing is an error, never a zero.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor

from torchgeo_copernicus.models.checkpoint import read_tensors
from torchgeo_copernicus.models.constant import assumed_constant, ordinary_tensors
from torchgeo_copernicus.require import require
from torchgeo_copernicus.sensors import SENSORS

#: Length of a language vector (Llama 3.2 1B).
LANGUAGE_DIM = 2048
_REPOSITORY = 'wangyi111/Copernicus-FM'
_FILE = 'varname_embed/varname_embed_llama3.2_1B.pt'

#: Sensor and band names of the variables -> their names in the released file.
VARIABLES: Mapping[str, str] = {
    key: band.variable
    for sensor in SENSORS.values()
    for band in sensor.bands
    if band.variable is not None
    for key in (sensor.name, band.name, band.variable)
}


def language_file() -> Path:
    """Return the path of the released file, downloading it when it is not there (about 50 kB).

    It is looked for under `checkpoints/` of torch hub's folder first. The file is read as plain tensors
    only, and its content checked: its publisher states no hash to pin.

    Raises:
        ConnectionError: If it is not there and cannot be downloaded; says where to put it by hand.
    """
    by_hand = Path(torch.hub.get_dir()) / 'checkpoints' / Path(_FILE).name
    if by_hand.exists():
        return by_hand
    # `hf_hub_download` asks the network for news each time.
    if isinstance(cached := try_to_load_from_cache(_REPOSITORY, _FILE), str):
        return Path(cached)
    try:
        return Path(hf_hub_download(_REPOSITORY, _FILE))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ConnectionError(
            f'The language vectors could not be downloaded ({error}). Fetch {_FILE} of {_REPOSITORY} on '
            f'Hugging Face on a machine with network and put it at {by_hand}, or pass '
            '`language_embedding` yourself.'
        ) from error


def read_language_file(path: Path) -> Mapping[str, Tensor]:
    """Read a file of language vectors.

    Args:
        path: File with a dictionary from names to vectors of length 2048.

    Returns:
        float32 vectors `[2048]` by name.

    Raises:
        ValueError: If the file holds anything else.
    """
    return _read(path, _changed_ns(path))


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int) -> Mapping[str, Tensor]:
    """Read a file once, and again when it has changed."""
    with ordinary_tensors():
        vectors = {name: vector.float().flatten() for name, vector in read_tensors(path).items()}
    for name, vector in vectors.items():
        check_language_vectors(vector[None], f'{path}: {name!r}')
    return vectors


def language_vector(name: str) -> Tensor:
    """Return the released vector `[2048]` (float32) of one variable.

    Args:
        name: `s5p_no2`, `NO2`, `Sentinel 5P Nitrogen Dioxide`, and so on.

    Raises:
        ValueError: If the variable is unknown, or absent from the file.
        ConnectionError: If the file cannot be had.
    """
    if name not in VARIABLES:
        raise ValueError(
            f'No language vector is released for {name!r}. Allowed: {list(VARIABLES)}; for another '
            f'variable pass your own vector of length {LANGUAGE_DIM}.'
        )
    path = language_file()
    vectors = read_language_file(path)
    if VARIABLES[name] not in vectors:
        raise ValueError(f'{path} has no vector for {VARIABLES[name]!r}; it has {list(vectors)}.')
    return vectors[VARIABLES[name]].clone()


@assumed_constant
def language_vectors(names: tuple[str, ...]) -> Tensor:
    """Return the released vectors `[C, 2048]` (float32) of variables; shared, not to be changed in place.

    Args:
        names: As for `language_vector`.

    Raises:
        ValueError: If a variable is unknown, or absent from the file.
        ConnectionError: If the file cannot be had.
    """
    unknown = [name for name in names if name not in VARIABLES]
    path = language_file() if not unknown else Path()
    return _stack(names, path, _changed_ns(path))


@lru_cache(maxsize=32)
def _stack(names: tuple[str, ...], path: Path, changed_ns: int) -> Tensor:
    """Stack vectors once, and again when the file has changed."""
    with ordinary_tensors():
        return torch.stack([language_vector(name) for name in names])


def check_language_vectors(vectors: Tensor, where: str) -> None:
    """Raise when *vectors* are not usable descriptions of variables.

    On a GPU and in compiled code their values are asserted on the device, see `require`.

    Args:
        vectors: To be `[C, 2048]`, finite, none of them all zero.
        where: Named in the message.

    Raises:
        ValueError: If they are something else.
    """
    if vectors.ndim != 2 or vectors.shape[1] != LANGUAGE_DIM:
        raise ValueError(
            f'{where}: wanted vectors of length {LANGUAGE_DIM}, got shape {list(vectors.shape)}.'
        )
    usable = vectors.isfinite().all(dim=1) & (vectors != 0).any(dim=1)
    require(usable, f'{where}: a language vector is all zero, or not finite.')


def stand_in_vector(name: str) -> Tensor:
    """Return a random vector `[2048]` of length 1, always the same for one name.

    For encoders that start from nothing, to which the released vectors mean nothing yet.

    Args:
        name: Any.
    """
    seeded = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return F.normalize(torch.randn(LANGUAGE_DIM, generator=seeded), dim=0)
