"""The only file that asks which version of a host is installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

#: A dataset's item. TorchGeo 0.8 has no name for it, 0.9 this one, 0.10 `dict[str, Tensor]`, which its
#: own `filename` strings break.
Sample = dict[str, Any]


def has_terratorch() -> bool:
    """Return whether TerraTorch is installed."""
    try:
        version('terratorch')
    except PackageNotFoundError:
        return False
    return True


def versions() -> dict[str, str]:
    """Return the installed versions that a result depends on, by distribution name."""
    found = {'python': platform.python_version()}
    for name in ('torchgeo-copernicus', 'torchgeo', 'terratorch', 'torch', 'lightning', 'timm'):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
