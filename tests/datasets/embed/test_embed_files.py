"""What is downloaded is what was published, as far as that can be known."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.embed import embed_files
from torchgeo_copernicus.datasets.embed.embed_files import FILES, check_pt, check_table
from torchgeo_copernicus.datasets.embed.embed_files import download_embed as download
from torchgeo_copernicus.datasets.lookalike.embed_map import make_embed_map


def test_each_file_has_a_hash_or_a_check_and_a_pinned_place() -> None:
    for name, file in FILES.items():
        assert (file.sha256 is None) != (file.check is None), name
        assert file.url.startswith('https://huggingface.co/datasets/') and '{revision}' in file.url
    assert {name for name, file in FILES.items() if file.sha256} == {'map_npz', 'map_tif'}
    assert re.fullmatch('[0-9a-f]{40}', FILES['map_tif'].revision)
    for name in ('map_npz', 'map_tif'):
        assert re.fullmatch('[0-9a-f]{64}', str(FILES[name].sha256))


def test_the_url_has_the_pinned_revision_or_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def fetch(url: str, path: Path, *, sha256: str | None, **_: object) -> Path:
        asked.append((url, sha256))
        return path

    monkeypatch.setattr(embed_files, 'fetch', fetch)
    assert download('map_tif', tmp_path) == tmp_path / 'embed_map_310k.tif'
    download('map_npz', tmp_path, revision='v2')
    assert asked[0][0] == (
        'https://huggingface.co/datasets/torchgeo/copernicus_embed/resolve/'
        '435b4a7bdce6f6fdbf4272f9d6e54f2604f35fdb/embed_map_310k.tif'
    )
    assert asked[1][0].endswith(
        'Copernicus-Embed-025deg/resolve/v2/embeddings_025_v1/embed_map_310k.npz'
    )
    assert [sha256 for _, sha256 in asked] == [FILES['map_tif'].sha256, FILES['map_npz'].sha256]


def test_a_copy_with_other_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / 'source.npz'
    source.write_bytes(b'something')
    with pytest.raises(ValueError, match='SHA-256'):
        download('map_npz', tmp_path / 'a', url=source.as_uri(), progress=False)
    assert not (tmp_path / 'a' / 'embed_map_310k.npz').exists()
    right = hashlib.sha256(b'something').hexdigest()
    monkeypatch.setitem(FILES, 'map_npz', replace(FILES['map_npz'], sha256=right))
    path = download('map_npz', tmp_path / 'a', url=source.as_uri(), progress=False)
    assert path.read_bytes() == b'something'
    path.write_bytes(b'different')
    assert download('map_npz', tmp_path / 'a', checksum=False) == path
    with pytest.raises(ValueError, match='move it away'):
        download('map_npz', tmp_path / 'a', progress=False)


def test_a_pt_without_hash_is_at_least_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_embed_map(tmp_path, 1, kind='pt')
    with pytest.raises(ValueError, match='1 channels, wanted 768'):
        download('map_pt', tmp_path / 'a', url=source.as_uri(), progress=False)
    monkeypatch.setattr(embed_files, 'CHANNELS', 1)
    check_pt(download('map_pt', tmp_path / 'a', url=source.as_uri(), progress=False))
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(ValueError, match='not a whole zip archive'):
        download('map_pt', tmp_path / 'b', url=source.as_uri(), progress=False)


def test_a_table_without_hash_is_at_least_whole(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip('pyarrow', reason='Parquet needs the extra `embed`')
    from torchgeo_copernicus.datasets.lookalike.embed_chunks import make_embed_chunks

    source = make_embed_chunks(tmp_path, 4) / 'avg_chunks' / 'embeddings_avg_310k.parquet'
    check_table(download('averaged_310k', tmp_path / 'a', url=source.as_uri(), progress=False))
    source.write_bytes(source.read_bytes()[:-10])
    with pytest.raises(ValueError, match='no whole Parquet file'):
        download('averaged_310k', tmp_path / 'b', url=source.as_uri(), progress=False)
    empty = {
        'grid_id_coord': pyarrow.array([], pyarrow.string()),
        'embedding': pyarrow.array([], pyarrow.list_(pyarrow.float32())),
    }
    import pyarrow.parquet as pq

    pq.write_table(pyarrow.table(empty), source)
    with pytest.raises(ValueError, match='has no rows'):
        check_table(source)


def test_unknown_names_and_contradictions_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='there are'):
        download('map', tmp_path)
    with pytest.raises(ValueError, match='leave it out'):
        download('map_npz', tmp_path, url='file:///x', revision='main')
    with pytest.raises(FileExistsError):
        make_embed_map(make_embed_map(tmp_path, 1).parent, 1)
    with pytest.raises(ValueError, match='allowed'):
        make_embed_map(tmp_path, 1, kind='tif')
    with pytest.raises(ValueError, match='allowed'):
        make_embed_map(tmp_path, 1, kind='pt', compressed=True)
    with pytest.raises(ValueError, match='at least 1'):
        make_embed_map(tmp_path / 'b', 0)
