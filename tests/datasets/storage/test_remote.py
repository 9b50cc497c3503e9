from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path

import fsspec
import huggingface_hub.constants
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from torchgeo_copernicus.datasets.lookalike.ssl4eo_v11 import make_ssl4eo_v11
from torchgeo_copernicus.datasets.ssl4eo import SSL4EOS12v11
from torchgeo_copernicus.datasets.ssl4eo.v11.layout import file_name
from torchgeo_copernicus.datasets.storage import remote
from torchgeo_copernicus.datasets.storage.byte_source import read
from torchgeo_copernicus.datasets.storage.range_cache import RangeCache
from torchgeo_copernicus.datasets.storage.remote import RemoteFile, RemoteFolder

from .hub_server import HubHandler
from .range_server import RangeServer, serving

BODY = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))
NAME = 'a.zarr.zip'


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(remote, 'BACKOFF_S', 0.0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / 'd').mkdir()
    (tmp_path / 'd' / NAME).write_bytes(BODY)
    (tmp_path / 'd' / 'b.zarr.zip').write_bytes(BODY[:100])
    (tmp_path / 'd' / 'notes.txt').write_text('one\ntwo')
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def folder(server: RangeServer) -> RemoteFolder:
    return RemoteFolder(f'{server.url}/d', RangeCache(limit_bytes=0))


def test_only_the_bytes_that_are_wanted_are_sent(server: RangeServer, folder: RemoteFolder) -> None:
    file = folder.open(NAME)
    server.start_counting()
    assert bytes(read(file, 100_000, 50_000)) == BODY[100_000:150_000]
    assert [entry[2] for entry in server.requests] == ['bytes=100000-149999']
    assert server.sent_bytes == 50_000


def test_headers_that_lie_together_come_with_one_request(
    server: RangeServer, folder: RemoteFolder
) -> None:
    file = folder.open(NAME)
    server.start_counting()
    for offset, length in ((100_000, 16), (100_016, 1600), (99_000, 30), (107_000, 500)):
        assert bytes(read(file, offset, length)) == BODY[offset : offset + length]
    assert len(server.requests) == 1


def test_the_directory_at_the_end_comes_with_one_request(
    server: RangeServer, folder: RemoteFolder
) -> None:
    file = folder.open(NAME)
    server.start_counting()
    for offset in (len(BODY) - 22, len(BODY) - 5000, len(BODY) - 65_000):
        assert bytes(read(file, offset, 20)) == BODY[offset : offset + 20]
    assert len(server.requests) == 1


@pytest.mark.parametrize('offset', [0, 1, 99])
def test_a_file_smaller_than_a_read_ahead_is_read_right(folder: RemoteFolder, offset: int) -> None:
    file = folder.open('b.zarr.zip')
    assert bytes(read(file, offset, 100 - offset)) == BODY[offset:100]
    assert bytes(read(file, 100, 0)) == b''


@pytest.mark.parametrize(('offset', 'length'), [(-1, 2), (299_999, 2), (400_000, 1)])
def test_bytes_beyond_the_end_are_a_named_error(
    folder: RemoteFolder, offset: int, length: int
) -> None:
    with pytest.raises(ValueError, match=f'{NAME} is cut off'):
        read(folder.open(NAME), offset, length)


def test_files_are_listed_with_sizes_and_marks(server: RangeServer, folder: RemoteFolder) -> None:
    first = folder.stamps('.zarr.zip')
    assert {name: size for name, (size, _) in first.items()} == {NAME: 300_000, 'b.zarr.zip': 100}
    assert RemoteFolder(folder.url).stamps('.zarr.zip') == first
    server.marks[NAME] = '"2"'
    changed = RemoteFolder(folder.url).stamps('.zarr.zip')
    assert changed[NAME] != first[NAME]
    assert changed['b.zarr.zip'] == first['b.zarr.zip']
    assert all(0 <= mark < 2**63 for _, mark in changed.values())


