"""Cloud-S3: clouds, their shadows and snow in Sentinel-3 images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.dataset import BenchDataset, Reading, one_of
from torchgeo_copernicus.datasets.bench.statistics import S3_STATISTICS
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe, Split
from torchgeo_copernicus.sensors import S3_OLCI

Mode = Literal['multi', 'binary']
Naming = Literal['official', 'torchgeo']

CLOUD_S3 = BenchTask(
    name='cloud_s3',
    title='Cloud-S3',
    kind='segmentation',
    archives=(
        Archive(
            'l1_cloud_s3/cloud_s3.zip',
            '02765fc0d80056eadb94ff60d665b36b17f64426c174b3a490c071a7005fe566',
        ),
    ),
    folder='cloud_s3',
    license='CC-BY-4.0',
    split_file='{}.csv',
    split_sizes={'train': 1197, 'val': 399, 'test': 399},
    date_pattern=r'S3[AB]_OL_1_EFR____(?P<date>\d{8})T\d{6}',
    sensor=S3_OLCI,
    stored_bands=S3_OLCI.band_names,
    bands=S3_OLCI.band_names,
    native_size=256,
    model_size=224,
    kernel_size=8,
    statistics=(S3_STATISTICS,),
    classes=('Clear', 'Cloud-Sure', 'Cloud-Ambiguous', 'Cloud Shadow', 'Snow/Ice'),
    colors=('#4c9a4c', '#f4f4f4', '#9ecae1', '#3b3b58', '#f7c8dd'),
    codes=(1, 2, 3, 4, 5),
    ignored_codes=(0,),
    metric='mIoU',
    recipe=Recipe('AdamW', lr=1e-4, weight_decay=0.01, batch_size=16),
)
_BINARY = replace(CLOUD_S3, classes=('Clear', 'Cloud'), colors=CLOUD_S3.colors[:2], codes=(1, 2))
#: Labels 1 and 2 swap their names.
_TORCHGEO_NAMES = ('Clear', 'Cloud-Ambiguous', 'Cloud-Sure', 'Cloud Shadow', 'Snow/Ice')


def variant(mode: Mode, naming: Naming) -> BenchTask:
    """Return the declaration for a choice of masks and names.

    Raises:
        ValueError: If a choice is unknown, or the names are not of these masks.
    """
    one_of('mode', mode, Mode)
    one_of('naming', naming, Naming)
    if mode == 'binary' and naming == 'torchgeo':
        raise ValueError("naming='torchgeo' swaps two of the five classes of mode='multi'.")
    if mode == 'binary':
        return _BINARY
    return CLOUD_S3 if naming == 'official' else replace(CLOUD_S3, classes=_TORCHGEO_NAMES)


class CopernicusBenchCloudS3(BenchDataset):
    """Cloud-S3 of Copernicus-Bench.

    1197/399/399 images of 21 x 256 x 256 px at 300 m, radiance in mW m-2 sr-1 nm-1 (the counts of the
    files times the OLCI scale), NaN where there is none.

    | label | code | class | |
    |---|---|---|---|
    | 0 | 1 | Clear | land or water |
    | 1 | 2 | Cloud-Sure | opaque |
    | 2 | 3 | Cloud-Ambiguous | half transparent, or not certain |
    | 3 | 4 | Cloud Shadow | |
    | 4 | 5 | Snow/Ice | |
    | -100 | 0 | - | invalid, ignored |

    The official loader and TorchGeo disagree on which of the codes 2 and 3 is which. The official names
    are used; `naming='torchgeo'` swaps them. The labels are the same either way. `mode='binary'` reads
    the masks of two classes, in which snow is clear.

    Layout: `cloud_s3/{s3_olci,cloud_multi,cloud_binary}/<name>.tif` and
    `cloud_s3/{train,val,test}.csv`, one name a line. Source: arXiv:2503.11849.
    """

    task = CLOUD_S3

    def __init__(
        self,
        root: Path | str = 'data',
        split: Split = 'train',
        mode: Mode = 'multi',
        naming: Naming = 'official',
        **reading: Unpack[Reading],
    ) -> None:
        """Find the data.

        Args:
            root: Folder that holds the task's folder or its archive.
            split: `train`, `val` or `test`.
            mode: `multi` for five classes, `binary` for two.
            naming: Whose names of the codes 2 and 3, `official` or `torchgeo`; only with `multi`.
            **reading: `bands`, `transforms`, `download` and `checksum`, see `BenchDataset`.

        Raises:
            DatasetNotFoundError: If the data is not there and *download* is False.
            ValueError: If an argument is unknown, or files are missing or damaged.
        """
        self.task = variant(mode, naming)
        self.mode = mode
        super().__init__(root, split, **reading)

    def _image_path(self, name: str) -> Path:
        return self.folder / 's3_olci' / name

    def _mask_path(self, name: str) -> Path:
        return self.folder / f'cloud_{self.mode}' / name

    def _other_paths(self, name: str) -> list[Path]:
        return [self._mask_path(name)]

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_mask(self._mask_path(name))}
