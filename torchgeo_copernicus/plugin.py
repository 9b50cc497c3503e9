"""Makes TorchGeo and TerraTorch know the models here, whichever is imported first.

Nothing is imported for it: a host that is already loaded is told at once, one that comes later is told
right after it has loaded. Both registrations are idempotent, and a name that is taken by something
else is an error.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

__all__ = ('install', 'register_terratorch', 'register_torchgeo')


def register_torchgeo() -> None:
    """Register the builders and weights in `torchgeo.models`.

    Raises:
        ValueError: If one of the names is taken by something else.
    """
    from torchgeo_copernicus.models.registration import register

    register()


def register_terratorch() -> None:
    """Register backbones, neck and decoders in TerraTorch.

    Raises:
        ValueError: If one of the names is taken by something else.
    """
    from torchgeo_copernicus.terratorch.registration import register

    register()


#: The module of each host that holds its registry -> what to call once it is loaded.
_HOSTS: dict[str, Callable[[], None]] = {
    'torchgeo.models.api': register_torchgeo,
    'terratorch.registry': register_terratorch,
}


class _RegisteringLoader(SourceFileLoader):
    """Loads a host's module as usual, then registers."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _HOSTS[module.__name__]()


class _HostFinder(MetaPathFinder):
    """Finds the hosts' registry modules, and leaves all others to the finders that follow."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _HOSTS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            return None
        if not isinstance(spec.loader, SourceFileLoader):
            warnings.warn(
                f'{fullname} is not loaded from a source file, so the models of torchgeo_copernicus are '
                'not registered by themselves; call torchgeo_copernicus.plugin.install() after it.',
                stacklevel=2,
            )
            return None
        spec.loader = _RegisteringLoader(fullname, spec.loader.path)
        return spec


def install() -> None:
    """Register now in each host that is loaded, and later in each that is not."""
    if not any(isinstance(finder, _HostFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HostFinder())
    for name, register in _HOSTS.items():
        if name in sys.modules:
            register()