def test_a_known_file_is_opened_without_asking_again(
    server: RangeServer, folder: RemoteFolder
) -> None:
    folder.stamps('.zarr.zip')
    server.start_counting()
    assert pickle.loads(pickle.dumps(folder)).open(NAME).size == 300_000
    assert server.requests == []


def test_only_named_files_are_asked_for(server: RangeServer, folder: RemoteFolder) -> None:
    assert list(folder.stamps('.zarr.zip', ['b.zarr.zip', 'gone.zarr.zip'])) == ['b.zarr.zip']
    assert [path for method, path, _ in server.requests if method == 'HEAD'] == ['/d/b.zarr.zip']


def test_a_server_that_lists_no_folder_is_asked_for_each_name(
    server: RangeServer, folder: RemoteFolder
) -> None:
    server.lists_folders = False
    assert folder.stamps('.zarr.zip') == {}
    names = [NAME, 'gone.zarr.zip', 'notes.txt']
    assert list(folder.stamps('.zarr.zip', names)) == [NAME]


def test_a_folder_that_is_not_there_has_no_files(server: RangeServer) -> None:
    assert RemoteFolder(f'{server.url}/none').stamps('.zarr.zip') == {}


def test_a_text_that_is_not_there_is_none_and_one_that_is_comes_whole(folder: RemoteFolder) -> None:
    assert folder.text('notes.txt') == 'one\ntwo'
    assert folder.text('none.txt') is None
    with pytest.raises(ValueError, match='is no text'):
        folder.text(NAME)


def test_an_endless_text_is_refused(folder: RemoteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, '_LARGEST_TEXT_BYTES', 3)
    with pytest.raises(ValueError, match='too many for a list'):
        folder.text('notes.txt')


def test_a_missing_file_is_not_tried_again(server: RangeServer, folder: RemoteFolder) -> None:
    with pytest.raises(FileNotFoundError, match='none is not there'):
        folder.open('none')
    # fsspec asks once more by GET.
    assert len(server.requests) == 2
    with pytest.raises(FileNotFoundError, match='none is not there'):
        folder.fetch('none', 0, 10)
    assert len(server.requests) == 3


@pytest.mark.parametrize('fault', ['statuses', 'cuts'])
def test_a_fault_that_passes_is_tried_again(
    server: RangeServer, folder: RemoteFolder, fault: str
) -> None:
    file = folder.open(NAME)
    if fault == 'statuses':
        server.statuses = [500, 503, 429]
    else:
        server.cuts = [100, 0, 9999]
    assert bytes(read(file, 1000, 10_000)) == BODY[1000:11_000]


@pytest.mark.parametrize('fault', ['statuses', 'cuts'])
def test_a_fault_that_stays_names_the_address(
    server: RangeServer, folder: RemoteFolder, fault: str
) -> None:
    file = folder.open(NAME)
    server.start_counting()
    if fault == 'statuses':
        server.statuses = [503] * remote.ATTEMPTS
    else:
        # aiohttp itself tries a broken connection once more.
        server.cuts = [100] * 2 * remote.ATTEMPTS
    with pytest.raises(ConnectionError, match=f'{server.url}/d/{NAME}.*tries: 5'):
        read(file, 1000, 10_000)


@pytest.mark.parametrize('status', [401, 403])
def test_a_refusal_is_final(server: RangeServer, folder: RemoteFolder, status: int) -> None:
    file = folder.open(NAME)
    server.start_counting()
    server.statuses = [status]
    with pytest.raises(ConnectionError, match=f'{NAME}.*tries: 1.*{status}'):
        read(file, 1000, 10_000)
    assert len(server.requests) == 1


def test_a_dead_server_is_no_missing_file(server: RangeServer, folder: RemoteFolder) -> None:
    server.server_close()
    server.shutdown()
    for ask in (lambda: folder.open(NAME), lambda: folder.stamps(''), lambda: folder.text('a')):
        with pytest.raises(ConnectionError, match=r'Check the address'):
            ask()


