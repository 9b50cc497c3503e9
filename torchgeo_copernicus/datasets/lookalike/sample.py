"""Write a small look-alike of a dataset, to try the package without a download.

The folder appears whole or not at all, and nothing that exists is ever overwritten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torchgeo_copernicus.datasets.bench import TASKS
from torchgeo_copernicus.datasets.lookalike.air_quality import make_air_quality
from torchgeo_copernicus.datasets.lookalike.bigearthnet import make_bigearthnet
from torchgeo_copernicus.datasets.lookalike.biomass_s3 import make_biomass_s3
from torchgeo_copernicus.datasets.lookalike.cloud_s2 import make_cloud_s2
from torchgeo_copernicus.datasets.lookalike.cloud_s3 import make_cloud_s3
from torchgeo_copernicus.datasets.lookalike.dfc2020 import make_dfc2020
from torchgeo_copernicus.datasets.lookalike.eurosat_s1 import make_eurosat_s1
from torchgeo_copernicus.datasets.lookalike.eurosat_s2 import make_eurosat_s2
from torchgeo_copernicus.datasets.lookalike.flood_s1 import make_flood_s1
from torchgeo_copernicus.datasets.lookalike.lc100 import make_lc100
from torchgeo_copernicus.datasets.lookalike.lcz_s2 import make_lcz_s2
from torchgeo_copernicus.datasets.lookalike.pretrain_geotiff import make_pretrain_geotiff
from torchgeo_copernicus.datasets.lookalike.s1s2dem import make_s1s2dem
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11

_SMALLEST_PX = 32


@dataclass(frozen=True)
class Maker:
    """How to make the look-alike of one archive.

    Attributes:
        make: Function of `(directory, n, seed, size)` that writes the folder of the
            archive below the directory and returns it.
        n: Number of samples unless another is asked for.
        size: Side of an image in pixels unless another is asked for.
    """

    make: Callable[[Path, int, int, int], Path]
    n: int
    size: int


#: Folder of an archive -> its maker; some archives serve two tasks.
MAKERS: dict[str, Maker] = {
    'cloud_s2': Maker(make_cloud_s2, n=24, size=256),
    'cloud_s3': Maker(make_cloud_s3, n=20, size=256),
    'eurosat_s1': Maker(make_eurosat_s1, n=60, size=64),
    'eurosat_s2': Maker(make_eurosat_s2, n=100, size=64),
    'bigearthnet_s1s2': Maker(make_bigearthnet, n=60, size=120),
    'lc100_s3': Maker(make_lc100, n=20, size=96),
    'dfc2020_s1s2': Maker(make_dfc2020, n=20, size=256),
    'flood_s1': Maker(make_flood_s1, n=20, size=224),
    'lcz_s2': Maker(make_lcz_s2, n=102, size=32),
    'biomass_s3': Maker(make_biomass_s3, n=20, size=96),
    'airquality_s5p': Maker(make_air_quality, n=20, size=56),
}

#: Name of what is no task of Copernicus-Bench -> its maker.
OTHERS: dict[str, Maker] = {
    'pretrain_geotiff': Maker(make_pretrain_geotiff, n=8, size=264),
    's1s2dem': Maker(make_s1s2dem, n=20, size=224),
    'ssl4eo_v10': Maker(make_ssl4eo_v10, n=8, size=264),
    'ssl4eo_v11': Maker(make_ssl4eo_v11, n=20, size=264),
}


def write_sample(
    task: str, directory: Path | str, n: int | None = None, seed: int = 0, size: int | None = None
) -> Path:
    """Write a look-alike of a dataset, in the layout of the real archive.

    Args:
        task: Name of a task of Copernicus-Bench, `s1s2dem` for three modalities and land cover, or
            `ssl4eo_v10` or `ssl4eo_v11`. Tasks
            that share an archive share its look-alike.
        directory: Folder that will hold the folder of the archive; made if it is missing.
        n: Number of images over all splits; None takes the maker's own.
        seed: Seed, not negative; one seed gives the same pixels every time.
        size: Side of an image in pixels, at least 32; None takes the maker's own.

    Returns:
        The new folder, such as `<directory>/cloud_s2`.

    Raises:
        ValueError: If the task is unknown, or `n`, `seed` or `size` is too small.
        FileExistsError: If the folder exists.
    """
    if task not in TASKS and task not in OTHERS:
        raise ValueError(f'unknown task {task!r}; allowed: {", ".join([*TASKS, *OTHERS])}')
    folder = TASKS[task].folder if task in TASKS else task
    maker = MAKERS[folder] if task in TASKS else OTHERS[task]
    n = maker.n if n is None else n
    size = maker.size if size is None else size
    if size < _SMALLEST_PX:
        raise ValueError(f'size must be at least {_SMALLEST_PX} pixels, got {size}')
    if seed < 0:
        raise ValueError(f'seed must not be negative, got {seed}')
    target = Path(directory) / folder
    if target.exists() or target.is_symlink():
        raise FileExistsError(f'{target} exists; choose another directory, or move it away first')
    target.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system, so that the rename is one step.
    with TemporaryDirectory(dir=target.parent, prefix=f'.{folder}-') as unfinished:
        maker.make(Path(unfinished), n, seed, size).rename(target)
    return target
