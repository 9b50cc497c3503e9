"""Write a small look-alike of a dataset, to try the package without a download.

The folder appears whole or not at all, and nothing that exists is ever overwritten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torchgeo_copernicus.datasets.lookalike.cloud_s2 import make_cloud_s2
from torchgeo_copernicus.datasets.lookalike.eurosat_s2 import make_eurosat_s2

_SMALLEST_PX = 32


@dataclass(frozen=True)
class Maker:
    """How to make the look-alike of one task.

    Attributes:
        make: Function of `(directory, n, seed, size)` that writes `<directory>/<task>` and
            returns it.
        n: Number of samples unless another is asked for.
        size: Side of an image in pixels unless another is asked for.
    """

    make: Callable[[Path, int, int, int], Path]
    n: int
    size: int


#: Task name -> its maker.
MAKERS: dict[str, Maker] = {
    'cloud_s2': Maker(make_cloud_s2, n=24, size=256),
    'eurosat_s2': Maker(make_eurosat_s2, n=100, size=64),
}


def write_sample(
    task: str, directory: Path | str, n: int | None = None, seed: int = 0, size: int | None = None
) -> Path:
    """Write a look-alike of a dataset, in the layout of the real archive.

    Args:
        task: Key of `MAKERS`.
        directory: Folder that will hold the folder `<task>`; made if it is missing.
        n: Number of images over all splits; None takes the maker's own.
        seed: Seed, not negative; one seed gives the same pixels every time.
        size: Side of an image in pixels, at least 32; None takes the maker's own.

    Returns:
        The new folder `<directory>/<task>`.

    Raises:
        ValueError: If the task is unknown, or `n`, `seed` or `size` is too small.
        FileExistsError: If `<directory>/<task>` exists.
    """
    if task not in MAKERS:
        raise ValueError(f'unknown task {task!r}; allowed: {", ".join(sorted(MAKERS))}')
    maker = MAKERS[task]
    n = maker.n if n is None else n
    size = maker.size if size is None else size
    if size < _SMALLEST_PX:
        raise ValueError(f'size must be at least {_SMALLEST_PX} pixels, got {size}')
    if seed < 0:
        raise ValueError(f'seed must not be negative, got {seed}')
    target = Path(directory) / task
    if target.exists() or target.is_symlink():
        raise FileExistsError(f'{target} exists; choose another directory, or move it away first')
    target.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system, so that the rename is one step.
    with TemporaryDirectory(dir=target.parent, prefix=f'.{task}-') as unfinished:
        maker.make(Path(unfinished), n, seed, size).rename(target)
    return target
