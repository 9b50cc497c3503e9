"""Imports parts of a package when they are asked for: whoever opens a map waits neither for PyTorch nor for TorchGeo."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module


def late_import(package: str, modules: Mapping[str, str], name: str) -> object:
    """Return what a package's `__getattr__` is asked for (PEP 562).

    Args:
        package: Its name.
        modules: By name the module below the package that has it.
        name: What is asked for.

    Raises:
        AttributeError: If the package has no such name.
    """
    if name not in modules:
        raise AttributeError(f'module {package!r} has no attribute {name!r}')
    return getattr(import_module(f'{package}.{modules[name]}'), name)
