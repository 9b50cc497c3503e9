"""LC100Cls-S3 and LC100Seg-S3: land cover of large patches, as a set and as a map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torchgeo_copernicus.compat import Sample
from torchgeo_copernicus.datasets.bench.sentinel3_series import Sentinel3Series
from torchgeo_copernicus.datasets.bench.statistics import S3_STATISTICS
from torchgeo_copernicus.datasets.bench.table import read_label_table
from torchgeo_copernicus.datasets.bench.task import Archive, BenchTask, Recipe
from torchgeo_copernicus.sensors import S3_OLCI

# Code, colour and name, as in the product.
_CLASSES = """
0   #282828 Unknown
20  #ffbb22 Shrubs
30  #ffff4c Herbaceous vegetation
40  #f096ff Cropland
50  #fa0000 Built-up
60  #b4b4b4 Bare or sparse vegetation
70  #f0f0f0 Snow and ice
80  #0032c8 Permanent water
90  #0096a0 Herbaceous wetland
100 #fae6a0 Moss and lichen
111 #58481f Closed forest, evergreen needle-leaf
112 #009900 Closed forest, evergreen broad-leaf
113 #70663e Closed forest, deciduous needle-leaf
114 #00cc00 Closed forest, deciduous broad-leaf
115 #4e751f Closed forest, mixed
116 #007800 Closed forest, other
121 #666000 Open forest, evergreen needle-leaf
122 #8db400 Open forest, evergreen broad-leaf
123 #8d7400 Open forest, deciduous needle-leaf
124 #a0dc00 Open forest, deciduous broad-leaf
125 #929900 Open forest, mixed
126 #648c00 Open forest, other
200 #000080 Ocean
"""
_ROWS = [line.split(maxsplit=2) for line in _CLASSES.strip().splitlines()]

LC100SEG_S3 = BenchTask(
    name='lc100seg_s3',
    title='LC100Seg-S3',
    kind='segmentation',
    archives=(
        Archive(
            'l2_lc100_s3/lc100_s3.zip',
            '04114d37732aad190b867553d1d45eb094009528521dd54d4ad0045d06e3a51d',
        ),
    ),
    folder='lc100_s3',
    license='CC-BY-4.0',
    split_file='static_fnames-{}.csv',
    split_sizes={'train': 5181, 'val': 1727, 'test': 1727},
    date_pattern=r'S3[AB]_(?P<date>\d{8})T\d{6}',
    sensor=S3_OLCI,
    stored_bands=S3_OLCI.band_names,
    bands=S3_OLCI.band_names,
    native_size=96,
    # Labels have 100 m and images 300 m; both are brought to the labels' grid.
    grid_size=288,
    model_size=288,
    kernel_size=8,
    statistics=(S3_STATISTICS,),
    classes=tuple(name for _, _, name in _ROWS),
    colors=tuple(color for _, color, _ in _ROWS),
    codes=tuple(int(code) for code, _, _ in _ROWS),
    metric='mIoU',
    recipe=Recipe('AdamW', lr=1e-4, weight_decay=0.01, batch_size=16),
)
LC100CLS_S3 = replace(
    LC100SEG_S3,
    name='lc100cls_s3',
    title='LC100Cls-S3',
    kind='multilabel',
    split_file='multilabel-{}.csv',
    grid_size=96,
    model_size=96,
    colors=(),
    codes=(),
    metric='mAP',
    recipe=Recipe('SGD', lr=1.0, weight_decay=1e-4, batch_size=64),
)


class CopernicusBenchLC100ClsS3(Sentinel3Series):
    """LC100Cls-S3 of Copernicus-Bench: which land covers a patch has.

    5181/1727/1727 patches of 21 x 96 x 96 px at 300 m (a few are smaller and are brought to 96 px as
    published), radiance in mW m-2 sr-1 nm-1, with 23 labels each of which is 0 or 1 (`task.classes`).
    Labels and images are joined by the name of the place; TorchGeo joins them by row.

    Layout: `lc100_s3/s3_olci/<place>/S3A_<date>T<time>.tif`, `lc100_s3/multilabel-{train,val,test}.csv`
    with the place and 23 labels a row, and `lc100_s3/static_fnames-{train,val,test}.csv` with place and
    file. Sources: arXiv:2503.11849; https://doi.org/10.5281/zenodo.3939049.
    """

    task = LC100CLS_S3

    def _places(self) -> list[str]:
        self._lines(self.split_file)  # Says so if it is not there.
        codes = [str(code) for code in LC100SEG_S3.codes]
        table = read_label_table(self.split_file, self.task.classes, ('place',), codes)
        places = [place.strip() for place in table.others['place']]
        self._labels = dict(zip(places, table.labels, strict=True))
        if len(self._labels) < len(places):
            raise ValueError(f'{self.split_file} lists a place twice.')
        return places

    def _target(self, name: str) -> Sample:
        return {'label': self._labels[name].clone()}


class CopernicusBenchLC100SegS3(Sentinel3Series):
    """LC100Seg-S3 of Copernicus-Bench: the land cover of each pixel.

    5181/1727/1727 patches of 21 x 96 x 96 px at 300 m, radiance in mW m-2 sr-1 nm-1, with labels of
    288 x 288 px at 100 m. As published, the image is brought to the labels' 288 px with cubic
    interpolation (no data becomes 0 before), while `metadata` keeps the 300 m. The labels 0 to 22 stand
    for the codes of the product in `task.codes`; 0 is `Unknown`, which counts as a class.

    Layout: `lc100_s3/s3_olci/<place>/S3A_<date>T<time>.tif`, `lc100_s3/lc100/<place>.tif` and
    `lc100_s3/static_fnames-{train,val,test}.csv` with place and file. Sources: arXiv:2503.11849;
    https://doi.org/10.5281/zenodo.3939049.
    """

    task = LC100SEG_S3

    def _mask_path(self, name: str) -> Path:
        return self.folder / 'lc100' / f'{name}.tif'

    def _other_paths(self, name: str) -> list[Path]:
        return [self._mask_path(name)]

    def _target(self, name: str) -> Sample:
        return {'mask': self._read_mask(self._mask_path(name))}
