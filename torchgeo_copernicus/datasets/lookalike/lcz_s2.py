"""Make a look-alike of LCZ-S2: Sentinel-2 patches of 17 local climate zones, one file per split."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.lcz_s2 import LCZ_S2
from torchgeo_copernicus.datasets.lookalike.climate_zones import paint_zone
from torchgeo_copernicus.datasets.lookalike.geotiff import SPLIT_CYCLE
from torchgeo_copernicus.datasets.lookalike.land import Covers, sample_rng
from torchgeo_copernicus.datasets.lookalike.radar import backscatter, blur, shortened
from torchgeo_copernicus.datasets.lookalike.spectra import mix, relight, to_dn
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade, smooth_field

#: Band order of `sen2`.
BANDS = LCZ_S2.stored_bands
#: Class names; the index is the label.
CLASSES = LCZ_S2.classes


def _optical(
    covers: Covers, lit: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return reflectance (1), `[H, W, 10]`."""
    size = len(lit)
    light = hillshade(rng, size, 20, rng.uniform(0, 0.05), rng.uniform(2.2, 2.9))
    grain = 0.05 * smooth_field(rng, size, 1.5, 1.5) + rng.normal(0, 0.08)
    image = relight(mix(covers, BANDS), lit * np.clip(light + grain, 0.5, 1.5), BANDS)
    return shortened(np.moveaxis(to_dn(image, BANDS, rng), 0, -1) / 1e4, digits=8)


def _radar(covers: Covers, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the channels of So2Sat, linear, `[H, W, 8]`.

    They are VH and VV as measured (real and imaginary part each), the power of both with the speckle
    filtered, and their covariance (real and imaginary part).
    """
    size = len(covers[next(iter(covers))])
    power = backscatter(covers, ('VH', 'VV'), rng)
    parts = rng.standard_normal((2, 2, size + 2, size + 2))
    amplitude = np.pad(np.sqrt(power / 2), ((0, 0), (1, 1), (1, 1)), mode='edge')
    vh, vv = amplitude * (parts[0] + 1j * parts[1])
    both = vh * vv.conj()
    smooth = blur(np.stack([np.abs(vh) ** 2, np.abs(vv) ** 2, both.real, both.imag]))
    middle = slice(1, -1), slice(1, -1)
    single = [part[middle] for part in (vh.real, vh.imag, vv.real, vv.imag)]
    return shortened(np.stack([*single, *smooth], axis=-1), digits=5)


def make_lcz_s2(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `lcz_s2/` with the three files of the real archive, each zone 60/20/20 in them.

    Args:
        directory: Existing folder to write into.
        n: Number of patches in all.
        seed: Seed, not negative; a patch depends on the seed, its class and number only.
        size: Side of a patch in pixels of 10 m: 32, the files have no other.

    Returns:
        The folder `<directory>/lcz_s2`.

    Raises:
        ValueError: If there are fewer patches than one per class and split, or the size is not 32.
        FileExistsError: If the folder is there already.
    """
    if n < 3 * len(CLASSES):
        raise ValueError(f'lcz_s2 needs n >= 51 patches, 17 classes x 3 splits, got n={n}')
    if size != LCZ_S2.native_size:
        raise ValueError(f'patches of lcz_s2 are of {LCZ_S2.native_size} pixels, got size={size}')
    root = Path(directory) / LCZ_S2.folder
    root.mkdir()
    splits: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32], int]]] = {}
    for index in range(n):
        number, label = divmod(index, len(CLASSES))
        rng = sample_rng(seed, index)
        covers, lit = paint_zone(rng, size, CLASSES[label])
        sample = _optical(covers, lit, rng), _radar(covers, rng), label
        splits.setdefault(SPLIT_CYCLE[number % len(SPLIT_CYCLE)], []).append(sample)
    for split, samples in splits.items():
        optical, radar, labels = zip(*samples, strict=True)
        one_hot = np.eye(len(CLASSES), dtype=np.uint8)[list(labels)]
        arrays = {'sen2': np.stack(optical), 'sen1': np.stack(radar), 'label': one_hot}
        with h5py.File(root / LCZ_S2.split_file.format(split), 'w') as file:
            for key, array in arrays.items():
                chunks = (1, *array.shape[1:])
                file.create_dataset(
                    key, data=array, chunks=chunks, compression='gzip', shuffle=True
                )
    return root
