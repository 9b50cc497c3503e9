"""Make a look-alike of BigEarthNet-S1 and -S2: several land covers of one patch, seen by both.

Labels are exact: a class is there if its zone has at least a twentieth of the patch.
"""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.bench.bigearthnet import (
    BIGEARTHNET_S1,
    BIGEARTHNET_S2,
    CopernicusBenchBigEarthNetS1,
    CopernicusBenchBigEarthNetS2,
)
from torchgeo_copernicus.datasets.lookalike.corine import CORINE
from torchgeo_copernicus.datasets.lookalike.geotiff import (
    EUROPE,
    SPLIT_CYCLE,
    Place,
    grid_around,
    random_place,
    write_geotiff,
)
from torchgeo_copernicus.datasets.lookalike.land import join, sample_rng, zones
from torchgeo_copernicus.datasets.lookalike.radar import backscatter, speckle, to_db
from torchgeo_copernicus.datasets.lookalike.spectra import mix, spectrum, to_dn
from torchgeo_copernicus.datasets.lookalike.terrain import hillshade, smooth_field

#: Class names; the index is the column of the label.
CLASSES = BIGEARTHNET_S2.classes
#: Share of a patch (1) from which a class is labelled.
LABELLED_FROM = 0.05

_S1_BANDS, _S2_BANDS = BIGEARTHNET_S1.stored_bands, BIGEARTHNET_S2.stored_bands
_MARINE = CLASSES.index('Marine waters')


def _classes(rng: np.random.Generator, index: int) -> list[int]:
    """Choose the classes of a patch so that ten patches of a split have all of them."""
    cycle, turn = divmod(index, len(SPLIT_CYCLE))
    if turn == len(SPLIT_CYCLE) - 1:  # the last of a cycle has a single class
        return [cycle % len(CLASSES)]
    pair = 2 * cycle + (len(CLASSES) // 2 + 1) * (turn == 3)  # train has two patches in a cycle
    chosen = [pair % len(CLASSES), (pair + 1) % len(CLASSES)]
    others = rng.choice(len(CLASSES), int(rng.integers(4)), replace=False)
    return chosen + [int(other) for other in others if other not in chosen]


def _patch(
    rng: np.random.Generator, size: int, classes: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.uint16], list[int]]:
    """Paint a patch: dB `[2, H, W]`, digital numbers `[12, H, W]`, and 0 or 1 for each class."""
    # None is below the share from which it is labelled.
    parts = 0.1 + (1 - 0.1 * len(classes)) * rng.dirichlet([3.0] * len(classes))
    number = zones(rng, size, list(parts), 35)
    found = np.bincount(number.ravel(), minlength=len(classes)) / number.size
    covers = join(number, [CORINE[CLASSES[index]](rng, size) for index in classes])

    echo = backscatter(covers, _S1_BANDS, rng, rng.uniform(0.02, 0.25))
    if _MARINE in classes:  # wind finds more room to roughen the sea than a lake
        echo[:, number == classes.index(_MARINE)] *= rng.uniform(1.4, 2.2)
    radar = to_db(speckle(echo, rng))

    # Level-2A: what the air adds is taken off, and B09 is no longer dark from vapour.
    surface = mix(covers, _S2_BANDS) - spectrum('path', _S2_BANDS)[:, None, None]
    surface[_S2_BANDS.index('B09')] = surface[_S2_BANDS.index('B8A')]
    light = hillshade(rng, size, 30, rng.uniform(0, 0.1), rng.uniform(2.2, 2.9))
    grain = 0.06 * smooth_field(rng, size, 2, 1.5) + rng.normal(0, 0.1)
    optical = to_dn(surface * np.clip(light + grain, 0.4, 1.6), _S2_BANDS, rng)

    labels = [0] * len(CLASSES)
    for index, share in zip(classes, found, strict=True):
        labels[index] = int(share >= LABELLED_FROM)
    return radar, optical, labels


def _names(rng: np.random.Generator, index: int, place: Place) -> tuple[str, str]:
    """Name both images as BigEarthNet does, from folder to file; the dates differ by days."""
    day = datetime(2017, 6, 13, 10) + timedelta(days=int(rng.integers(350)))
    before = day - timedelta(days=int(rng.integers(1, 5)), hours=int(rng.choice([-7, 5])))
    belt = 'CDEFGHJKLMNPQRSTUVWX'[int((place.lat + 80) // 8)]
    square = ''.join(rng.choice(list('ABCDEFGHJKLMNPQRSTUV'), 2))
    tile = f'{place.utm_zone:02d}{belt}{square}'
    s1 = f'S1{rng.choice(["A", "B"])}_IW_GRDH_1SDV_{before:%Y%m%dT%H%M%S}_{tile}'
    s2 = f'S2{rng.choice(["A", "B"])}_MSIL2A_{day:%Y%m%dT%H%M%S}_N9999_R022_T{tile}'
    row, column = divmod(index, 90)
    ending = f'{row:02d}_{column:02d}'
    return _path(s1, ending), _path(s2, ending)


def _path(scene: str, ending: str) -> str:
    patch = f'{scene}_{ending}'
    return f'{scene}/{patch}/{patch}_allbands.tif'


def make_bigearthnet(directory: Path, n: int, seed: int, size: int) -> Path:
    """Write `bigearthnet_s1s2/` as it lies in the real archive, 60/20/20 in the splits.

    Args:
        directory: Existing folder to write into.
        n: Number of patches, each with an image of both sensors; from 50 on, every split has every
            class.
        seed: Seed, not negative; patch i depends on the seed, i and the size only.
        size: Side of a patch in pixels of 10 m.

    Returns:
        The folder `<directory>/bigearthnet_s1s2`.

    Raises:
        ValueError: If there are fewer patches than splits.
        FileExistsError: If the folder is there already.
    """
    if n < 3:
        raise ValueError(f'bigearthnet_s1s2 needs n >= 3 patches, one per split, got n={n}')
    root = Path(directory) / BIGEARTHNET_S2.folder
    root.mkdir()
    header = ['s1_path', 's2_path', *CLASSES]
    rows: dict[str, list[list[str | int]]] = {split: [list(header)] for split in SPLIT_CYCLE}
    for index in range(n):
        rng = sample_rng(seed, index)
        place = random_place(rng, EUROPE)
        s1, s2 = _names(rng, index, place)
        radar, optical, labels = _patch(rng, size, _classes(rng, index))
        grid = grid_around(place, size)
        s1_path = root / CopernicusBenchBigEarthNetS1.images / s1
        s2_path = root / CopernicusBenchBigEarthNetS2.images / s2
        s1_path.parent.mkdir(parents=True)
        s2_path.parent.mkdir(parents=True)
        write_geotiff(s1_path, radar, grid, _S1_BANDS)
        write_geotiff(s2_path, optical, grid, _S2_BANDS)
        rows[SPLIT_CYCLE[index % len(SPLIT_CYCLE)]].append([s1, s2, *labels])
    for split, table in rows.items():
        path = root / BIGEARTHNET_S2.split_file.format(split)
        with path.open('w', encoding='utf-8', newline='') as file:
            csv.writer(file, lineterminator='\n').writerows(table)
    return root
