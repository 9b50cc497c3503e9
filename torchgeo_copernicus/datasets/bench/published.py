"""Published results of Copernicus-Bench, frozen encoders.

Mean and standard deviation of three runs, from `results/README.md` of the official repository after its
correction of BigEarthNet on 2025-03-29 (arXiv:2503.11849).
"""

from __future__ import annotations

from collections.abc import Mapping

_MODELS = (
    'supervised ViT-S/16',
    'supervised ViT-B/16',
    'random ViT-B/16',
    'SoftCon ViT-B/14',
    'CROMA ViT-B/8',
    'DOFA ViT-B/16',
    'Copernicus-FM ViT-B/16',
)

# Percent (mIoU, OA, mAP) or the unit of the target (RMSE); - where a model was not run.
_TABLE = """
cloud_s2         64.2 0.9     59.4 1.0     60.4 0.2     66.9 0.3  65.0 0.2  65.0 0.2     66.7 0.1
cloud_s3         61.7 0.7     63.0 0.8     60.9 0.0     -    -    -    -    58.2 0.1     62.0 0.7
eurosat_s1       81.7 0.7     81.5 0.9     75.4 0.4     83.6 0.1  83.9 0.1  81.7 0.1     87.2 0.1
eurosat_s2       97.5 0.0     97.6 0.1     92.5 0.1     96.7 0.0  97.0 0.1  97.2 0.1     97.9 0.1
bigearthnet_s1   71.5 0.4     70.6 0.4     63.8 0.1     78.7 0.0  70.8 0.0  70.5 0.0     77.9 0.0
bigearthnet_s2   79.5 0.5     80.1 0.1     71.6 0.1     83.6 0.0  76.4 0.0  75.5 0.0     79.0 0.0
lc100cls_s3      91.3 0.3     91.4 0.5     88.9 0.1     -    -    -    -    89.5 0.0     93.3 0.4
dfc2020_s1       49.9 0.4     50.8 0.5     45.4 0.1     52.8 0.6  52.7 0.1  49.7 0.1     52.4 0.1
dfc2020_s2       65.3 0.6     66.2 0.7     62.3 0.0     64.1 0.3  66.5 0.0  61.8 0.1     64.5 0.1
lc100seg_s3      20.1 0.4     19.3 0.5     18.2 0.1     -    -    -    -    16.5 0.1     24.1 0.0
flood_s1         78.0 0.1     78.3 0.3     75.1 0.1     77.2 0.1  77.4 0.1  76.0 0.1     77.7 0.0
lcz_s2           86.6 0.7     85.3 0.8     77.4 0.1     83.6 0.2  84.1 0.0  83.0 0.3     84.4 0.0
biomass_s3       68.1 0.3     68.3 0.4     68.7 0.5     -    -    -    -    74.1 0.1     66.3 0.1
aq_no2_s5p       3.4 0.0      3.4 0.0      3.4 0.0      -    -    -    -    3.3 0.0      2.8 0.0
aq_o3_s5p        1781.3 29.8  1766.8 22.1  1741.6 11.5  -    -    -    -    1755.6 19.8  789.4 2.6
"""


def _results(fields: list[str]) -> Mapping[str, tuple[float, float]]:
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return {
        model: (float(mean), float(std))
        for model, (mean, std) in zip(_MODELS, pairs, strict=True)
        if mean != '-'
    }


#: Task -> model -> (mean, standard deviation).
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    line.split()[0]: _results(line.split()[1:]) for line in _TABLE.strip().splitlines()
}