def test_a_server_without_ranges_is_named_before_the_whole_file_comes(
    server: RangeServer, folder: RemoteFolder
) -> None:
    server.sends_ranges = False
    with pytest.raises(ConnectionError, match='no parts of files'):
        folder.open(NAME)
    assert server.sent_bytes == 0


def test_a_server_that_sends_the_whole_file_unasked_is_not_believed(
    server: RangeServer, folder: RemoteFolder
) -> None:
    server.sends_ranges = None
    file = folder.open(NAME)
    server.sends_ranges = False
    with pytest.raises(ValueError, match='no parts of files'):
        read(file, 0, 5000)


def test_parts_are_kept_until_the_file_changes(server: RangeServer, tmp_path: Path) -> None:
    def get() -> bytes:
        folder = RemoteFolder(f'{server.url}/d', RangeCache(tmp_path / 'kept', 1 << 30))
        return bytes(read(folder.open(NAME), 5000, 50_000))

    assert get() == BODY[5000:55_000]
    server.start_counting()
    assert get() == BODY[5000:55_000]
    assert server.count('GET') == 0
    (tmp_path / 'd' / NAME).write_bytes(BODY[::-1])
    server.marks[NAME] = '"2"'
    assert get() == BODY[::-1][5000:55_000]


@pytest.mark.parametrize(
    'url',
    [
        '/data',
        'http://',
        'https://host/a?token=1',
        'https://user:secret@host/a',
        'zip://x::http://h/a',
        'nosuch://host/a',
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r'address|cannot be read') as caught:
        RemoteFolder(url)
    assert 'secret' not in str(caught.value)


def test_any_filesystem_of_fsspec_serves() -> None:
    memory = fsspec.filesystem('memory')
    memory.pipe('/ssl4eo_test/d/a.zarr.zip', BODY)
    folder = RemoteFolder('memory://ssl4eo_test/d', RangeCache(limit_bytes=0))
    assert list(folder.stamps('.zarr.zip')) == ['a.zarr.zip']
    assert bytes(read(folder.open('a.zarr.zip'), 7, 5000)) == BODY[7:5007]
    assert folder.text('none') is None
    memory.rm('/ssl4eo_test', recursive=True)


def test_a_filesystem_without_asyncio_does_not_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hugging Face's is one: it would fetch 5 MB for each read.
    (tmp_path / NAME).write_bytes(BODY)
    asked = []
    folder = RemoteFolder(f'file://{tmp_path}', RangeCache(limit_bytes=0))
    system, _ = remote._file_system(folder.url)
    whole = system.cat_file

    def watch(path: str, start: int, end: int, **options: str) -> bytes:
        asked.append(options)
        return whole(path, start, end, **options)

    monkeypatch.setattr(system, 'cat_file', watch)
    assert bytes(read(folder.open(NAME), 7, 5000)) == BODY[7:5007]
    assert asked == [{'cache_type': 'none'}]


def test_hugging_face_lists_a_folder_once_and_sends_the_range_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'val').mkdir()
    (tmp_path / 'val' / NAME).write_bytes(BODY)
    with serving(tmp_path, HubHandler) as hub:
        monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', hub.url)
        template = f'{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
        monkeypatch.setattr(
            huggingface_hub.constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template, raising=False
        )
        url = 'hf://datasets/embed2scale/SSL4EO-S12-v1.1-Zarr/val'
        folder = RemoteFolder(url, RangeCache(limit_bytes=0))
        assert folder.stamps('.zarr.zip')[NAME][0] == len(BODY)
        file = folder.open(NAME)
        hub.start_counting()
        assert bytes(read(file, 7000, 50_000)) == BODY[7000:57_000]
        assert hub.sent_bytes == 50_000
        assert folder.text('none.txt') is None


