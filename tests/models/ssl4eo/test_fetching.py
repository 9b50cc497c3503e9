"""A file is downloaded once, whole, from where it is, and no other is taken for it later."""

from __future__ import annotations

import hashlib
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from torchgeo_copernicus.models.ssl4eo import fetching, google_drive
from torchgeo_copernicus.models.ssl4eo.fetching import fetch_released, path_of
from torchgeo_copernicus.models.ssl4eo.google_drive import fetch_from_drive
from torchgeo_copernicus.models.ssl4eo.pinned_hash import check_sha256, pin_of, verify
from torchgeo_copernicus.models.ssl4eo.source import GoogleDriveFile, HuggingFaceFile

CONTENT = b'PK\x03\x04 weights'
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b'other').hexdigest()
ON_HUB = HuggingFaceFile('backbone', 'me/model', 'hub.pth', 'abc', SHA256[:8])
UNPINNED = HuggingFaceFile('full', 'me/model', 'unpinned.pth')
ON_DRIVE = GoogleDriveFile('full', 'x' * 33, 'drive.pth')


@pytest.fixture
def server(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for Hugging Face; its answers can be changed."""
    (tmp_path / 'served').write_bytes(CONTENT)
    stated = SimpleNamespace(etag=SHA256, size=len(CONTENT), urls=[], asked=0)

    def metadata(url: str) -> SimpleNamespace:
        stated.asked += 1
        stated.urls.append(url)
        return stated

    original = fetching.fetch

    def fetch(url: str, path: Path, **options: object) -> Path:
        stated.options = options
        return original((tmp_path / 'served').as_uri(), path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fetching, 'get_hf_file_metadata', metadata)
    monkeypatch.setattr(fetching, 'fetch', fetch)
    return stated


def test_the_first_download_is_verified_logged_and_pinned(
    server: SimpleNamespace, hub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        path = fetch_released([UNPINNED], progress=False)
    assert path == hub / 'unpinned.pth'
    assert path.read_bytes() == CONTENT
    assert SHA256 in caplog.text
    # As `sha256sum --check` reads it.
    assert pin_of(path).read_text() == f'{SHA256}  unpinned.pth\n'
    assert server.options == {'sha256': SHA256, 'size_bytes': len(CONTENT), 'progress': False}
    assert server.urls[0].endswith('/me/model/resolve/main/unpinned.pth')
    caplog.clear()
    with caplog.at_level(logging.INFO):
        fetch_released([UNPINNED])
    assert server.asked == 1
    assert caplog.text == ''


def test_a_cache_that_cannot_be_written_warns_that_changes_go_unnoticed(
    hub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (hub / 'unpinned.pth').write_bytes(CONTENT)
    pin_of(hub / 'unpinned.pth').symlink_to(hub / 'nowhere' / 'x')
    assert fetch_released([UNPINNED]) == hub / 'unpinned.pth'
    assert 'could not be kept' in caplog.text


def test_a_file_whose_hash_is_given_needs_no_pin(tmp_path: Path) -> None:
    (tmp_path / 'mine.pth').write_bytes(CONTENT)
    assert verify(tmp_path / 'mine.pth', sha256=SHA256) == SHA256
    assert not pin_of(tmp_path / 'mine.pth').exists()


def test_a_file_that_changed_since_is_not_taken(server: SimpleNamespace) -> None:
    path = fetch_released([UNPINNED], progress=False)
    path.write_bytes(b'other')
    with pytest.raises(ValueError, match=rf'{OTHER}, but {SHA256} is written in .*\.sha256'):
        fetch_released([UNPINNED])


def test_a_hash_the_user_knows_is_demanded(server: SimpleNamespace, hub: Path) -> None:
    with pytest.raises(ValueError, match=f'expected SHA-256 {OTHER}'):
        fetch_released([UNPINNED], sha256=OTHER, progress=False)
    assert not (hub / 'unpinned.pth').exists()
    path = fetch_released([UNPINNED], sha256=SHA256.upper(), progress=False)
    with pytest.raises(ValueError, match=f'but {OTHER} is what you gave'):
        fetch_released([UNPINNED], sha256=OTHER)
    assert path.exists()


def test_a_hash_written_beforehand_is_demanded(server: SimpleNamespace, hub: Path) -> None:
    pin_of(hub / 'unpinned.pth').write_text(OTHER)
    with pytest.raises(ValueError, match=f'expected SHA-256 {OTHER}'):
        fetch_released([UNPINNED], progress=False)


def test_published_digits_are_demanded_of_the_server_and_of_files_placed_by_hand(
    server: SimpleNamespace, hub: Path
) -> None:
    server.etag = OTHER
    with pytest.raises(
        ConnectionError, match=f'states the hash .{OTHER}., wanted .* {SHA256[:8]!r}'
    ):
        fetch_released([ON_HUB], progress=False)
    (hub / 'hub.pth').write_bytes(b'other')
    with pytest.raises(ValueError, match=f'but {SHA256[:8]} are the first digits published'):
        fetch_released([ON_HUB])
    (hub / 'hub.pth').write_bytes(CONTENT)
    assert fetch_released([ON_HUB]) == hub / 'hub.pth'


@pytest.mark.parametrize('etag', [None, 'W/"123"', 'a' * 40])
def test_a_server_that_states_no_hash_is_refused(
    etag: str | None, server: SimpleNamespace, hub: Path
) -> None:
    server.etag = etag
    with pytest.raises(ConnectionError, match=r'Put the file at .*unpinned\.pth by hand'):
        fetch_released([UNPINNED], progress=False)
    assert list(hub.iterdir()) == []


def test_without_network_it_says_which_files_to_put_where(hub: Path) -> None:
    with pytest.raises(ConnectionError) as caught:
        fetch_released([ON_HUB, ON_DRIVE])
    for text in (ON_HUB.url, hub / 'hub.pth', ON_DRIVE.url, hub / 'drive.pth'):
        assert str(text) in str(caught.value)
    with pytest.raises(ConnectionError, match=r'unpinned\.pth'):
        fetch_released([UNPINNED])


def test_any_file_that_is_there_is_taken_before_a_download(hub: Path) -> None:
    path_of(ON_DRIVE).write_bytes(CONTENT)
    assert fetch_released([ON_HUB, ON_DRIVE]) == hub / 'drive.pth'


@pytest.mark.parametrize('value', ['abc', 'g' * 64, 5, ''])
def test_what_is_no_hash_is_refused(value: object, hub: Path) -> None:
    with pytest.raises(ValueError, match='wanted the 64 hexadecimal digits'):
        check_sha256(value, 'sha256')
    with pytest.raises(ValueError, match='sha256'):
        fetch_released([UNPINNED], sha256=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(('text', 'message'), [('', 'is empty'), ('hello', 'is .hello.; wanted')])
def test_a_pin_that_is_no_hash_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / 'x.pth'
    path.write_bytes(CONTENT)
    pin_of(path).write_text(text)
    with pytest.raises(ValueError, match=rf'x\.pth\.sha256 {message}'):
        verify(path)


class _Drive(ModuleType):
    """Stands for gdown."""

    def __init__(self, content: bytes | None, error: type[Exception] | None = None) -> None:
        super().__init__('gdown')
        self.content, self.error, self.calls = content, error, []
        self.exceptions = SimpleNamespace(DownloadError=type('DownloadError', (Exception,), {}))

    def download(self, id: str, output: str, quiet: bool) -> str | None:
        self.calls.append((id, output, quiet))
        if self.error is not None:
            raise self.error('too many')
        if self.content is not None:
            Path(output).write_bytes(self.content)
        return output


@pytest.fixture
def drive(hub: Path, monkeypatch: pytest.MonkeyPatch) -> _Drive:
    module = _Drive(CONTENT)
    monkeypatch.setitem(sys.modules, 'gdown', module)
    monkeypatch.setattr(fetching, 'fetch_from_drive', fetch_from_drive)
    return module


def test_a_file_of_google_drive_arrives_and_is_pinned(drive: _Drive, hub: Path) -> None:
    assert fetch_released([ON_DRIVE], progress=False) == hub / 'drive.pth'
    assert drive.calls == [('x' * 33, str(hub / 'drive.pth.part'), True)]
    assert pin_of(hub / 'drive.pth').exists()
    assert not (hub / 'drive.pth.part').exists()
    fetch_released([ON_DRIVE])
    assert len(drive.calls) == 1


@pytest.mark.parametrize('content', [b'<!DOCTYPE html> quota', b'', None])
def test_a_page_about_quotas_is_not_taken_for_a_checkpoint(
    content: bytes | None, drive: _Drive, hub: Path
) -> None:
    drive.content = content
    with pytest.raises(ConnectionError, match=r'sent something else.*download https://drive'):
        fetch_released([ON_DRIVE], progress=False)
    assert {path.name for path in hub.iterdir()} == {'drive.pth.lock'}


@pytest.mark.parametrize('kind', [OSError, None])
def test_a_failed_download_says_what_to_do(
    kind: type[Exception] | None, drive: _Drive, hub: Path
) -> None:
    drive.error = kind or drive.exceptions.DownloadError
    with pytest.raises(ConnectionError, match=r'\(too many\).*put it at .*drive\.pth'):
        fetch_released([ON_DRIVE])


def test_without_gdown_the_error_says_how_to_get_it(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'gdown', None)
    with pytest.raises(ConnectionError) as caught:
        fetch_from_drive(ON_DRIVE, hub / 'drive.pth')
    for text in ('pip install "torchgeo-copernicus[gdrive]"', ON_DRIVE.url, hub / 'drive.pth'):
        assert str(text) in str(caught.value)


def test_a_second_process_does_not_download_again(
    drive: _Drive, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lock:
        def __init__(self, path: str) -> None:
            pass

        def __enter__(self) -> None:
            (hub / 'drive.pth').write_bytes(CONTENT)  # The first process was done.

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(google_drive, 'FileLock', Lock)
    fetch_from_drive(ON_DRIVE, hub / 'drive.pth')
    assert drive.calls == []


def test_files_of_old_and_new_torch_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    for new in (True, False):
        torch.save({'a': torch.ones(1)}, tmp_path / 'x', _use_new_zipfile_serialization=new)
        assert google_drive._begins_like_a_checkpoint(tmp_path / 'x')
