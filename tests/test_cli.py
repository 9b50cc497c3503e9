from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from torchgeo_copernicus.cli import main
from torchgeo_copernicus.datasets import CopernicusBenchCloudS2
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11
from torchgeo_copernicus.datasets.ssl4eo.v11 import verify as v11_verify
from torchgeo_copernicus.models import copernicus_fm_small, load_specialized


def test_a_sample_is_written_where_root_finds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(['sample', 'cloud_s2', str(tmp_path), '--n', '3', '--size', '32', '--seed', '5'])
    assert str(tmp_path / 'cloud_s2') in capsys.readouterr().out
    assert len(CopernicusBenchCloudS2(tmp_path, 'train')) == 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['sample', 'cloud_s9', 'DIR'], 'cloud_s9'),
        (['sample', 'cloud_s2', 'DIR', '--n', '1'], 'n >= 3'),
        (['sample', 'cloud_s2', 'DIR', '--size', '8'], 'at least 32'),
    ],
)
def test_a_mistake_is_one_line_not_a_traceback(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    given = [str(tmp_path) if argument == 'DIR' else argument for argument in arguments]
    with pytest.raises(SystemExit, match=message) as caught:
        main(given)
    assert '\n' not in str(caught.value)


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / 'cloud_s2').mkdir()
    with pytest.raises(SystemExit, match='exists'):
        main(['sample', 'cloud_s2', str(tmp_path)])
    assert list((tmp_path / 'cloud_s2').iterdir()) == []


def test_an_exported_model_is_the_encoder_it_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = copernicus_fm_small().eval()
    save_file(encoder.state_dict(), tmp_path / 'mine.safetensors')
    main(
        [
            *('export', str(tmp_path / 'out'), '--ckpt_path', str(tmp_path / 'mine.safetensors')),
            *('--size', 'copernicus_fm_small', '--bands', '[B04,B03,B02]', '--image_size', '64'),
            *('--metadata', '[11.5,48,18262,10]', '--kernel_size', '8', '--onnx', 'false'),
        ]
    )
    assert 'model.safetensors' in capsys.readouterr().out
    model = load_specialized(tmp_path / 'out' / 'model.safetensors')
    x = torch.randn(2, 3, 64, 64)
    rows = torch.tensor([[11.5, 48.0, 18262.0, 10.0]] * 2)
    with torch.no_grad():
        expected = encoder(x, rows, bands=['B04', 'B03', 'B02'], kernel_size=8)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    card = (tmp_path / 'out' / 'README.md').read_text()
    assert '| B04 | 1373.1 | 1144.9 |' in card
    assert 'the file mine.safetensors' in card


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', 'copernicus_fm_small'], 'No weights are released'),
        (['--size', 'copernicus_fm_tiny'], 'allowed are'),
        (['--sensor', 's9'], "Unknown sensor 's9'"),
        (['--bands', '[VV]', '--pretrained', 'false'], "Unknown band 'VV'"),
        (['--ckpt_path', 'nowhere.pth'], 'no checkpoint at'),
    ],
)
def test_an_export_that_cannot_be_is_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    if '--size' not in arguments:
        arguments = [*arguments, '--size', 'copernicus_fm_small']
    with pytest.raises(SystemExit, match=message) as caught:
        main(['export', str(tmp_path / 'out'), *arguments])
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'out').exists()


def test_a_copy_of_ssl4eo_is_verified_whichever_version_it_is(tmp_path: Path) -> None:
    root = make_ssl4eo_v11(tmp_path, n=2, seed=0, size=32, modalities=['S1GRD'])
    with pytest.raises(SystemExit) as caught:
        main(['verify', 'ssl4eo', str(root), '--limit', '2'])
    text = str(caught.value.code)
    assert text.startswith('SSL4EO-S12 v1.1\ntrain  S1GRD  zarr edition: 1 of 3812 files')
    # The look-alike is smaller than the release, and said to be.
    assert 'PROBLEM train S1GRD: images of (32, 32) px, 264 px were published' in text
    with pytest.raises(SystemExit, match='holds neither SSL4EO-S12'):
        main(['verify', 'ssl4eo', str(tmp_path)])
    with pytest.raises(SystemExit, match=r'unknown task .*, ssl4eo'):
        main(['verify', 'ssl4e', str(tmp_path)])


def test_a_right_copy_of_ssl4eo_ends_without_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v11_verify, 'IMAGE_SIZE', 32)
    monkeypatch.setattr(v11_verify, 'PLACES_PER_FILE', 1)
    root = make_ssl4eo_v11(tmp_path, n=2, seed=0, size=32, modalities=['S1GRD'])
    main(['verify', 'ssl4eo', str(root)])
    assert capsys.readouterr().out.endswith('No problem found.\n')


def test_ssl4eo_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('dask', reason='conversions need the extra `convert`')
    main(['sample', 'ssl4eo_v11', str(tmp_path), '--n', '2', '--size', '32'])
    arguments = [str(tmp_path / 'ssl4eo_v11'), str(tmp_path / 'out'), '--modalities', '[S2RGB]']
    main(['convert', 'ssl4eo', 'webdataset', *arguments])
    assert f'Wrote 1 files to {tmp_path / "out"}' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(['--help'])
    assert 'convert ssl4eo zarr3' in ' '.join(capsys.readouterr().out.split())


def test_commands_that_collect_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=f'Nothing was collected into {tmp_path}'):
        main(['collect', 'list', str(tmp_path)])
    with pytest.raises(SystemExit):
        main(['--help'])
    assert 'collect download' in ' '.join(capsys.readouterr().out.split())
