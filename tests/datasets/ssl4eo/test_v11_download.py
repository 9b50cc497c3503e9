from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.datasets.storage.hub_server import COMMIT, HubHandler
from tests.datasets.storage.range_server import RangeServer, serving
from torchgeo_copernicus import download
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.v11 import download as v11_download
from torchgeo_copernicus.datasets.ssl4eo.v11.download import download_v11
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import file_name, split_list, split_table
from torchgeo_copernicus.datasets.ssl4eo.v11.sources import check_document

FIRST, SECOND = file_name('train', 1), file_name('train', 2)
#: Long enough to hold magic bytes at both ends and the length of the footer.
PARQUET = b'PAR1' + bytes(20) + (20).to_bytes(4, 'little') + b'PAR1'


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, 'BACKOFF_S', 0.0)
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')


@pytest.fixture
def server(v11_copy: Path) -> Iterator[RangeServer]:
    (v11_copy / split_table('train')).write_bytes(PARQUET)
    with serving(v11_copy) as running:
        yield running


@pytest.fixture
def hub(v11_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    (v11_copy / split_table('train')).write_bytes(PARQUET)
    with serving(v11_copy, HubHandler) as running:
        monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', running.url)
        template = f'{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
        monkeypatch.setattr(
            huggingface_hub.constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template, raising=False
        )
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / 'mine'


def names(root: Path) -> list[str]:
    found = (path for path in root.rglob('*') if path.is_file() and path.suffix != '.lock')
    return sorted(path.relative_to(root).as_posix() for path in found)


def test_chosen_files_come_with_list_and_table_and_nothing_else(
    server: RangeServer, root: Path, v11_copy: Path
) -> None:
    found = download_v11(root, 'train', ['S1GRD', 'S2L2A'], 1, source=server.url, progress=False)
    wanted = [f'train/{name}/{FIRST}' for name in ('S1GRD', 'S2L2A')]
    assert [path.relative_to(root).as_posix() for path in found] == wanted
    assert names(root) == sorted([*wanted, split_list('train'), split_table('train')])
    for name in names(root):
        assert (root / name).read_bytes() == (v11_copy / name).read_bytes()
    assert len(SSL4EOS12v11(root, 'train', ['S1GRD', 'S2L2A'])) == 4


def test_files_come_by_name_and_all_when_nothing_is_said(server: RangeServer, root: Path) -> None:
    (path,) = download_v11(
        root, 'train', ['S1GRD'], [SECOND], source=f'{server.url}/', progress=False
    )
    assert path.name == SECOND
    assert len(download_v11(root, 'train', ['S1GRD'], source=server.url, progress=False)) == 2


def test_a_second_run_moves_no_image_again(server: RangeServer, root: Path) -> None:
    def run(checksum: bool) -> None:
        server.start_counting()
        download_v11(root, 'train', ['S1GRD'], source=server.url, checksum=checksum, progress=False)

    run(True)
    for checksum in (True, False):
        run(checksum)
        assert server.count('GET') == 0


def test_a_broken_connection_is_resumed_not_restarted(
    server: RangeServer, root: Path, v11_copy: Path
) -> None:
    # The list, the table, then the image.
    server.cuts = [10**9, 10**9, 5000]
    (path,) = download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    assert path.read_bytes() == (v11_copy / 'train' / 'S1GRD' / FIRST).read_bytes()
    images = [asked for _, address, asked in server.requests if address.endswith(FIRST)]
    assert images == ['', 'bytes=5000-']


def test_half_a_file_never_gets_its_name(server: RangeServer, root: Path) -> None:
    server.cuts = [10**9, 10**9, *[1000] * 9]
    with pytest.raises(ConnectionError, match='Run again to resume'):
        download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    assert not (root / 'train' / 'S1GRD' / FIRST).exists()
    server.cuts = []
    server.start_counting()
    download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    assert server.requests[-1][2] == 'bytes=4000-'


def test_flipped_bytes_never_get_a_name_though_no_hash_is_published(
    server: RangeServer, root: Path, v11_copy: Path
) -> None:
    path = v11_copy / 'train' / 'S1GRD' / FIRST
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'the CRC of \[.*\] differs'):
        download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    assert not [name for name in names(root) if 'S1GRD' in name]


def test_a_damaged_file_that_is_there_is_named_and_not_overwritten(
    server: RangeServer, root: Path
) -> None:
    (path,) = download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='move it away'):
        download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    assert path.read_bytes() == content


def test_a_page_that_asks_to_log_in_is_no_list(
    server: RangeServer, root: Path, v11_copy: Path
) -> None:
    (v11_copy / split_list('train')).write_text('<html>Please log in</html>')
    with pytest.raises(ValueError, match='no list of files'):
        download_v11(root, 'train', ['S1GRD'], source=server.url, progress=False)
    assert names(root) == []


def test_a_source_without_lists_serves_named_files(
    server: RangeServer, root: Path, v11_copy: Path
) -> None:
    shutil.rmtree(v11_copy / 'splits')
    with pytest.raises(ValueError, match='name the files'):
        download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)
    download_v11(root, 'train', ['S1GRD'], [FIRST], source=server.url, progress=False)
    assert names(root) == [f'train/S1GRD/{FIRST}']


