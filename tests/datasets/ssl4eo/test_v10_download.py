"""Archives of SSL4EO-S12 v1.0: parts as one stream, verified, and nothing that leads elsewhere."""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torchgeo.datasets import SSL4EOS12, DatasetNotFoundError

from torchgeo_copernicus import download
from torchgeo_copernicus.datasets.lookalike.ssl4eo_v10 import make_ssl4eo_v10
from torchgeo_copernicus.datasets.ssl4eo.v10 import download as v10_download
from torchgeo_copernicus.datasets.ssl4eo.v10.dataset import SSL4EOS12v10
from torchgeo_copernicus.datasets.ssl4eo.v10.download import RELEASES, Release, extract

NAME = 's2_l1c'
PARTS = 3


class Handler(SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ssl4eo_v10(tmp_path_factory.mktemp('v10'), 2, 0, 12)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, 'BACKOFF_S', 0.0)
    for name in ('no_proxy', 'NO_PROXY'):
        monkeypatch.setenv(name, '*')


def archived(folder: Path, top: str) -> bytes:
    """Return a tar.gz of a folder under a name, with what macOS adds to archives."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        archive.add(folder, top)
        note = tarfile.TarInfo(f'{top}/0000001/._scene'.strip('/'))
        archive.addfile(note, io.BytesIO())
    return stream.getvalue()


def split(content: bytes, folder: Path, parts: int = PARTS) -> Release:
    """Write an archive as parts and return its declaration."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(content) // parts)
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    release = Release(NAME, tuple(hashlib.sha256(piece).hexdigest() for piece in pieces))
    for (name, _), piece in zip(release.files(), pieces, strict=True):
        (folder / name).write_bytes(piece)
    return release


