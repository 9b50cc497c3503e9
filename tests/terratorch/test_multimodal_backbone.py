from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from torch import Tensor

from torchgeo_copernicus.datasets import write_sample
from torchgeo_copernicus.models import language
from torchgeo_copernicus.sensors import DEM, S1_GRD, S2_TOA
from torchgeo_copernicus.terratorch.multimodal_backbone import MultiModalBackbone
from torchgeo_copernicus.terratorch.registration import _BACKBONES

CONFIG = Path(__file__).parents[2] / 'terratorch_configs' / 'copernicus_fm_s1s2dem.yaml'
HERE = torch.tensor([[11.5, 48.0, 18262.0, 10.0]])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise ConnectionError('no network')

    monkeypatch.setattr(language, 'language_file', fail)


def build(modalities: object, **arguments: object) -> MultiModalBackbone:
    torch.manual_seed(0)
    backbone = MultiModalBackbone(
        'copernicus_fm_small',
        modalities,  # type: ignore[arg-type]
        out_indices=[0, 1],
        **arguments,  # type: ignore[arg-type]
    )
    return backbone.eval()


def images(batch: int = 2, size: int = 32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(batch, channels, size, size, generator=generator)
        for name, channels in (('S1', 2), ('S2', 3))
    }


TWO = {'S1': 's1_grd', 'S2': {'bands': ['B04', 'B03', 'B02']}}


@pytest.mark.parametrize(
    'modalities',
    [
        ['s1_grd', 's2_toa'],
        '[s1_grd, s2_toa]',
        {'s1_grd': 's1_grd', 's2_toa': {'sensor': 's2_toa'}},
        '{s1_grd: s1_grd, s2_toa: {sensor: s2_toa, kernel_size: 16}}',
        {'s1_grd': 's1_grd', 's2_toa': {'bands': list(S2_TOA.band_names), 'kernel_size': '16'}},
    ],
)
def test_modalities_of_a_yaml_or_the_command_line_mean_the_same(modalities: object) -> None:
    found = build(modalities).model.modalities
    assert list(found) == ['s1_grd', 's2_toa']
    assert [len(m.channels) for m in found.values()] == [2, 13]
    assert [m.kernel_size for m in found.values()] == [16, 16]


@pytest.mark.parametrize(
    ('modalities', 'message'),
    [
        ([], 'at least one'),
        ({'metadata': 's1_grd'}, "none 'metadata'"),
        (3, 'wanted a list of sensors'),
        (['s9'], "Unknown sensor 's9'"),
        ({'S2': {'sensr': 's2_toa'}}, r"S2 has \['sensr'\]; allowed are"),
        ({'S2': 3}, 'S2 has 3'),
        ({'S2': {'kernel_size': 16}}, 'Say what the channels are'),
        ({'S2': {'sensor': 's1_grd', 'bands': ['B04']}}, 'no bands of s1_grd'),
    ],
)
def test_modalities_that_are_not_understood_are_named(modalities: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(modalities)


def test_arguments_of_the_other_kind_of_backbone_are_refused() -> None:
    make = _BACKBONES['copernicus_fm_small']
    with pytest.raises(
        ValueError, match=r"with backbone_modalities takes no \['backbone_series'\]"
    ):
        make(modalities=['s1_grd'], series='mean')
    with pytest.raises(
        ValueError, match=r"without backbone_modalities takes no \['backbone_fusion'"
    ):
        make(sensor='s1_grd', fusion='mean')
    with pytest.raises(ValueError, match="fusion is 'sum'"):
        make(modalities=['s1_grd'], fusion='sum')


def test_padding_follows_the_kernels() -> None:
    assert build(TWO).patch_size == 16
    assert build({'S2': 's2_toa', 'S3': 's3_olci'}).patch_size is None


@torch.no_grad()
def test_metadata_of_the_batch_or_of_a_table_reaches_the_encoder() -> None:
    backbone = build(TWO)
    with torch.no_grad():
        backbone.encoder.coord_fc.weight.normal_()
    rows = HERE.expand(2, -1)
    unknown = backbone(images())[0]
    told = backbone(images(), metadata=rows)[0]
    # A table of TerraTorch's is float64, and one of the images' dictionary.
    table = backbone({**images(), 'metadata': rows.double()})[0]
    assert isinstance(told, Tensor)
    assert torch.equal(told, table)
    assert not torch.allclose(told, unknown, atol=1e-3)


@torch.no_grad()
def test_presence_by_column_is_presence_by_name() -> None:
    backbone = build(TWO)
    flags = torch.tensor([[True, False], [True, True]])
    by_name = {'S1': flags[:, 0], 'S2': flags[:, 1]}
    found = backbone(images(), present=flags)[0]
    assert isinstance(found, Tensor)
    assert torch.equal(found, backbone(images(), present=by_name)[0])
    assert not torch.allclose(found, backbone(images())[0], atol=1e-4)
    with pytest.raises(ValueError, match=r'present must be \[2, 2\]'):
        backbone(images(), present=flags[:, :1])


def test_what_is_no_dictionary_of_images_is_named() -> None:
    backbone = build(TWO)
    with pytest.raises(ValueError, match='Wanted a dictionary'):
        backbone(images()['S1'])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'must be \[B, C, H, W\]'):
        backbone({'S1': images()['S1'][:, None]})


def test_channels_of_the_maps_are_what_it_says() -> None:
    for fusion, width in (('mean', 384), ('token', 384), ('concat', 768)):
        backbone = build(TWO, fusion=fusion)
        assert backbone.out_channels == [width, width]
        assert [m.shape[1] for m in backbone(images())] == [width, width]  # type: ignore[union-attr]


