"""Guards of `torchgeo_copernicus.archive`: hostile, broken and doubled archives."""

import shutil
import stat
from collections import namedtuple
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from torchgeo_copernicus import archive as archive_module
from torchgeo_copernicus.archive import extract_zip

MEMBERS = {
    'cloud_s2/split/train.csv': b'a,b\n' * 500,
    'cloud_s2/images/0.tif': bytes(range(256)) * 9,
}


def make_zip(path: Path, members: dict[str | ZipInfo, bytes]) -> Path:
    with ZipFile(path, 'w', ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob('*') if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def with_kind(name: str, kind: int) -> ZipInfo:
    member = ZipInfo(name)
    member.create_system = 3
    member.external_attr = (kind | 0o644) << 16
    return member


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return make_zip(tmp_path / 'cloud_s2.zip', dict(MEMBERS))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / 'deep' / 'out'


def test_a_good_archive_is_extracted_whole_and_leaves_no_temporary_folder(
    good: Path, out: Path
) -> None:
    found = extract_zip(str(good), str(out), directory='cloud_s2')
    assert found == out / 'cloud_s2'
    assert tree(out) == MEMBERS
    assert [path.name for path in out.iterdir()] == ['cloud_s2']


def test_rubbish_of_macos_is_skipped_and_empty_folders_are_kept(tmp_path: Path, out: Path) -> None:
    members = {**MEMBERS, '__MACOSX/cloud_s2/._0.tif': b'x', 'cloud_s2/empty/': b''}
    extract_zip(make_zip(tmp_path / 'a.zip', members), out, directory='cloud_s2')
    assert tree(out) == MEMBERS
    assert (out / 'cloud_s2' / 'empty').is_dir()


@pytest.mark.parametrize(
    'name',
    [
        '../evil.txt',
        'cloud_s2/../../evil.txt',
        'cloud_s2/..',
        '__MACOSX/../evil.txt',
        '/evil.txt',
        'C:/evil.txt',
        'cloud_s2\\..\\evil.txt',
        'cloud_s2/a\\b.txt',
    ],
)
def test_a_path_traversal_member_is_refused(tmp_path: Path, out: Path, name: str) -> None:
    path = make_zip(tmp_path / 'a.zip', {**MEMBERS, name: b'evil'})
    with pytest.raises(ValueError, match='refused') as caught:
        extract_zip(path, out, directory='cloud_s2')
    assert repr(name) in str(caught.value)
    assert str(path) in str(caught.value)
    assert list(tmp_path.rglob('*')) == [path]


@pytest.mark.parametrize('name', ['/evil.txt', '//server/share/evil.txt', 'C:/evil.txt', 'C:evil'])
def test_an_absolute_path_is_called_so(tmp_path: Path, out: Path, name: str) -> None:
    with pytest.raises(ValueError, match='its path is absolute'):
        extract_zip(make_zip(tmp_path / 'a.zip', {name: b'x'}), out, directory='cloud_s2')
    assert not out.exists()


def test_a_name_cut_by_a_null_byte_does_not_hide_its_tail(tmp_path: Path, out: Path) -> None:
    path = make_zip(tmp_path / 'a.zip', {'cloud_s2/a.txt?.exe': b'x'})
    path.write_bytes(path.read_bytes().replace(b'a.txt?', b'a.txt\0'))
    with pytest.raises(ValueError, match='null byte'):
        extract_zip(path, out, directory='cloud_s2')
    assert not out.exists()


@pytest.mark.parametrize('kind', [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_special_file_is_refused(tmp_path: Path, out: Path, kind: int) -> None:
    member = with_kind('cloud_s2/link', kind)
    path = make_zip(tmp_path / 'a.zip', {**MEMBERS, member: b'/etc/passwd'})
    with pytest.raises(ValueError, match=r"cloud_s2/link' refused: it is a link"):
        extract_zip(path, out, directory='cloud_s2')
    assert not out.exists()


@pytest.mark.parametrize('name', ['other/a.txt', 'README.md', '.DS_Store', './cloud_s2/b.txt'])
def test_a_member_outside_the_folder_stays_in_the_archive(
    tmp_path: Path, out: Path, name: str
) -> None:
    path = make_zip(tmp_path / 'a.zip', {**MEMBERS, name: b'x'})
    found = extract_zip(path, out, directory='cloud_s2')
    assert sorted(p.name for p in out.iterdir()) == ['cloud_s2']
    assert not (found / 'b.txt').exists()


def test_an_archive_without_the_folder_is_no_success(tmp_path: Path, out: Path) -> None:
    path = make_zip(tmp_path / 'a.zip', {'__MACOSX/x': b'x'})
    with pytest.raises(ValueError, match='no member lies in cloud_s2/'):
        extract_zip(path, out, directory='cloud_s2')
    assert not out.exists()


@pytest.mark.parametrize('directory', ['', '.', '..', '__MACOSX', 'a/b', 'a\\b', '/abs', 'C:'])
def test_a_directory_that_is_no_plain_name_is_refused(
    good: Path, out: Path, directory: str
) -> None:
    with pytest.raises(ValueError, match='plain name'):
        extract_zip(good, out, directory=directory)
    assert not out.exists()


@pytest.mark.parametrize('as_file', [True, False])
def test_an_existing_folder_is_not_overwritten(good: Path, out: Path, as_file: bool) -> None:
    mine = out / 'cloud_s2' if as_file else out / 'cloud_s2' / 'mine.txt'
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match='move it away'):
        extract_zip(good, out, directory='cloud_s2')
    assert list(tree(out).values()) == [b'mine']


@pytest.mark.parametrize('keep', [0, 10, 300])
def test_a_truncated_archive_is_named_and_leaves_nothing(good: Path, out: Path, keep: int) -> None:
    good.write_bytes(good.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r'cloud_s2\.zip is truncated, corrupt'):
        extract_zip(good, out, directory='cloud_s2')
    assert not out.exists()


@pytest.mark.parametrize('stored', [True, False])
def test_flipped_bits_are_found_and_leaves_nothing(tmp_path: Path, out: Path, stored: bool) -> None:
    path = tmp_path / 'a.zip'
    with ZipFile(path, 'w', 0 if stored else ZIP_DEFLATED) as file:
        file.writestr('cloud_s2/whole.txt', b'w' * 100)
        file.writestr('cloud_s2/broken.bin', bytes(range(256)))
    content = bytearray(path.read_bytes())
    # In the first byte of a deflated member these bits are a block type that does not exist.
    content[content.index(b'broken.bin') + len(b'broken.bin')] |= 0b110
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.zip is truncated, corrupt'):
        extract_zip(path, out, directory='cloud_s2')
    assert list(out.iterdir()) == []


def test_an_encrypted_archive_is_named(good: Path, out: Path) -> None:
    content = bytearray(good.read_bytes())
    # Bit 0 of the flags in the local and in the central header.
    for signature, offset in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        content[content.index(signature) + offset] |= 1
    good.write_bytes(content)
    with pytest.raises(ValueError, match=r'cloud_s2\.zip .*encrypted'):
        extract_zip(good, out, directory='cloud_s2')
    assert list(out.iterdir()) == []


def test_an_archive_larger_than_the_disk_is_refused_before_it_is_written(
    good: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple('usage', 'total used free')
    need = sum(map(len, MEMBERS.values()))
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(need, 1, need - 1))
    with pytest.raises(OSError, match=f'needs {need} bytes .* {need - 1} are free'):
        extract_zip(good, out, directory='cloud_s2')
    assert list(out.iterdir()) == []


def test_a_folder_that_another_process_completed_first_is_kept(
    good: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = archive_module._move

    def late_move(source: Path, target: Path) -> Path:
        target.mkdir()
        (target / 'theirs.txt').write_bytes(b'theirs')
        return move(source, target)

    monkeypatch.setattr(archive_module, '_move', late_move)
    assert extract_zip(good, out, directory='cloud_s2') == out / 'cloud_s2'
    assert tree(out) == {'cloud_s2/theirs.txt': b'theirs'}
    assert [path.name for path in out.iterdir()] == ['cloud_s2']


def test_a_file_that_appears_at_the_target_meanwhile_is_not_replaced(
    good: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = archive_module._move

    def late_move(source: Path, target: Path) -> Path:
        target.write_bytes(b'mine')
        return move(source, target)

    monkeypatch.setattr(archive_module, '_move', late_move)
    with pytest.raises(OSError, match='cloud_s2'):
        extract_zip(good, out, directory='cloud_s2')
    assert tree(out) == {'cloud_s2': b'mine'}


def test_a_missing_archive_is_named(tmp_path: Path, out: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'absent\.zip'):
        extract_zip(tmp_path / 'absent.zip', out, directory='cloud_s2')
    assert not out.exists()
