"""The example of the guide runs, with tiny weights of the model that it names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from torchgeo_copernicus.cli import main
from torchgeo_copernicus.embedding.read_store import read_store
from torchgeo_copernicus.models import builders
from torchgeo_copernicus.models.builders import Size

EXAMPLE = Path(__file__).parents[2] / 'docs' / 'examples' / 'embed_pretrain.yaml'


def test_the_example_runs_and_options_of_the_command_line_win(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = 'copernicus_fm_base'
    monkeypatch.setitem(builders.SIZES, name, Size(32, 2, 4, 16, (0, 0, 1, 1)))
    torch.manual_seed(0)
    weights = tmp_path / 'weights.safetensors'
    save_file(builders.SIZES[name].build().state_dict(), weights)
    # Elevation needs a language vector, which is downloaded.
    options = {
        '--source.init_args.shards': str(shards),
        '--source.init_args.modalities': '[s1_grd, s2_toa, s3_olci]',
        '--encoder.init_args.ckpt_path': str(weights),
        '--encoder.init_args.pool': 'mean',
        '--preprocessing.sizes_px': '{s1_grd: 32, s2_toa: 32, s3_olci: 16}',
        '--store': str(tmp_path / 'store'),
        '--workers': '0',
        '--accelerator': 'cpu',
        '--devices': '1',
    }
    given = [word for option in options.items() for word in option]
    main(['embed', '--config', str(EXAMPLE), *given])
    assert 'embeddings of 7 items in 1 files at' in capsys.readouterr().out
    frame = read_store(tmp_path / 'store')
    assert set(frame.modality) == {'s1_grd', 's2_toa', 's3_olci'}
    assert {len(one) for one in frame.embedding} == {32}
    assert len({one.tobytes() for one in frame.embedding}) == len(frame)
    with pytest.raises(SystemExit, match='pooling: "mean" in the store, "cls" now'):
        main(['embed', '--config', str(EXAMPLE), *given, '--encoder.init_args.pool', 'cls'])
    with pytest.raises(SystemExit, match='There is no checkpoint'):
        main(['embed', '--config', str(EXAMPLE), *given, '--encoder.init_args.ckpt_path', 'no.pt'])
