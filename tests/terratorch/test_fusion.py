"""Images of several dates: what becomes of their maps, and with whose metadata each is encoded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_copernicus.models import copernicus_fm_small
from torchgeo_copernicus.terratorch.backbone import CopernicusFMBackbone
from torchgeo_copernicus.terratorch.fusion import check_fusion, fuse

FUSIONS = ['difference', 'mean', 'max']


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring on images this small, above all where others run, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def maps(batch: int = 2, dates: int = 4) -> Tensor:
    return torch.randn(batch, dates, 3, 5, 6, generator=torch.Generator().manual_seed(0))


def test_a_difference_is_the_last_date_less_the_mean_of_the_others() -> None:
    x = maps()
    wanted = x[:, 3] - (x[:, 0] + x[:, 1] + x[:, 2]) / 3
    torch.testing.assert_close(fuse(x, 'difference', None), wanted)


def test_a_difference_of_two_dates_is_after_less_before() -> None:
    x = maps(dates=2)
    out = fuse(x, 'difference', None)
    assert torch.equal(out, x[:, 1] - x[:, 0])
    assert torch.equal(fuse(x.flip(1), 'difference', None), -out)


@pytest.mark.parametrize('how', ['mean', 'max'])
def test_dates_that_do_not_count_change_nothing(how: str) -> None:
    x = maps(3, 4)
    valid = torch.tensor(
        [[True, True, True, True], [True, False, True, False], [False] * 3 + [True]]
    )
    # Whatever is there instead.
    filled = x.masked_fill(~valid[:, :, None, None, None], torch.inf)
    out = fuse(filled, how, valid)
    for index in range(3):
        alone = x[index : index + 1, valid[index]]
        torch.testing.assert_close(out[index : index + 1], fuse(alone, how, None))
    assert not torch.allclose(out[1], fuse(x, how, None)[1])
    torch.testing.assert_close(fuse(x, how, torch.ones(3, 4, dtype=torch.bool)), fuse(x, how, None))


@pytest.mark.parametrize('how', ['mean', 'max'])
def test_a_maximum_of_negative_maps_is_not_0(how: str) -> None:
    x = -1 - maps().abs()
    valid = torch.tensor([[True, False, False, False]] * 2)
    assert torch.equal(fuse(x, how, valid), x[:, 0])


@pytest.mark.parametrize('how', FUSIONS)
def test_a_sample_without_any_date_raises(how: str) -> None:
    valid = torch.tensor([[True] * 4, [False] * 4])
    with pytest.raises(ValueError, match='no valid date'):
        fuse(maps(), how, valid)


def test_a_difference_with_a_date_that_does_not_count_raises() -> None:
    valid = torch.ones(2, 4, dtype=torch.bool)
    fuse(maps(), 'difference', valid)
    valid[1, 2] = False
    with pytest.raises(ValueError, match='difference'):
        fuse(maps(), 'difference', valid)
    with pytest.raises(ValueError, match='two dates'):
        fuse(maps(dates=1), 'difference', None)


@pytest.mark.parametrize('shape', [(2,), (2, 3), (3, 4), (4, 2), (2, 4, 1)])
def test_validity_of_another_shape_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r'wanted \[2, 4\]'):
        fuse(maps(), 'mean', torch.ones(shape, dtype=torch.bool))


def test_only_the_three_fusions_are_known() -> None:
    assert [check_fusion(name) for name in FUSIONS] == FUSIONS
    for name in ('diff', 'Mean', '', 'concat'):
        with pytest.raises(ValueError, match='series'):
            check_fusion(name)


@pytest.mark.parametrize('how', FUSIONS)
def test_half_precision_stays_half_precision(how: str) -> None:
    assert fuse(maps().bfloat16(), how, None).dtype == torch.bfloat16
    valid = torch.ones(2, 4, dtype=torch.bool)
    assert fuse(maps().bfloat16(), how, valid).dtype == torch.bfloat16


def build(**arguments: object) -> CopernicusFMBackbone:
    torch.manual_seed(0)
    settings = {'model_bands': ['VV', 'VH'], 'out_indices': [0, 1]} | arguments
    return CopernicusFMBackbone('copernicus_fm_small', **settings).eval()  # type: ignore[arg-type]


@pytest.fixture(scope='module')
def series() -> dict[str, CopernicusFMBackbone]:
    return {how: build(series=how) for how in FUSIONS}


@pytest.fixture(scope='module')
def single() -> CopernicusFMBackbone:
    return build()


def images(batch: int = 2, dates: int = 2) -> Tensor:
    return torch.randn(batch, dates, 2, 32, 32, generator=torch.Generator().manual_seed(1))


def metadata(batch: int = 2, dates: int = 2) -> Tensor:
    rows = torch.tensor([11.5, 48.0, 18262.0, 10.0]).repeat(batch, dates, 1)
    rows[..., 0] += 5 * torch.arange(batch)[:, None]
    rows[..., 2] += 40 * torch.arange(dates)
    return rows


def close(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('how', FUSIONS)
def test_each_date_is_encoded_by_itself_with_its_own_metadata(
    how: str, series: dict[str, CopernicusFMBackbone], single: CopernicusFMBackbone
) -> None:
    x, rows = images(), metadata()
    before, after = (single(x[:, date], metadata=rows[:, date]) for date in range(2))
    join = {
        'difference': lambda a, b: b - a,
        'mean': lambda a, b: (a + b) / 2,
        'max': torch.maximum,
    }[how]
    found = series[how](x, metadata=rows)
    close(found, [join(a, b) for a, b in zip(before, after, strict=True)])
    assert [list(m.shape) for m in found] == [[2, 384, 2, 2]] * 2


@torch.no_grad()
@pytest.mark.parametrize('how', FUSIONS)
@pytest.mark.parametrize('date', [0, 1])
@pytest.mark.parametrize('field', range(4))
def test_the_metadata_of_every_date_matters(
    how: str, date: int, field: int, series: dict[str, CopernicusFMBackbone]
) -> None:
    x, rows = images(1), metadata(1)
    expected = series[how](x, metadata=rows)[0]
    changed = rows.clone()
    changed[0, date, field] = torch.nan
    assert not torch.allclose(series[how](x, metadata=changed)[0], expected, atol=1e-4)


@torch.no_grad()
def test_swapping_the_dates_with_their_metadata_swaps_the_sign(
    series: dict[str, CopernicusFMBackbone],
) -> None:
    x, rows = images(), metadata()
    backbone = series['difference']
    found = backbone(x, metadata=rows)
    close(backbone(x.flip(1), metadata=rows.flip(1)), [-m for m in found])
    # With the images alone it is another difference.
    assert not torch.allclose(backbone(x.flip(1), metadata=rows)[0], -found[0], atol=1e-3)
    # The same image twice with the same metadata has not changed.
    twice = backbone(x[:, :1].expand(-1, 2, -1, -1, -1), metadata=rows[:, :1].expand(-1, 2, -1))
    close(twice, [torch.zeros_like(m) for m in twice])


@torch.no_grad()
@pytest.mark.parametrize('how', FUSIONS)
def test_one_row_of_metadata_applies_to_all_dates(
    how: str, series: dict[str, CopernicusFMBackbone]
) -> None:
    # Two samples at two dates: rows per sample must not be taken for rows per date.
    x, rows = images(), metadata()[:, 0]
    found = series[how](x, metadata=rows)
    close(found, series[how](x, metadata=rows[:, None].expand(-1, 2, -1)))
    assert not torch.allclose(found[0], series[how](x, metadata=rows.flip(0))[0], atol=1e-4)
    unknown = series[how](x)
    close(unknown, series[how](x, metadata=torch.full((2, 2, 4), torch.nan)))


@torch.no_grad()
@pytest.mark.parametrize('how', FUSIONS)
def test_the_other_samples_of_a_batch_do_not_matter(
    how: str, series: dict[str, CopernicusFMBackbone]
) -> None:
    x, rows = images(3, 3), metadata(3, 3)
    rows[1, 1] = torch.nan
    valid = torch.ones(3, 3, dtype=torch.bool)
    if how != 'difference':
        valid[0, 2] = False
    together = series[how](x, metadata=rows, valid=valid)
    for index in range(3):
        one = slice(index, index + 1)
        alone = series[how](x[one], metadata=rows[one], valid=valid[one])
        close(alone, [m[one] for m in together])


@torch.no_grad()
@pytest.mark.parametrize('how', ['mean', 'max'])
def test_repeated_dates_do_not_count(how: str, series: dict[str, CopernicusFMBackbone]) -> None:
    x, rows = images(2, 3), metadata(2, 3)
    valid = torch.tensor([[True, True, False]] * 2)
    found = series[how](x, metadata=rows, valid=valid)
    close(found, series[how](x[:, :2], metadata=rows[:, :2]))
    assert not torch.allclose(found[0], series[how](x, metadata=rows)[0], atol=1e-4)


@torch.no_grad()
def test_several_dates_and_series_need_each_other(
    series: dict[str, CopernicusFMBackbone], single: CopernicusFMBackbone
) -> None:
    with pytest.raises(ValueError, match='backbone_series'):
        single(images())
    with pytest.raises(ValueError, match='backbone_series'):
        series['mean'](images()[:, 0])
    for backbone in (single, series['mean']):
        with pytest.raises(ValueError, match=r'\[B, C, H, W\]'):
            backbone(images()[None])


@pytest.mark.parametrize('name', ['diff', 'MEAN', '', 3])
def test_an_unknown_series_is_named(name: object) -> None:
    with pytest.raises(ValueError, match='series'):
        build(series=name)


@torch.no_grad()
def test_tiles_of_one_series_share_its_metadata(series: dict[str, CopernicusFMBackbone]) -> None:
    # Tiled inference hands on the keys of the whole image with several tiles of it.
    x, rows = images(3), metadata(1)
    expected = series['mean'](x, metadata=rows.expand(3, -1, -1))
    close(series['mean'](x, metadata=rows), expected)


@torch.no_grad()
@pytest.mark.parametrize('how', ['mean', 'max'])
def test_tiles_of_one_series_share_its_valid_dates(
    how: str, series: dict[str, CopernicusFMBackbone]
) -> None:
    x, rows = images(3, 3), metadata(1, 3)
    valid = torch.tensor([[True, True, False]])
    expected = series[how](x, metadata=rows.expand(3, -1, -1), valid=valid.expand(3, -1))
    close(series[how](x, metadata=rows, valid=valid), expected)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing downloaded before."""
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'torch'))