@pytest.mark.parametrize('broken', [1, 99])
def test_fewer_bytes_than_asked_for_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    (tmp_path / NAME).write_bytes(BODY)
    folder = RemoteFolder(f'file://{tmp_path}', RangeCache(limit_bytes=0))
    system, _ = remote._file_system(folder.url)
    whole, answers = system.cat_file, [b'short'] * broken

    def cut(path: str, start: int, end: int, **options: str) -> bytes:
        return answers.pop() if answers else whole(path, start, end, **options)

    monkeypatch.setattr(system, 'cat_file', cut)
    if broken == 1:
        assert bytes(read(folder.open(NAME), 7, 5000)) == BODY[7:5007]
    else:
        with pytest.raises(ConnectionError, match='5 of 5000 bytes came'):
            read(folder.open(NAME), 7, 5000)


def test_a_missing_file_of_another_scheme_is_missing_whatever_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # s3fs gives the answer of the server as the cause.
    folder = RemoteFolder(f'file://{tmp_path}')
    system, _ = remote._file_system(folder.url)

    def none(path: str, detail: bool) -> list[dict[str, object]]:
        raise FileNotFoundError(path) from OSError('NoSuchBucket')

    monkeypatch.setattr(system, 'ls', none)
    assert folder.stamps('') == {}


@pytest.fixture(scope='module')
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4eo_v11(tmp_path_factory.mktemp('served'), n=4, seed=0, size=48)


def test_remote_places_are_the_local_ones_in_every_kind_of_worker(places: Path) -> None:
    local = SSL4EOS12v11(places, 'train', ['S2L1C', 'S1GRD'])
    with serving(places) as server:
        afar = SSL4EOS12v11(server.url, 'train', ['S2L1C', 'S1GRD'])
        wanted = [local[index]['image'] for index in range(len(local))]
        afar[0]  # A session is open when the workers fork.
        # A pickle is what a spawned worker gets.
        workers = {'fork': (afar, 1), 'pickle': (pickle.loads(pickle.dumps(afar)), 0)}
        for way, (data, count) in workers.items():
            context = way if count else None
            loader = DataLoader(data, None, num_workers=count, multiprocessing_context=context)
            found = [sample['image'] for sample in loader]
            assert len(found) == len(wanted)
            for a, b in zip(wanted, found, strict=True):
                assert all(torch.equal(a[name], b[name]) for name in a), way
        assert torch.equal(afar[1]['image']['S1GRD'], wanted[1]['S1GRD'])


def _read_into_pipe(file: RemoteFile, pipe: multiprocessing.connection.Connection) -> None:
    pipe.send(bytes(read(file, 1000, 5000)))


def test_a_fork_neither_uses_nor_breaks_the_connection_of_its_parent(
    server: RangeServer, folder: RemoteFolder
) -> None:
    file = folder.open(NAME)
    assert bytes(read(file, 0, 5000)) == BODY[:5000]
    context = multiprocessing.get_context('fork')
    for _ in range(2):
        here, there = context.Pipe()
        process = context.Process(target=_read_into_pipe, args=(file, there))
        process.start()
        assert here.poll(20)
        assert here.recv() == BODY[1000:6000]
        process.join(20)
        assert bytes(read(file, 6000, 5000)) == BODY[6000:11_000]


def test_few_bytes_more_than_needed_are_moved(tmp_path: Path) -> None:
    root = make_ssl4eo_v11(tmp_path, n=9, seed=0, size=264, per_file=8, modalities=['S2L1C'])
    path = root / 'train' / 'S2L1C' / file_name('train', 1)
    with serving(root) as server:
        data = SSL4EOS12v11(server.url, 'train', 'S2L1C', dates='each')
        target = np.empty((13, 264, 264), np.float32)
        server.start_counting()
        for item in (5, 14, 23, 28):
            place, (date,) = data.place_and_dates(item)
            data.read_into('S2L1C', place, date, target)
    needed = path.stat().st_size / len(data) * 4
    # Whole blocks of 256 KiB, and a table for each of four chunks: 1.2 at best with so few reads.
    assert server.sent_bytes / needed < 1.5
