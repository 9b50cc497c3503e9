"""The encoder gives the outputs of the official one (reference outputs in the shared folder)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models import golden
from torchgeo_copernicus.models import CopernicusFM, copernicus_fm_base, export_onnx
from torchgeo_copernicus.models.channels import resolve_channels
from torchgeo_copernicus.models.fourier import fourier_expansion
from torchgeo_copernicus.models.kernel_resize import resize_kernel, resize_matrix
from torchgeo_copernicus.models.position import resize_table, sincos_table

pytestmark = pytest.mark.smoke

CASES = (
    's2_224_k16_nan',
    's1_224_k16_meta',
    's3_96_k8_meta',
    's5p_56_k4_nan',
    'dem_960_k64_meta',
    'rgbn_224_k8',
)
# As stated with the reference outputs, for the CPU. The least of the known mistakes, another epsilon of
# the layer norm, shows as 1e-4.
TOLERANCE = {'rtol': 1e-4, 'atol': 2e-5}


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Fix the order in which float32 sums are taken: it depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def arrays(golden_dir: Path) -> Mapping[str, np.ndarray]:
    return dict(np.load(golden_dir / 'copernicusfm_base.npz'))


@pytest.fixture(scope='module')
def cases(golden_dir: Path) -> dict[str, dict]:
    return json.loads((golden_dir / 'copernicusfm_base.json').read_text())['cases']


@pytest.fixture(scope='module')
def model() -> CopernicusFM:
    model = copernicus_fm_base().eval()
    with torch.no_grad():
        golden.fill_parameters(model)
    return model


def test_no_golden_case_is_left_out(cases: dict) -> None:
    assert set(CASES) == set(cases)


def test_state_dict_keys_and_shapes_are_the_released_ones(
    model: CopernicusFM, golden_dir: Path
) -> None:
    expected = golden.state_dict_keys(golden_dir / 'state_dict_keys.txt')
    assert len(expected) == 203
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == expected


def inputs_of(case: dict) -> tuple[Tensor, Tensor, dict]:
    x = golden.image(case['id'], case['shape'])
    meta = torch.tensor([[np.nan if v is None else v for v in row] for row in case['meta']])
    metadata = meta.clone()
    metadata[:, 3] = 1000 * meta[:, 3].double().sqrt() / case['k']
    inputs: dict = {'kernel_size': case['k']}
    if case['mode'] == 'spectral':
        inputs |= {'wavelengths_nm': case['wv'], 'bandwidths_nm': case['bw']}
    else:
        inputs['language_embedding'] = golden.language_vector(case['lang'])
    return x, metadata, inputs


@pytest.fixture(scope='module')
def exact(model: CopernicusFM) -> CopernicusFM:
    return copy.deepcopy(model).double()


@pytest.mark.parametrize('name', CASES)
def test_outputs_are_the_official_ones_but_for_rounding(
    name: str, exact: CopernicusFM, arrays: Mapping[str, np.ndarray], cases: dict
) -> None:
    x, metadata, inputs = inputs_of(cases[name])
    if 'language_embedding' in inputs:
        inputs['language_embedding'] = inputs['language_embedding'].double()
    with torch.no_grad():
        maps = exact.forward_intermediates(x.double(), metadata, **inputs)
        cls = exact(x.double(), metadata, **inputs)
    np.testing.assert_allclose(cls, arrays[f'{name}/cls_embed'], **TOLERANCE)
    for index, feature in zip((3, 5, 7, 11), maps, strict=True):
        summary = golden.summary(feature)
        np.testing.assert_allclose(summary, arrays[f'{name}/feat{index}'], **TOLERANCE)


@pytest.mark.parametrize('name', CASES)
def test_outputs_are_the_official_ones(
    name: str, model: CopernicusFM, arrays: Mapping[str, np.ndarray], cases: dict
) -> None:
    case = cases[name]
    x, metadata, inputs = inputs_of(case)
    spectral = case['mode'] == 'spectral'
    embed = model.patch_embed_spectral if spectral else model.patch_embed_variable
    embed.kept_kernels.clear()

    # Kernels are generated for the first call and kept for the next ones.
    with torch.no_grad():
        model.global_pool = 'token'
        cls = model(x, metadata, **inputs)
        maps = model.forward_intermediates(x, metadata, **inputs)
        model.global_pool = 'avg'
        pooled = model(x, metadata, **inputs)
    assert len(embed.kept_kernels) == 1

    def expected(key: str) -> np.ndarray:
        return arrays[f'{name}/{key}']

    np.testing.assert_allclose(cls, expected('cls_embed'), **TOLERANCE)
    np.testing.assert_allclose(pooled, expected('pool_embed'), **TOLERANCE)
    for index, feature in zip((3, 5, 7, 11), maps, strict=True):
        assert list(feature.shape) == case['feature_shape']
        np.testing.assert_allclose(golden.summary(feature), expected(f'feat{index}'), **TOLERANCE)

    with torch.no_grad():
        names = ('wavelengths_nm', 'bandwidths_nm', 'language_embedding')
        channels = resolve_channels(**{name: inputs[name] for name in names if name in inputs})
        waves = embed.fclayer(embed.describe(channels, x.device))
        weight, bias = embed.weight_generator(waves)
        patches = embed(x, channels, case['k']).flatten(2).transpose(1, 2)
    np.testing.assert_allclose(waves, expected('waves'), **TOLERANCE)
    np.testing.assert_allclose(bias, expected('gen_bias'), **TOLERANCE)
    flat = weight.permute(1, 2, 3, 0).contiguous()
    np.testing.assert_allclose(golden.summary(flat), expected('gen_weight'), **TOLERANCE)
    np.testing.assert_allclose(golden.summary(patches), expected('patch_tokens'), **TOLERANCE)


# One of each hypernetwork; a graph of twelve blocks takes a while.
@pytest.mark.parametrize('name', ['s3_96_k8_meta', 's5p_56_k4_nan'])
@torch.no_grad()
def test_compiled_outputs_are_the_official_ones(
    name: str, model: CopernicusFM, arrays: Mapping[str, np.ndarray], cases: dict
) -> None:
    x, metadata, inputs = inputs_of(cases[name])
    model.global_pool = 'token'
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    np.testing.assert_allclose(
        compiled(x, metadata, **inputs), arrays[f'{name}/cls_embed'], **TOLERANCE
    )


@pytest.mark.parametrize(
    ('name', 'pool', 'key'),
    [
        *((name, 'token', 'cls_embed') for name in CASES),
        *((name, 'avg', 'pool_embed') for name in CASES[1::3]),
    ],
)
@torch.no_grad()
def test_specialised_outputs_are_the_official_ones(
    name: str,
    pool: str,
    key: str,
    model: CopernicusFM,
    arrays: Mapping[str, np.ndarray],
    cases: dict,
) -> None:
    x, metadata, inputs = inputs_of(cases[name])
    model.global_pool = pool  # type: ignore[assignment]
    static = model.specialize(**inputs, image_size=x.shape[2:])
    np.testing.assert_allclose(static(x, metadata), arrays[f'{name}/{key}'], **TOLERANCE)
    maps = static.forward_intermediates(x, metadata)
    for index, feature in zip((3, 5, 7, 11), maps, strict=True):
        expected = arrays[f'{name}/feat{index}']
        np.testing.assert_allclose(golden.summary(feature), expected, **TOLERANCE)


@pytest.mark.parametrize(
    ('name', 'pool', 'key'),
    [('s3_96_k8_meta', 'token', 'cls_embed'), ('s5p_56_k4_nan', 'avg', 'pool_embed')],
)
def test_onnx_outputs_are_the_official_ones(
    name: str,
    pool: str,
    key: str,
    model: CopernicusFM,
    arrays: Mapping[str, np.ndarray],
    cases: dict,
    tmp_path: Path,
) -> None:
    for module in ('onnx', 'onnxscript'):
        pytest.importorskip(module, reason='needs the extra `export`')
    onnxruntime = pytest.importorskip('onnxruntime', reason='needs the extra `export`')
    x, metadata, inputs = inputs_of(cases[name])
    model.global_pool = pool  # type: ignore[assignment]
    static = model.specialize(**inputs, image_size=x.shape[2:])
    path = export_onnx(static, tmp_path / 'model.onnx')
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    (found,) = session.run(None, {'image': x.numpy(), 'metadata': metadata.numpy()})
    path.unlink()
    np.testing.assert_allclose(found, arrays[f'{name}/{key}'], **TOLERANCE)


@pytest.mark.parametrize(('kind', 'bounds'), [('central', (100, 1e9)), ('bandwidth', (1, 1e9))])
@pytest.mark.parametrize('case', ['s2_224_k16_nan', 's1_224_k16_meta'])
def test_fourier_of_spectra(
    kind: str, bounds: tuple[float, float], case: str, arrays: Mapping, cases: dict
) -> None:
    values = torch.tensor(cases[case]['wv' if kind == 'central' else 'bw'])
    found = fourier_expansion(values, 128, *bounds)
    np.testing.assert_allclose(found, arrays[f'unit/fourier_{kind}_{case[:2]}'], atol=1e-6)


@pytest.mark.parametrize('grid', [7, 8, 12, 15, 16, 28, 32, 36])
def test_resized_position_tables(grid: int, arrays: Mapping[str, np.ndarray]) -> None:
    table = resize_table(sincos_table(768, 14), grid, grid)
    expected = arrays[f'unit/pos_embed_resized_{grid}']
    np.testing.assert_allclose(golden.summary(table, 2048), expected, atol=1e-6)


def test_position_table(arrays: Mapping[str, np.ndarray]) -> None:
    table = sincos_table(768, 14)
    np.testing.assert_allclose(
        golden.summary(table, 1024), arrays['unit/pos_embed_14x14_cls'], atol=1e-6
    )
    assert not table[:, 0].any()


@pytest.mark.parametrize('size', [4, 8, 64])
def test_kernels_are_resized_by_the_pseudo_inverse(
    size: int, arrays: Mapping[str, np.ndarray]
) -> None:
    matrix = resize_matrix(size, torch.device('cpu'))
    expected = arrays[f'unit/pinv_matrix_16_to_{size}']
    np.testing.assert_allclose(golden.summary(matrix, 512), expected, atol=2e-5)
    kernel = resize_kernel(golden.image(9, [3, 2, 16, 16]), size)
    np.testing.assert_allclose(
        kernel[:2, :1], arrays[f'unit/pi_resize_16_to_{size}'], rtol=1e-4, atol=2e-5
    )