def columns(seed: int = 0, **arguments: object) -> CopernicusFMBackbone:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return CopernicusFMBackbone(
            'copernicus_fm_small',
            **{'sensor': 's5p_no2', 'out_indices': [0]} | arguments,  # type: ignore[arg-type]
        ).eval()


@pytest.mark.usefixtures('offline')
def test_a_fresh_encoder_takes_stand_ins_for_language_vectors_and_says_so() -> None:
    with pytest.warns(UserWarning, match=r"\['NO2'\].*random"):
        backbone = CopernicusFMBackbone('copernicus_fm_small', sensor='s5p_no2', out_indices=[0])
    vectors = backbone.state_dict()['language_vectors']
    assert vectors.shape == (1, 2048)
    assert vectors.isfinite().all()
    assert vectors.norm() > 0
    # Not trained, but kept.
    assert 'language_vectors' not in dict(backbone.named_parameters())
    x = torch.randn(1, 1, 16, 16)
    assert backbone(x)[0].isfinite().all()


@pytest.mark.usefixtures('offline')
def test_stand_ins_are_the_same_whatever_the_seed_and_differ_between_variables() -> None:
    vectors = {
        (sensor, seed): columns(seed, sensor=sensor).state_dict()['language_vectors']
        for sensor in ('s5p_no2', 's5p_o3')
        for seed in (0, 1)
    }
    for sensor in ('s5p_no2', 's5p_o3'):
        assert torch.equal(vectors[sensor, 0], vectors[sensor, 1])
    assert not torch.allclose(vectors['s5p_no2', 0], vectors['s5p_o3', 0], atol=1e-2)