def test_a_frozen_encoder_stays_in_evaluation_mode() -> None:
    backbone = build(TWO, drop_path=0.5)
    backbone.freeze()
    backbone.train()
    assert not backbone.encoder.training
    assert not any(block.training for block in backbone.encoder.blocks)


@pytest.mark.filterwarnings('ignore:The language vectors')
@pytest.mark.parametrize('modalities', [['s1_grd', 's2_toa'], ['s1_grd', 'dem'], ['dem']])
def test_no_parameter_learns_that_no_gradient_reaches(modalities: list[str], offline: None) -> None:
    backbone = build({name: {'sensor': name, 'kernel_size': 16} for name in modalities})
    x = {name: torch.randn(2, n, 32, 32) for name, n in zip(_NAMES, (2, 13, 1), strict=True)}
    out = backbone({name: x[name] for name in modalities})
    torch.stack([m.sum() for m in out if isinstance(m, Tensor)]).sum().backward()
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad and 'cls_token' not in name:
            assert parameter.grad is not None, name


_NAMES = ('s1_grd', 's2_toa', 'dem')


@pytest.mark.filterwarnings('ignore:The language vectors')
@torch.no_grad()
def test_real_chips_of_three_modalities(terramind_dir: Path, offline: None) -> None:
    folder = terramind_dir
    names = sorted(path.name for path in (folder / 'S2L1C').glob('*.tif'))
    assert len(names) == 3
    x = {}
    for key, source, sensor in (
        ('S1', 'S1RTC', S1_GRD),
        ('S2', 'S2L1C', S2_TOA),
        ('DEM', 'DEM', DEM),
    ):
        arrays = []
        for name in names:
            with rasterio.open(folder / source / name) as file:
                arrays.append(file.read().astype(np.float32))
        mean, std = (torch.tensor(v)[:, None, None] for v in sensor.statistics.of(sensor.bands))
        x[key] = (torch.from_numpy(np.stack(arrays)) - mean) / std
    modalities = {'S1': 's1_grd', 'S2': 's2_toa', 'DEM': {'sensor': 'dem', 'kernel_size': 16}}
    backbone = build(modalities, fusion='token')
    flags = torch.tensor([[True, True, True], [True, False, False], [False, True, True]])
    together = backbone(x, present=flags)[-1]
    assert isinstance(together, Tensor)
    assert together.shape == (3, 384, 14, 14)
    for place, names in enumerate((['S1', 'S2', 'DEM'], ['S1'], ['S2', 'DEM'])):
        alone = backbone({name: x[name][place : place + 1] for name in names})[-1]
        assert isinstance(alone, Tensor)
        torch.testing.assert_close(together[place : place + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.terratorch
@pytest.mark.filterwarnings('ignore')
def test_the_yaml_of_three_modalities_trains_validates_tests_and_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terratorch.cli_tools import build_lightning_cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    # The YAML reads below the working directory, where its first command writes.
    write_sample('s1s2dem', 'data', n=10, size=32)
    out = Path('outputs') / CONFIG.stem
    checkpoint = ['--ckpt_path', str(out / 'logs' / 'version_0' / 'checkpoints' / 'best.ckpt')]
    arguments = 'model.init_args.model_args'
    settings = {
        'data.init_args.batch_size': 2,
        'data.init_args.num_workers': 0,
        'trainer.accelerator': 'cpu',
        'trainer.max_epochs': 1,
        'trainer.limit_train_batches': 2,
        f'{arguments}.backbone': 'copernicus_fm_small',
        f'{arguments}.backbone_pretrained': 'false',
        f'{arguments}.decoder_channels': 16,
    }
    pairs = [item for key, value in settings.items() for item in (f'--{key}', str(value))]
    seen: list[dict[str, object]] = []
    forward = MultiModalBackbone.forward

    def spy(self: MultiModalBackbone, x: dict[str, Tensor], **batch: object) -> object:
        seen.append({'images': dict(x), **batch})
        return forward(self, x, **batch)  # type: ignore[arg-type]

    monkeypatch.setattr(MultiModalBackbone, 'forward', spy)
    for stage, more in (
        ('fit', []),
        ('validate', checkpoint),
        ('test', checkpoint),
        ('predict', [*checkpoint, '--predict_output_dir', 'maps']),
    ):
        monkeypatch.setattr(sys, 'argv', ['terratorch', stage, '-c', str(CONFIG), *pairs, *more])
        cli = build_lightning_cli()
        if stage == 'test':
            metrics = {key: float(value) for key, value in cli.trainer.callback_metrics.items()}
            assert math.isfinite(metrics['test/mIoU'])
            json.dumps(metrics)
    # The table's rows arrive, with pixels of 10 m.
    x = seen[0]['images']
    assert isinstance(x, dict)
    assert list(x) == ['S1', 'S2', 'DEM', 'metadata']
    assert x['metadata'].shape == (2, 4)
    assert (x['metadata'][:, 3] == 10).all()
    # Normalised with the statistics of the right modality.
    assert abs(float(x['S1'].mean())) < 3
    assert abs(float(x['S2'].mean())) < 3
    for path in sorted(Path('maps').glob('*.tif')):
        with (
            rasterio.open(path) as file,
            rasterio.open(Path('data/s1s2dem/S2') / path.name.replace('_pred', '')) as source,
        ):
            assert np.allclose(file.bounds, source.bounds)
            assert file.crs == source.crs
    assert len(list(Path('maps').glob('*.tif'))) == 10


def test_the_statistics_of_the_yaml_are_those_of_the_sensors() -> None:
    data = yaml.safe_load(CONFIG.read_text())['data']['init_args']
    for name, sensor in (('S1', S1_GRD), ('S2', S2_TOA), ('DEM', DEM)):
        mean, std = sensor.statistics.of(sensor.bands)
        assert data['means'][name] == list(mean)
        assert data['stds'][name] == list(std)
