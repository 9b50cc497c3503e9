"""Tensors found in files of `torch.save` without unpickling; `torch.load` is the reference."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_copernicus.datasets.pretrain.shards.tensor_file import (
    UnsafePickleError,
    read_whole,
    tensor_layout,
)


class Bytes:
    """A file in memory that notes what is read."""

    def __init__(self, content: bytes) -> None:
        self.name, self.size, self.content = 'memory', len(content), content
        self.read = 0

    def read_into(self, offset: int, target: memoryview) -> None:
        if offset < 0 or offset + len(target) > self.size:
            raise ValueError('memory is cut off')
        self.read += len(target)
        target[:] = self.content[offset : offset + len(target)]


def saved(value: object, **options: object) -> Bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return Bytes(buffer.getvalue())


def rewritten(source: Bytes, change: dict[str, bytes | None], compress: bool = False) -> Bytes:
    """Return the archive with other contents of some members."""
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(source.content)) as old, zipfile.ZipFile(buffer, 'w') as new:
        for name in old.namelist():
            content = change.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content, method)
    return Bytes(buffer.getvalue())


def numbers(source: Bytes) -> torch.Tensor:
    """Read a tensor as its layout says."""
    layout = tensor_layout(source)
    assert layout.offset is not None
    count = int(np.prod(layout.shape))
    found = np.frombuffer(source.content, layout.dtype, count, layout.offset)
    return torch.from_numpy(found.reshape(layout.shape).copy())


DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.uint8),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
]


@given(st.lists(st.integers(1, 5), max_size=5), st.sampled_from(DTYPES), st.integers(2, 5))
def test_numbers_lie_where_torch_load_finds_them(
    shape: list[int], dtype: torch.dtype, protocol: int
) -> None:
    tensor = (torch.rand(shape) * 100).to(dtype)
    source = saved(tensor, pickle_protocol=protocol)
    # The safe unpickler of PyTorch knows protocol 2 alone.
    expected = torch.load(io.BytesIO(source.content), weights_only=protocol == 2)
    found = numbers(source)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


def test_a_part_of_a_larger_storage_is_not_taken_for_its_start() -> None:
    tensor = torch.arange(24.0).reshape(4, 6)[2:]
    assert torch.equal(numbers(saved(tensor)), tensor)


def test_a_layout_is_found_without_reading_the_numbers() -> None:
    source = saved(torch.zeros(500_000))
    tensor_layout(source)
    assert source.read < 5000


@pytest.mark.parametrize(
    'make',
    [
        lambda t: saved(t.permute(1, 0, 2)),
        lambda t: saved(t[:, ::2]),
        lambda t: saved(t, _use_new_zipfile_serialization=False),
        lambda t: rewritten(saved(t), {}, compress=True),
    ],
    ids=['permuted', 'strided', 'legacy', 'compressed'],
)
def test_what_does_not_lie_in_order_is_read_whole(make: object) -> None:
    source = make(torch.arange(24, dtype=torch.int16).reshape(2, 3, 4))  # type: ignore[operator]
    expected = torch.load(io.BytesIO(source.content), weights_only=True)
    layout = tensor_layout(source)
    assert layout.offset is None
    assert layout.shape == tuple(expected.shape)
    assert np.array_equal(read_whole(source), expected.numpy())


def test_big_endian_numbers_are_not_taken_for_little_endian() -> None:
    plain = saved(torch.arange(6, dtype=torch.int16))
    swapped = np.arange(6, dtype='>i2').tobytes()
    source = rewritten(plain, {'archive/byteorder': b'big', 'archive/data/0': swapped})
    assert tensor_layout(source).offset is None
    assert read_whole(source).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_file_without_a_byte_order_is_little_endian() -> None:
    tensor = torch.arange(6, dtype=torch.int16)
    assert torch.equal(numbers(rewritten(saved(tensor), {'archive/byteorder': None})), tensor)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('wrap', [lambda b: b, lambda b: {'x': torch.zeros(2), 'y': b}])
def test_a_malicious_pickle_raises_and_runs_nothing(
    tmp_path: Path, new: bool, wrap: object
) -> None:
    target = tmp_path / 'owned'
    content = wrap(Bomb(target))  # type: ignore[operator]
    source = saved(content, _use_new_zipfile_serialization=new)
    for read in (tensor_layout, read_whole):
        with pytest.raises(UnsafePickleError, match='Nothing'):
            read(source)
    assert not target.exists()
    # The bomb is one.
    torch.load(io.BytesIO(source.content), weights_only=False)
    assert target.exists()


@pytest.mark.parametrize(
    'program',
    [
        b'\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.',
        b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.',
        b'\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.',
        b'(X\x04\x00\x00\x00trueios\nsystem\n.',
        b'\x80\x02ctorch._utils\n_rebuild_tensor\n)R.',
        b'\x80\x02ccollections\nOrderedDict\n)\x81}b.',
        b'\x80\x02\x82\x01.',
        b'\x80\x04}\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.',
        b'\x80\x02(K\x01t)R.',
    ],
    ids=[
        'global',
        'stack',
        'object',
        'instance',
        'other rebuild',
        'build',
        'extension',
        'in a dict',
        'tuple',
    ],
)
def test_every_way_to_call_something_is_refused(program: bytes) -> None:
    source = rewritten(saved(torch.zeros(2)), {'archive/data.pkl': program})
    with pytest.raises(UnsafePickleError):
        tensor_layout(source)


def described(**change: object) -> bytes:
    """Return the pickle of a tensor of two numbers, with other opcodes in places."""
    with zipfile.ZipFile(io.BytesIO(saved(torch.zeros(2)).content)) as archive:
        content = archive.read('archive/data.pkl')
    for old, new in change.values():
        assert old in content
        content = content.replace(old, new)
    return content


@pytest.mark.parametrize(
    ('program', 'words'),
    [
        (described(a=(b'K\x02\x85', b'K\x03\x85')), 'damaged'),  # More than there is.
        (described(a=(b'K\x02\x85', b'K\x00\x85')), 'damaged'),  # None.
        (described(a=(b'K\x02t', b'K\x04t')), 'damaged'),  # A storage longer than its member.
        (described(a=(b'cpuq\x04K\x02', b'cpuq\x04K\x02K\x02')), 'no storage'),
        (described(a=(b'K\x00', b'X\x01\x00\x00\x00a')), 'other arguments'),
        (described(a=(b'FloatStorage', b'BFloat16Storage')), 'BFloat16Storage'),
        (described(a=(b'storage', b'astorag')), 'no storage'),
        (described(a=(b'X\x01\x00\x00\x000', b'X\x01\x00\x00\x007')), 'data/7'),
        (b'\x80\x02}.', 'EMPTY_DICT'),
        (b'\x80\x02K\x01.', 'not of one tensor'),
        (b'\x80\x02K\x01t.', 'never began'),
        (b'\x80\x02\x85.', 'fewer parts'),
        (b'\x80\x02h\x09.', 'BINGET'),
        (b'\x80\x02R.', 'REDUCE'),
        (b'\x80\x02', 'exhausted'),
        (b'\xff', 'opcode'),
        (b'\x80\x02' + b'N' * (1 << 17), 'bytes'),
    ],
)
def test_a_damaged_pickle_is_named(program: bytes, words: str) -> None:
    source = rewritten(saved(torch.zeros(2)), {'archive/data.pkl': program})
    with pytest.raises(ValueError, match=words) as caught:
        tensor_layout(source)
    assert 'memory' in str(caught.value)
    assert not isinstance(caught.value, UnsafePickleError)


def test_files_that_are_cut_off_or_something_else_are_named() -> None:
    whole = saved(torch.zeros(100))
    for content in (whole.content[:400], b'', b'\x00' * 600, b'PK\x03\x04' + b'\x00' * 600):
        with pytest.raises(ValueError, match='memory'):
            tensor_layout(Bytes(content))
    with pytest.raises(ValueError, match='holds 0 pickles'):
        tensor_layout(rewritten(whole, {'archive/data.pkl': None}))
    legacy = saved(torch.zeros(100), _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match='memory'):
        tensor_layout(Bytes(legacy.content[:-10]))


def test_a_wrong_directory_is_not_followed() -> None:
    source = saved(torch.zeros(4))
    place = source.content.index(b'archive/data/0') - 30
    broken = source.content[:place] + b'QQQQ' + source.content[place + 4 :]
    with pytest.raises(ValueError, match='not where it should be'):
        tensor_layout(Bytes(broken))


def test_what_is_no_tensor_of_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ({'a': 1}, torch.zeros(2, dtype=torch.complex64), torch.eye(2).to_sparse()):
        with pytest.raises(ValueError, match='wanted a tensor'):
            read_whole(saved(value))
    monkeypatch.setattr(
        'torchgeo_copernicus.datasets.pretrain.shards.tensor_file.LARGEST_BYTES', 100
    )
    with pytest.raises(ValueError, match='more than 100'):
        read_whole(saved(torch.zeros(2)))


@given(st.binary(max_size=60))
def test_no_pickle_crashes_the_parser(program: bytes) -> None:
    source = rewritten(saved(torch.zeros(2)), {'archive/data.pkl': b'\x80\x02' + program})
    try:
        tensor_layout(source)
    except ValueError:
        pass


def test_pickles_of_other_tensors_are_parsed_as_pickle_does() -> None:
    # Names of opcodes come from the standard library; the values it gives are those of its unpickler.
    values = (True, False, 3, 300, 70_000, 1 << 40, 'text', ())
    for protocol in range(2, 6):
        content = pickle.dumps(values, protocol)
        source = rewritten(saved(torch.zeros(2)), {'archive/data.pkl': content})
        with pytest.raises(ValueError, match='not of one tensor'):
            tensor_layout(source)
