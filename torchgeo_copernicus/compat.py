"""The only file that asks which version of a host is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def has_terratorch() -> bool:
    """Return whether TerraTorch is installed."""
    try:
        version('terratorch')
    except PackageNotFoundError:
        return False
    return True
