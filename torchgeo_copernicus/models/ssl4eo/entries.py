"""Every checkpoint of the README of SSL4EO-S12 v1.0.

Names of files on Google Drive are those of third-party copies, or follow their pattern where none is known;
they matter to nothing but where the file is kept. Files of TorchGeo are its conversions of the same
checkpoints, with the first digits of their SHA-256 in their names; its transforms are not taken over,
because they work in place and do not clip.
"""

from __future__ import annotations

from collections.abc import Mapping

from torchgeo_copernicus.models.ssl4eo.entry import Entry
from torchgeo_copernicus.models.ssl4eo.source import Form, GoogleDriveFile, HuggingFaceFile

_RELEASE = 'wangyi111/SSL4EO-S12'
# The commit that TorchGeo reads the encoders of MAE from.
_ENCODERS = '75c72195d35201dc1fb210818993518c25da566b'


def _drive(form: Form, drive_id: str, file_name: str) -> GoogleDriveFile:
    return GoogleDriveFile(form, drive_id, file_name)


def _torchgeo(repository: str, revision: str, prefix: str) -> HuggingFaceFile:
    return HuggingFaceFile(
        'backbone', f'torchgeo/{repository}', f'{repository}-{prefix}.pth', revision, prefix
    )


def _mae(name: str) -> tuple[HuggingFaceFile, HuggingFaceFile]:
    """Return the encoder and the full checkpoint; only the former is known at a fixed commit."""
    return (
        HuggingFaceFile('backbone', _RELEASE, f'{name}_enc.pth', _ENCODERS),
        HuggingFaceFile('full', _RELEASE, f'{name}.pth'),
    )


def _results(bigearthnet: float, eurosat: float, so2sat: float) -> dict[str, float]:
    return {'BigEarthNet': bigearthnet, 'EuroSAT': eurosat, 'So2Sat-LCZ42': so2sat}


_ONE_OF_TWO = (
    "TorchGeo's ResNet18_Weights.SENTINEL2_RGB_MOCO is this run or the other of 100 and 200 epochs; it is "
    'not stated which.'
)