@pytest.fixture
def release(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Declares a small archive, whose parts lie in `<tmp_path>/host`."""
    host = tmp_path / 'host' / v10_download._REVISION / NAME
    small = split(archived(original / 's2c', 's2c'), host)
    monkeypatch.setitem(RELEASES, 'S2L1C', small)
    return small


@pytest.fixture
def asked(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Runs a host of the parts, and lists what was asked of it."""
    Handler.asked = []
    handler = functools.partial(Handler, directory=str(tmp_path / 'host'))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        monkeypatch.setattr(v10_download, '_HOST', f'http://127.0.0.1:{server.server_port}')
        yield Handler.asked
        server.shutdown()
        thread.join()


def parts_of(release: Release, source: Path, target: Path) -> list[Path]:
    """Copy the parts to where the dataset looks for them."""
    target.mkdir(parents=True)
    for name, _ in release.files():
        (target / name).write_bytes((source / name).read_bytes())
    return [target / name for name, _ in release.files()]


@pytest.fixture
def parts(release: Release, tmp_path: Path) -> list[Path]:
    host = tmp_path / 'host' / v10_download._REVISION / NAME
    return parts_of(release, host, tmp_path / 'data')


def test_the_parts_are_those_of_torchgeo() -> None:
    for modality, split_name in (('S1GRD', 's1'), ('S2L1C', 's2c'), ('S2L2A', 's2a')):
        release = RELEASES[modality]  # type: ignore[index]
        suffixes = list(SSL4EOS12.checksums[split_name])
        assert [name.split('.part')[1] for name, _ in release.files()] == suffixes
        url = SSL4EOS12.url.format(SSL4EOS12.filenames[split_name], 'ab')
        assert release.url(release.files()[1][0]) == url
        digests = list(SSL4EOS12.checksums[split_name].values())
        # SHA-256 from TorchGeo 0.10 on, MD5 before.
        if len(digests[0]) == 64:
            assert list(release.sha256) == digests
        assert len(set(release.sha256)) == len(digests)


def test_a_download_is_extracted_without_a_joined_copy(
    original: Path, asked: list[str], release: Release, tmp_path: Path
) -> None:
    root = tmp_path / 'data'
    with pytest.raises(DatasetNotFoundError):
        SSL4EOS12v10(root)
    assert not root.exists()
    dataset = SSL4EOS12v10(root, download=True)
    wanted = SSL4EOS12v10(original)
    assert dataset.ids.tolist() == wanted.ids.tolist()
    assert torch.equal(dataset[1]['image'], wanted[1]['image'])
    names = {name for name, _ in release.files()}
    left = {path.name for path in root.iterdir() if not path.name.endswith('.lock')}
    assert left == {'s2c', *names}
    assert not list(root.rglob('._*'))
    count = len(asked)
    assert count == PARTS
    SSL4EOS12v10(root, download=True)
    assert len(asked) == count


def test_an_interrupted_download_goes_on_and_keeps_whole_parts(
    asked: list[str], parts: list[Path]
) -> None:
    content = parts[1].read_bytes()
    parts[1].unlink()
    assert len(SSL4EOS12v10(parts[0].parent, download=True)) == 2
    assert [path.split('/')[-1] for path in asked] == [parts[1].name]
    assert parts[1].read_bytes() == content


def test_parts_that_are_there_need_no_download(parts: list[Path]) -> None:
    assert len(SSL4EOS12v10(parts[0].parent)) == 2


def test_an_incomplete_archive_is_not_extracted(parts: list[Path], release: Release) -> None:
    parts[2].unlink()
    with pytest.raises(DatasetNotFoundError):
        SSL4EOS12v10(parts[0].parent)
    with pytest.raises(ValueError, match='partac'):
        extract(release.files(), parts[0].parent, 's2c', checksum=True)
    assert not (parts[0].parent / 's2c').exists()


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('part', range(PARTS))
def test_a_damaged_part_is_named_and_leaves_nothing(parts: list[Path], part: int) -> None:
    root = parts[0].parent
    flipped(parts[part])
    with pytest.raises(ValueError, match=f'{parts[part].name} has SHA-256'):
        SSL4EOS12v10(root)
    assert {path.name for path in root.iterdir()} == {path.name for path in parts}


def test_a_damaged_part_is_found_by_its_compression_too(parts: list[Path]) -> None:
    flipped(parts[1])
    with pytest.raises(ValueError, match='cut off or damaged'):
        SSL4EOS12v10(parts[0].parent, checksum=False)
    assert not (parts[0].parent / 's2c').exists()


def test_trailing_bytes_are_verified_too(parts: list[Path]) -> None:
    # The archive ends before; only the hash tells.
    with parts[2].open('ab') as file:
        file.write(b'\0' * 10)
    with pytest.raises(ValueError, match='partac has SHA-256'):
        SSL4EOS12v10(parts[0].parent)


def test_another_archive_is_taken_when_trusted(original: Path, parts: list[Path]) -> None:
    other = archived(original / 's2c', 'somewhere/else')
    split(other, parts[0].parent)
    with pytest.raises(ValueError, match='SHA-256'):
        SSL4EOS12v10(parts[0].parent)
    assert len(SSL4EOS12v10(parts[0].parent, checksum=False)) == 2


def member(name: str, **changes: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(entry, key, value)
    return entry


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (member('../0000001/scene/B2.tif'), 'leads out'),
        (member('0000001/../../B2.tif'), 'leads out'),
        (member('/etc/0000001/scene/B2.tif'), 'leads out'),
        (member('0000001/sc\\ene/B2.tif'), 'leads out'),
        (member('C:/0000001/scene/B2.tif'), 'leads out'),
        (member('0000001/scene/B2.tif', type=tarfile.SYMTYPE, linkname='/etc/passwd'), 'link'),
        (member('0000001/scene/B2.tif', type=tarfile.LNKTYPE, linkname='other'), 'link'),
        (member('0000001/scene/B2.tif', type=tarfile.FIFOTYPE), 'special'),
    ],
)
def test_a_dangerous_member_is_refused(
    tmp_path: Path, entry: tarfile.TarInfo, message: str
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        archive.addfile(member('0000001/scene/B3.tif'))
        archive.addfile(entry)
    root = tmp_path / 'data'
    release = split(stream.getvalue(), root, 1)
    with pytest.raises(ValueError, match=message):
        extract(release.files(), root, 's2c', checksum=True)
    assert [path.name for path in root.iterdir()] == [f'{NAME}.tar.gz.partaa']
    assert [path.name for path in tmp_path.iterdir()] == ['data']


@pytest.mark.parametrize(
    ('names', 'message'),
    [([], 'holds no place'), (['0000001/scene/B2.tif'] * 2, 'twice'), (['README'], 'no place')],
)
def test_an_odd_archive_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        for name in names:
            archive.addfile(member(name))
    release = split(stream.getvalue(), tmp_path, 1)
    with pytest.raises(ValueError, match=message):
        extract(release.files(), tmp_path, 's2c', checksum=True)
    assert not (tmp_path / 's2c').exists()


def test_other_users_may_read_what_was_extracted(parts: list[Path]) -> None:
    SSL4EOS12v10(parts[0].parent)
    reference = parts[0].parent / 'plain'
    reference.mkdir()
    folder = parts[0].parent / 's2c'
    assert folder.stat().st_mode == reference.stat().st_mode


def test_a_folder_that_came_meanwhile_is_left_alone(parts: list[Path], release: Release) -> None:
    root = parts[0].parent
    (root / 's2c').mkdir()
    (root / 's2c' / 'mine').write_text('x')
    v10_download.obtain(release, root, 's2c', download=False, checksum=True)
    assert [path.name for path in (root / 's2c').iterdir()] == ['mine']
