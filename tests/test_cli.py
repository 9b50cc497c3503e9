from __future__ import annotations

from pathlib import Path

import pytest

from torchgeo_copernicus.cli import main
from torchgeo_copernicus.datasets import CopernicusBenchCloudS2


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