def test_a_server_in_trouble_is_no_source_without_lists(server: RangeServer, root: Path) -> None:
    server.statuses = [500]
    with pytest.raises(ConnectionError, match='Try again later'):
        download_v11(root, 'train', ['S1GRD'], 1, source=server.url, progress=False)


def test_a_copy_on_disk_and_tar_archives_are_sources_too(v11_tars: Path, root: Path) -> None:
    shard = 'ssl4eos12_shard_000001.tar'
    (path,) = download_v11(
        root,
        'val',
        ['S1GRD'],
        [shard],
        edition='webdataset',
        source=v11_tars.as_uri(),
        progress=False,
    )
    assert path.read_bytes() == (v11_tars / 'val' / 'S1GRD' / shard).read_bytes()
    assert names(root) == [f'val/S1GRD/{shard}']


def test_hugging_face_tells_hashes_and_files_of_one_commit_come(
    hub: RangeServer, root: Path, v11_copy: Path
) -> None:
    found = download_v11(root, 'train', ['S1GRD', 'S2RGB'], 1, progress=False)
    assert [path.parent.name for path in found] == ['S1GRD', 'S2RGB']
    for name in names(root):
        assert (root / name).read_bytes() == (v11_copy / name).read_bytes()
    assert split_table('train') in names(root)
    sent = [path for _, path, _ in hub.requests]
    assert len(sent) == 4
    hub.start_counting()
    download_v11(root, 'train', ['S1GRD', 'S2RGB'], 1, progress=False, revision=COMMIT)
    assert hub.requests == []


def test_a_file_that_is_not_the_published_one_is_found_by_its_hash(
    hub: RangeServer, root: Path
) -> None:
    target = root / 'train' / 'S1GRD' / FIRST
    target.parent.mkdir(parents=True)
    target.write_bytes(b'mine')
    for checksum in (True, False):
        with pytest.raises(ValueError, match='SHA-256'):
            download_v11(root, 'train', ['S1GRD'], 1, checksum=checksum, progress=False)
    assert target.read_bytes() == b'mine'


def test_a_file_without_a_hash_on_the_hub_is_checked_by_crc(
    hub: RangeServer, root: Path, v11_copy: Path
) -> None:
    path = v11_copy / 'train' / 'S1GRD' / FIRST
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    hub.marks[FIRST] = 'small'
    with pytest.raises(ValueError, match='the CRC of'):
        download_v11(root, 'train', ['S1GRD'], 1, progress=False)


def test_a_disk_without_room_is_named_before_the_first_file(
    hub: RangeServer, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(v11_download.shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match=r'4 files need 0\.0 GB'):
        download_v11(root, 'train', ['S1GRD'], progress=False)
    assert names(root) == []


@pytest.mark.parametrize(
    ('files', 'message'), [(3, '3 files are wanted, .* has 2'), (['x.zarr.zip'], r'no files \[')]
)
def test_files_that_are_not_on_the_hub_are_named(
    hub: RangeServer, root: Path, files: int | list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        download_v11(root, 'train', ['S1GRD'], files, progress=False)
    assert hub.requests == []


def test_files_that_are_not_on_a_server_are_named(server: RangeServer, root: Path) -> None:
    with pytest.raises(ValueError, match='3 files are wanted'):
        download_v11(root, 'train', ['S1GRD'], 3, source=server.url, progress=False)
    with pytest.raises(ConnectionError, match=r'x\.zarr\.zip.*404'):
        download_v11(root, 'train', ['S1GRD'], ['x.zarr.zip'], source=server.url, progress=False)


def test_an_unknown_revision_is_a_clear_error(hub: RangeServer, root: Path) -> None:
    with pytest.raises(ConnectionError, match='revision nope'):
        download_v11(root, 'train', ['S1GRD'], 1, revision='nope', progress=False)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'split': 'test'}, "split 'test'"),
        ({'modalities': ['S3']}, "modality 'S3'"),
        ({'modalities': 'S1GRD'}, 'modality|list at least one'),
        ({'modalities': []}, 'list at least one'),
        ({'modalities': ['S1GRD', 'S1GRD']}, 'each once'),
        ({'edition': 'v1'}, "edition 'v1'"),
        ({'files': 0}, 'how many'),
        ({'files': True}, 'how many'),
        ({'files': 'a.zarr.zip'}, 'how many'),
        ({'files': []}, 'how many'),
        ({'files': ['../a.zarr.zip'], 'source': 'file:///none'}, 'no names of files'),
        ({'files': ['a.tar'], 'source': 'file:///none'}, 'no names of files'),
        ({'source': 'ftp://host'}, 'an address'),
        ({'source': 'juelich', 'edition': 'webdataset'}, 'Zarr edition only'),
        ({'source': 'juelich', 'revision': 'v2'}, 'for Hugging Face'),
    ],
)
def test_an_impossible_argument_raises_before_anything_is_asked(
    root: Path, arguments: dict[str, object], message: str
) -> None:
    given = {'split': 'train', 'modalities': ['S1GRD'], **arguments}
    with pytest.raises(ValueError, match=message):
        download_v11(root, **given)
    assert not root.exists()


@pytest.mark.parametrize(
    'content', [b'', b'\xff\xfe', PARQUET[:-1], PARQUET[:12] + b'PAR1', b'PAR1']
)
def test_a_table_that_is_cut_off_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'a.part'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'cut off|no list'):
        check_document(path)
