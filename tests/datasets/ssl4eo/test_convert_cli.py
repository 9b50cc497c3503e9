"""Conversions from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zarr
from jsonargparse import auto_cli

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.convert.commands import COMMANDS

pytest.importorskip('dask', reason='conversions need the extra `convert`')


def run(*arguments: object) -> str:
    given = [str(argument) for argument in arguments]
    text: Any = auto_cli(dict(COMMANDS), args=given, as_positional=True)
    return str(text)


def test_old_folders_become_a_copy_that_the_dataset_reads(tmp_path: Path) -> None:
    root = make_ssl4eo_v10(tmp_path, n=2, seed=0, size=24)
    options = ('--modalities', '[S1GRD]', '--places_per_file', 1, '--scheduler', 'synchronous')
    text = run('v11', root, tmp_path / 'out', *options)
    assert text == f'Wrote 3 files to {tmp_path / "out"}'
    assert len(SSL4EOS12v11(tmp_path / 'out', modalities='S1GRD')) == 2
    assert run('v11', root, tmp_path / 'out', *options).endswith('; 3 were there already')


def test_counts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchgeo_copernicus.datasets.conversion.conversion import ConversionReport
    from torchgeo_copernicus.datasets.ssl4eo.convert import v10 as convert_v10

    seen: dict[str, Any] = {}

    def fake(*arguments: Any, **options: Any) -> ConversionReport:
        seen.update(options, arguments=arguments)
        return ConversionReport(('a',), (), {'saturated_px': 3, 'missing_px': 0})

    monkeypatch.setattr(convert_v10, 'convert_v10', fake)
    text = run('v11', 'in', 'out', '--val_fraction', 0.1, '--incomplete', 'skip', '--workers', 2)
    assert text == 'Wrote 1 files to out; 3 saturated_px'
    assert seen['arguments'] == ('in', 'out', ['S1GRD', 'S2L1C', 'S2L2A'])
    assert (seen['val_fraction'], seen['incomplete'], seen['workers']) == (0.1, 'skip', 2)


def test_archives_are_written(v11_root: Path, tmp_path: Path) -> None:
    text = run('webdataset', v11_root, tmp_path, '--split', 'val', '--places_per_tar', 1)
    assert text == f'Wrote 6 files to {tmp_path}'
    assert len(SSL4EOS12v11(tmp_path, 'val')) == 2


@pytest.mark.skipif(not hasattr(zarr, 'create_group'), reason='needs zarr 3')
def test_stores_are_written(v11_root: Path, tmp_path: Path) -> None:
    run('zarr3', v11_root, tmp_path, '--split', 'val', '--modalities', '[S1GRD]', '--codec', 'lz4')
    assert zarr.open_array(tmp_path / 'val' / 'S1GRD.zarr' / 'bands', mode='r').shape[0] == 2


def test_a_store_without_zarr_3_names_what_is_needed(
    v11_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(zarr, 'create_group', raising=False)
    with pytest.raises(ValueError, match='needs zarr 3'):
        run('zarr3', v11_root, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