@torch.no_grad()
@pytest.mark.usefixtures('offline')
def test_a_checkpoint_brings_the_vector_it_was_trained_with() -> None:
    trained, fresh = columns(), columns(1)
    trained.language_vectors = torch.randn(1, 2048, generator=torch.Generator().manual_seed(3))
    x = torch.randn(2, 1, 16, 16)
    expected = trained(x)[0]
    assert not torch.allclose(columns()(x)[0], expected, atol=1e-4)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.language_vectors, trained.language_vectors)
    assert torch.equal(fresh(x)[0], expected)
    # Spectral encoders have none.
    assert 'language_vectors' not in build().state_dict()


@pytest.mark.usefixtures('offline')
def test_trained_weights_without_their_language_vectors_are_refused(tmp_path: Path) -> None:
    torch.save({'model': copernicus_fm_small().state_dict()}, tmp_path / 'mine.pth')
    for arguments in (
        {'pretrained': True},
        {'pretrained': 'true'},
        {'ckpt_path': str(tmp_path / 'mine.pth')},
    ):
        with pytest.raises(ConnectionError, match='language vectors'):
            columns(**arguments)
    # Spectral bands need none.
    build(ckpt_path=str(tmp_path / 'mine.pth'))


@pytest.mark.terratorch
@pytest.mark.filterwarnings('ignore')
def test_embeddings_leave_repeated_dates_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchgeo_copernicus.terratorch.tasks import CopernicusEmbeddingTask

    arguments = {'model_bands': ['VV', 'VH'], 'out_indices': [0], 'series': 'mean'}
    task = CopernicusEmbeddingTask(
        model_args={'backbone': 'copernicus_fm_small', 'backbone_pretrained': False}
        | {f'backbone_{name}': value for name, value in arguments.items()},
        output_dir=str(tmp_path),
        layers=[-1],
    ).eval()
    found: list[Tensor] = []
    monkeypatch.setattr(task, 'save_embeddings', lambda maps, *_: found.append(maps))
    monkeypatch.setattr(task, 'save_configuration_summary', lambda *_: None)
    batch = {
        'image': images(2, 3),
        'metadata': metadata(2, 3),
        'valid': torch.tensor([[True, True, False]] * 2),
        'filename': ['a.tif', 'b.tif'],
    }
    with torch.no_grad():
        task.predict_step(batch)
        backbone = next(m for m in task.modules() if isinstance(m, CopernicusFMBackbone))
        expected = backbone(images(2, 3)[:, :2], metadata=metadata(2, 3)[:, :2])
    close(found, expected)