_ENTRIES = (
    Entry(
        'ssl4eo_s12_resnet50_s2_moco',
        'resnet50',
        'moco-v2',
        'SENTINEL2_L1C_ALL',
        100,
        (
            _torchgeo(
                'resnet50_sentinel2_all_moco',
                'da4f3c9dbe09272eb902f3b37f46635fa4726879',
                'df8b932e',
            ),
            _drive('backbone', '1MAe3dCW4hPasSaBMZAVkJVX80LONkrLY', 'B13_rn50_moco_0099.pth'),
            _drive('full', '1OrtPfG2wkO05bimstQ_T9Dza8z3zp8i-', 'B13_rn50_moco_0099_ckpt.pth'),
        ),
        _results(91.8, 99.1, 60.9),
        'ResNet50_Weights.SENTINEL2_ALL_MOCO',
    ),
    Entry(
        'ssl4eo_s12_vits16_s2_moco',
        'vit_small_patch16_224',
        'moco-v3',
        'SENTINEL2_L1C_ALL',
        100,
        (
            _torchgeo(
                'vit_small_patch16_224_sentinel2_all_moco',
                '1cb683f6c14739634cdfaaceb076529adf898c74',
                '67c9032d',
            ),
            _drive('backbone', '1LREGuI6w7Gq6Xm0jFQdxxtp8QkmLvJWk', 'B13_vits16_moco_0099.pth'),
            _drive('full', '1Tx07L6OilkfcgE2HWiSXHRmRepCPdn6V', 'B13_vits16_moco_0099_ckpt.pth'),
        ),
        _results(89.9, 98.6, 61.6),
        'ViTSmall16_Weights.SENTINEL2_ALL_MOCO',
        'Six heads; the first convolution is random and was not trained.',
    ),
    Entry(
        'ssl4eo_s12_resnet50_s2_dino',
        'resnet50',
        'dino',
        'SENTINEL2_L1C_ALL',
        100,
        (
            _torchgeo(
                'resnet50_sentinel2_all_dino',
                'd7f14bf5530d70ac69d763e58e77e44dbecfec7c',
                'd6c330e9',
            ),
            _drive('backbone', '1B4o_NvY7O6fJrvsOUR-7QzLYNpRL1ieA', 'B13_rn50_dino_0099.pth'),
            _drive('full', '1iSHHp_cudPjZlshqWXVZj5TK74P32a2q', 'B13_rn50_dino_0099_ckpt.pth'),
        ),
        _results(90.7, 99.1, 63.6),
        'ResNet50_Weights.SENTINEL2_ALL_DINO',
    ),
    Entry(
        'ssl4eo_s12_vits16_s2_dino',
        'vit_small_patch16_224',
        'dino',
        'SENTINEL2_L1C_ALL',
        100,
        (
            _torchgeo(
                'vit_small_patch16_224_sentinel2_all_dino',
                '5b41dd418a79de47ac9f5be3e035405a83818a62',
                '36bcc127',
            ),
            _drive('backbone', '1kjQWfPRI5z43EmRkw5fzgHU01hB7E_4H', 'B13_vits16_dino_0099.pth'),
            _drive('full', '1CseO5vvMReGlAulm5o4ZgbjUgj8VlAH7', 'B13_vits16_dino_0099_ckpt.pth'),
        ),
        _results(90.5, 99.0, 62.2),
        'ViTSmall16_Weights.SENTINEL2_ALL_DINO',
    ),
    Entry(
        'ssl4eo_s12_vits16_s2_mae',
        'vit_small_patch16_224',
        'mae',
        'SENTINEL2_L1C_ALL',
        100,
        (
            HuggingFaceFile('backbone', _RELEASE, 'B13_vits16_mae_ep99_enc.pth', _ENCODERS),
            _drive('backbone', '1hdie-7orFnj5Q1E1C2BudqwQCvMk3Fza', 'B13_vits16_mae_0099.pth'),
            _drive('full', '1QTBKl1asxgQCNd6bO2azXZNPfoQ3Sazv', 'B13_vits16_mae_0099_ckpt.pth'),
        ),
        _results(88.9, 98.7, 63.9),
        'ViTSmall16_Weights.SENTINEL2_ALL_MAE',
    ),
    Entry(
        'ssl4eo_s12_vits16_s2_data2vec',
        'beit_small_patch16_224',
        'data2vec',
        'SENTINEL2_L1C_ALL',
        100,
        (
            _drive('backbone', '1YecuYPAxl1NIzLmsmdbUROjCb5g0t80l', 'B13_vits16_data2vec_0099.pth'),
            _drive(
                'full', '1VbIGBwzZYndv4v1vx9FiD6IP-YwsHEns', 'B13_vits16_data2vec_0099_ckpt.pth'
            ),
        ),
        _results(90.3, 99.1, 64.8),
        note='64.8 may be of a linear probe: the README links the script of that.',
    ),
    Entry(
        'ssl4eo_s12_resnet18_s2_moco',
        'resnet18',
        'moco-v2',
        'SENTINEL2_L1C_ALL',
        100,
        (
            _torchgeo(
                'resnet18_sentinel2_all_moco',
                '5b8cddc9a14f3844350b7f40b85bcd32aed75918',
                '59bfdff9',
            ),
            _drive('full', '1iWLm7ljQ6tKZiVp47pJUPDe3Un0BUd9o', 'B13_rn18_moco_0099_ckpt.pth'),
        ),
        torchgeo='ResNet18_Weights.SENTINEL2_ALL_MOCO',
    ),
    Entry(
        'ssl4eo_s12_resnet18_rgb_moco',
        'resnet18',
        'moco-v2',
        'SENTINEL2_L1C_RGB',
        100,
        (_drive('full', '1HfgXS5VpQA39k8mFrWMbHvYwuT_j6Mbi', 'B3_rn18_moco_0099_ckpt.pth'),),
        note=_ONE_OF_TWO,
    ),
    Entry(
        'ssl4eo_s12_resnet18_rgb_moco_ep200',
        'resnet18',
        'moco-v2',
        'SENTINEL2_L1C_RGB',
        200,
        (_drive('full', '1U_m39Owahk15Vg1uL1MYbPAmAyUWBKfI', 'B3_rn18_moco_0199_ckpt.pth'),),
        note=_ONE_OF_TWO,
    ),
    Entry(
        'ssl4eo_s12_resnet50_rgb_moco',
        'resnet50',
        'moco-v2',
        'SENTINEL2_L1C_RGB',
        100,
        (
            _torchgeo(
                'resnet50_sentinel2_rgb_moco',
                'efd9723b59a88e9dc1420dc1e96afb25b0630a3c',
                '2b57ba8b',
            ),
            _drive('full', '1UEpA9sOcA47W0cmwQhkSeXfQxrL-EcJB', 'B3_rn50_moco_0099_ckpt.pth'),
        ),
        torchgeo='ResNet50_Weights.SENTINEL2_RGB_MOCO',
    ),
    Entry(
        'ssl4eo_s12_resnet50_s1_moco',
        'resnet50',
        'moco-v2',
        'SENTINEL1_GRD',
        100,
        (
            _torchgeo(
                'resnet50_sentinel1_all_moco',
                'e79862c667853c10a709bdd77ea8ffbad0e0f1cf',
                '906e4356',
            ),
            _drive('backbone', '1E5MvVI1SnQneQXe37QAWx_B6aoTiSN24', 'B2_rn50_moco_0099.pth'),
            _drive('full', '1gjTTWikf1qORJyFifWD1ksk9HzezqQ0b', 'B2_rn50_moco_0099_ckpt.pth'),
        ),
        # Its other name there, SENTINEL1_GRD_MOCO, is an alias that `get_weight` does not find.
        torchgeo='ResNet50_Weights.SENTINEL1_ALL_MOCO',
    ),
    *(
        Entry(
            f'ssl4eo_s12_{short}_{sensor}_mae',
            architecture,
            'mae',
            name,
            epochs,
            _mae(f'{prefix}_{short}_mae_ep{epochs - 1}'),
            torchgeo=f'{enum}.{torchgeo}',
        )
        for prefix, sensor, name, torchgeo, sizes in (
            ('B2', 's1', 'SENTINEL1_GRD', 'SENTINEL1_GRD_MAE', 'sblh'),
            ('B13', 's2', 'SENTINEL2_L1C_ALL', 'SENTINEL2_ALL_MAE', 'blh'),
        )
        for short, architecture, enum, epochs in (
            ('vits16', 'vit_small_patch16_224', 'ViTSmall16_Weights', 100),
            ('vitb16', 'vit_base_patch16_224', 'ViTBase16_Weights', 100),
            ('vitl16', 'vit_large_patch16_224', 'ViTLarge16_Weights', 100),
            ('vith14', 'vit_huge_patch14_224', 'ViTHuge14_Weights', 200),
        )
        if short[3] in sizes
    ),
)

#: All training runs by name, in the order of the README.
ENTRIES: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
