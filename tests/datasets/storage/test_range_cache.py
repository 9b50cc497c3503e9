from __future__ import annotations

import logging
import multiprocessing
import os
from pathlib import Path

import pytest

from torchgeo_copernicus.datasets.storage import range_cache
from torchgeo_copernicus.datasets.storage.range_cache import RangeCache

BODY = bytes(range(256)) * 4


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.is_file())


def test_an_entry_is_found_under_its_whole_key_only(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path, 1 << 20)
    key = ('https://host/a', 10, 77, 0, len(BODY))
    cache.put(key, BODY)
    assert RangeCache(tmp_path, 1 << 20).get(key, len(BODY)) == BODY
    for position in range(len(key)):
        other = (*key[:position], 'x', *key[position + 1 :])
        assert cache.get(other, len(BODY)) is None


@pytest.mark.parametrize('damage', ['flip', 'cut', 'empty', 'longer'])
def test_a_damaged_entry_is_no_answer_and_makes_room_for_a_right_one(
    tmp_path: Path, damage: str
) -> None:
    cache = RangeCache(tmp_path, 1 << 20)
    cache.put(('k',), BODY)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    flipped = whole[:50] + bytes([whole[50] ^ 1]) + whole[51:]
    path.write_bytes(
        {'flip': flipped, 'cut': whole[:-1], 'empty': b'', 'longer': whole + b'x'}[damage]
    )
    assert cache.get(('k',), len(BODY)) is None
    assert entries(tmp_path) == []
    cache.put(('k',), BODY)
    assert cache.get(('k',), len(BODY)) == BODY


def test_the_limit_holds_and_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    limit = 64 * (len(BODY) + 4)
    cache = RangeCache(tmp_path, limit)
    for number in range(200):
        cache.put((number,), BODY)
        if number:
            assert cache.get((0,), len(BODY)) == BODY, 'used every time, and yet removed'
        for age, path in enumerate(sorted(entries(tmp_path), key=lambda p: p.stat().st_mtime_ns)):
            os.utime(path, ns=(age, age))  # Clocks of file systems are coarse.
        assert sum(path.stat().st_size for path in entries(tmp_path)) <= limit
    assert cache.get((1,), len(BODY)) is None
    assert cache.get((199,), len(BODY)) == BODY


def test_an_entry_that_would_push_out_many_is_not_kept(tmp_path: Path) -> None:
    RangeCache(tmp_path, 64 * 1024).put(('k',), bytes(1021))
    assert entries(tmp_path) == []


def test_leftovers_of_a_killed_process_count_and_go(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path, 64 * 2048)
    cache.put(('k',), BODY)
    (path,) = entries(tmp_path)
    left = path.with_name(f'{path.name}.1.1.part')
    left.write_bytes(bytes(64 * 2048))
    os.utime(left, ns=(1, 1))
    RangeCache(tmp_path, 64 * 2048).put(('l',), BODY)
    assert not left.exists()
    assert len(entries(tmp_path)) == 2


def test_a_limit_of_zero_keeps_and_reads_nothing(tmp_path: Path) -> None:
    RangeCache(tmp_path, 1 << 20).put(('k',), BODY)
    cache = RangeCache(tmp_path, 0)
    assert cache.get(('k',), len(BODY)) is None
    cache.put(('l',), BODY)
    assert len(entries(tmp_path)) == 1


def test_a_full_disk_ends_the_keeping_not_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(part: Path, path: Path) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(range_cache.os, 'replace', full)
    cache = RangeCache(tmp_path, 1 << 20)
    with caplog.at_level(logging.WARNING):
        cache.put(('k',), BODY)
        cache.put(('l',), BODY)
    assert len(caplog.records) == 1
    assert 'No space left' in caplog.text
    assert entries(tmp_path) == []


def test_an_entry_of_another_user_is_read_though_it_cannot_be_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = RangeCache(tmp_path, 1 << 20)
    cache.put(('k',), BODY)

    def refuse(path: Path) -> None:
        raise PermissionError(1, 'not yours')

    monkeypatch.setattr(range_cache.os, 'utime', refuse)
    assert cache.get(('k',), len(BODY)) == BODY


def test_place_and_limit_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(range_cache.FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv(range_cache.LIMIT_VARIABLE, raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
    assert RangeCache().folder == tmp_path / 'home' / 'torchgeo_copernicus' / 'ranges'
    assert RangeCache().limit_bytes == range_cache.DEFAULT_LIMIT_BYTES
    monkeypatch.setenv(range_cache.FOLDER_VARIABLE, str(tmp_path / 'mine'))
    monkeypatch.setenv(range_cache.LIMIT_VARIABLE, '123')
    assert (RangeCache().folder, RangeCache().limit_bytes) == (tmp_path / 'mine', 123)
    assert RangeCache(tmp_path, 7).limit_bytes == 7


@pytest.mark.parametrize('limit', ['-1', '10 GB', '1e9'])
def test_a_limit_that_is_no_number_of_bytes_is_refused(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(range_cache.LIMIT_VARIABLE, limit)
    with pytest.raises(ValueError, match='give whole bytes'):
        RangeCache()


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match='give whole bytes'):
        RangeCache(limit_bytes=-1)


def _hammer(folder: Path, limit: int, seed: int) -> None:
    cache = RangeCache(folder, limit)
    for step in range(300):
        number = (step * 7 + seed) % 50
        content = bytes([number]) * 1000
        found = cache.get((number,), 1000)
        if found not in (None, content):
            os._exit(3)
        cache.put((number,), content)


def test_processes_that_write_and_clear_up_at_once_get_right_bytes(tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=_hammer, args=(tmp_path, 64 * 1004, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 64 * 1004
