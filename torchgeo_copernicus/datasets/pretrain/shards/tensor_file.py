"""Where the numbers of a tensor lie in a file of `torch.save`, so that parts of them can be read.

Such a file is a zip archive of a pickle and of the plain numbers. A pickle is a program, and this one is not
run: its opcodes are read, and only those that describe a tensor are known. Nothing it names is ever called
or imported.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchgeo_copernicus.datasets.storage.byte_source import ByteSource, read
from torchgeo_copernicus.datasets.storage.zip_members import Member, members_of

_STORAGES = {
    'FloatStorage': '<f4',
    'DoubleStorage': '<f8',
    'HalfStorage': '<f2',
    'ByteStorage': '|u1',
    'CharStorage': '|i1',
    'ShortStorage': '<i2',
    'IntStorage': '<i4',
    'LongStorage': '<i8',
}
_REBUILD, _ORDERED_DICT = 'torch._utils _rebuild_tensor_v2', 'collections OrderedDict'
_TUPLES = {'EMPTY_TUPLE': 0, 'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
# Opcodes that import or call, of which a tensor needs none.
_CALLS = ('INST', 'OBJ', 'NEWOBJ', 'NEWOBJ_EX', 'BUILD', 'EXT1', 'EXT2', 'EXT4')
_ZIP = b'PK\x03\x04'
# What torch.save wrote before it made zip archives: pickles of a magic number, a version, and the rest.
_LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_LOCAL_HEADER = struct.Struct('<4s5H3I2H')
_LARGEST_PICKLE_BYTES = 1 << 16
_REFUSED = 'Nothing of it was run; do not use the file.'
#: Above this a tensor is not read whole into memory: its size may be a lie.
LARGEST_BYTES = 1 << 31


class UnsafePickleError(ValueError):
    """A file asks to import or call something; nothing was."""


@dataclass(frozen=True)
class TensorLayout:
    """A tensor whose numbers lie in a file one after the other.

    Attributes:
        shape: Its shape.
        dtype: Its type, little-endian.
        offset: First byte in the file, or None where it cannot be read in parts (see `read_whole`).
    """

    shape: tuple[int, ...]
    dtype: str
    offset: int | None


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Mark:
    """Start of a tuple on the stack."""


def tensor_layout(source: ByteSource) -> TensorLayout:
    """Find the numbers of a tensor that `torch.save` wrote.

    Args:
        source: The file.

    Raises:
        UnsafePickleError: If it names anything but a tensor.
        ValueError: If it is cut off, damaged, or holds something else than one tensor.
        OSError: If it cannot be read.
    """
    start = bytes(read(source, 0, min(len(_LEGACY), source.size)))
    if start == _LEGACY:
        return _whole_layout(source)
    if not start.startswith(_ZIP):
        raise ValueError(f'{source.name} is damaged, or not written by torch.save.')
    members = members_of(source)
    pickles = [name for name in members if name.endswith('/data.pkl')]
    if len(pickles) != 1:
        raise ValueError(f'{source.name} holds {len(pickles)} pickles; wanted one tensor.')
    prefix = pickles[0][: -len('data.pkl')]
    if not members[pickles[0]].stored:
        return _whole_layout(source)
    tensor = _described(_content(source, pickles[0], members[pickles[0]]), source.name)
    order = members.get(f'{prefix}byteorder')
    # Files of PyTorch below 2.1 do not say; those are of little-endian machines.
    little = order is None or _content(source, f'{prefix}byteorder', order) == b'little'
    numbers = f'{prefix}data/{tensor.storage.key}'
    if numbers not in members:
        raise ValueError(f'{source.name} is damaged: it has no {numbers}.')
    size = np.dtype(tensor.storage.dtype).itemsize
    count = math.prod(tensor.shape)
    member = members[numbers]
    last = tensor.first + sum(
        (n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)
    )
    if (
        not count
        or last >= tensor.storage.count
        or tensor.storage.count * size != member.plain_size
    ):
        raise ValueError(
            f'{source.name} is damaged: a tensor of shape {tensor.shape} from {tensor.storage.count} '
            f'numbers, and {member.plain_size} bytes of them.'
        )
    if not (little and member.stored and _is_dense(tensor)):
        return _whole_layout(source)
    offset = _start(source, numbers, member) + tensor.first * size
    return TensorLayout(tensor.shape, tensor.storage.dtype, offset)


def read_whole(source: ByteSource) -> NDArray[np.generic]:
    """Read a tensor that cannot be read in parts: compressed, big-endian, strided, or of an old torch.

    Raises:
        UnsafePickleError: If it names anything that PyTorch does not hold for safe.
        ValueError: If it is damaged, too large, or not a tensor of real numbers.
        OSError: If it cannot be read.
    """
    if source.size > LARGEST_BYTES:
        raise ValueError(f'{source.name} has {source.size} bytes, more than {LARGEST_BYTES}.')
    # Here, because all else is read without it, and it takes seconds.
    import torch

    content = io.BytesIO(read(source, 0, source.size))
    try:
        found = torch.load(content, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafePickleError(
            f'{source.name} is not only a tensor, or damaged ({str(error).splitlines()[0]}). {_REFUSED}'
        ) from error
    except (RuntimeError, EOFError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f'{source.name} is damaged: {error}.') from error
    if not isinstance(found, torch.Tensor) or found.is_complex() or found.layout != torch.strided:
        raise ValueError(f'{source.name} holds {type(found).__name__}, wanted a tensor of numbers.')
    values: NDArray[np.generic] = found.detach().contiguous().numpy()
    return values


def _whole_layout(source: ByteSource) -> TensorLayout:
    values = read_whole(source)
    return TensorLayout(values.shape, values.dtype.str, None)


def _is_dense(tensor: _Tensor) -> bool:
    """Return whether the numbers lie one after the other; strides of axes of one do not matter."""
    step = 1
    for length, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if length > 1 and stride != step:
            return False
        step *= length
    return True


def _start(source: ByteSource, name: str, member: Member) -> int:
    """Return the first byte of a stored member, and check that it is in the file."""
    header = read(source, member.header, _LOCAL_HEADER.size)
    signature, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    offset = member.header + len(header) + int(name_bytes) + int(extra_bytes)
    if signature != _ZIP or offset + member.size > source.size:
        raise ValueError(f'{source.name} is damaged: {name} is not where it should be.')
    return offset


def _content(source: ByteSource, name: str, member: Member) -> bytes:
    if member.size > _LARGEST_PICKLE_BYTES:
        raise ValueError(
            f'{source.name}: {name} has {member.size} bytes; a tensor has a few hundred.'
        )
    return bytes(read(source, _start(source, name, member), member.size))


def _described(content: bytes, where: str) -> _Tensor:
    """Return the tensor that a pickle describes."""
    try:
        return _parse(content)
    except UnsafePickleError as error:
        raise UnsafePickleError(f'{where}: {error}') from None
    except ValueError as error:
        raise ValueError(f'{where} is damaged, or not a plain tensor: {error}') from None


# Tensors of one shape have the same pickle, and a shard has hundreds.
@lru_cache(maxsize=1024)
def _parse(content: bytes) -> _Tensor:
    """Read the opcodes of a pickle.

    Raises:
        UnsafePickleError: If it imports or calls something else.
        ValueError: If it is no pickle, or of something else.
    """
    stack: list[object] = []
    memo: dict[int, object] = {}
    operations = [(op.name, argument) for op, argument, _ in pickletools.genops(content)]
    # All names first: what is unsafe shall not pass for damaged because something before it is odd.
    for name, argument in operations:
        if name in _CALLS:
            raise UnsafePickleError(f'its pickle has a {name}, which no tensor needs. {_REFUSED}')
        if name == 'GLOBAL' and not _is_storage(str(argument)):
            _known(str(argument))
    for name, argument in operations:
        if name in ('PROTO', 'FRAME'):
            continue
        if name == 'STOP':
            break
        if name == 'GLOBAL':
            stack.append(_known(str(argument)))
        elif name == 'STACK_GLOBAL' and len(stack) >= 2:
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(f'{module} {attribute}'))
        elif name == 'MEMOIZE' and stack:
            memo[len(memo)] = stack[-1]
        elif name == 'MARK':
            stack.append(_Mark())
        elif name in ('BINUNICODE', 'SHORT_BINUNICODE', 'BININT', 'BININT1', 'BININT2', 'LONG1'):
            stack.append(argument)
        elif name in ('NEWFALSE', 'NEWTRUE'):
            stack.append(name == 'NEWTRUE')
        elif name in ('BINPUT', 'LONG_BINPUT') and stack and isinstance(argument, int):
            memo[argument] = stack[-1]
        elif name in ('BINGET', 'LONG_BINGET') and argument in memo:
            stack.append(memo[argument])
        elif name in _TUPLES:
            _pack(stack, len(stack) - _TUPLES[name])
        elif name == 'TUPLE':
            marks = [place for place, value in enumerate(stack) if isinstance(value, _Mark)]
            if not marks:
                raise ValueError('a tuple ends that never began.')
            _pack(stack, marks[-1] + 1)
            del stack[-2]
        elif name == 'BINPERSID' and stack:
            stack.append(_storage(stack.pop()))
        elif name == 'REDUCE' and len(stack) >= 2:
            arguments = stack.pop()
            stack.append(_result(stack.pop(), arguments))
        elif any(other == 'STACK_GLOBAL' for other, _ in operations):
            raise UnsafePickleError(f'its pickle has an unexpected {name}, and names. {_REFUSED}')
        else:
            raise ValueError(f'its pickle has an unexpected {name}.')
    if len(stack) != 1 or not isinstance(stack[0], _Tensor):
        raise ValueError('its pickle is not of one tensor.')
    return stack[0]


def _known(name: str) -> _Global:
    module, _, attribute = name.partition(' ')
    if name in (_REBUILD, _ORDERED_DICT) or (module == 'torch' and attribute in _STORAGES):
        return _Global(name)
    if _is_storage(name):
        raise ValueError(f'numbers of {attribute} are not read; allowed: {list(_STORAGES)}.')
    raise UnsafePickleError(
        f'its pickle names {module}.{attribute}, which no tensor needs. {_REFUSED}'
    )


def _is_storage(name: str) -> bool:
    return name.startswith('torch ') and name.endswith('Storage')


def _pack(stack: list[object], start: int) -> None:
    if start < 0 or any(isinstance(value, _Mark) for value in stack[start:]):
        raise ValueError('a tuple has fewer parts than it says.')
    stack[start:] = [tuple(stack[start:])]


def _storage(identity: object) -> _Storage:
    match identity:
        case ('storage', _Global(name=name), str(key), str(), int(count)) if (
            name.startswith('torch ') and key.isdecimal() and count >= 0
        ):
            return _Storage(_STORAGES[name.partition(' ')[2]], key, count)
    raise ValueError('its pickle describes no storage of a tensor.')


def _result(function: object, arguments: object) -> object:
    """Return what a call of the pickle stands for; the call is not made."""
    match function, arguments:
        case _Global(name='collections OrderedDict'), ():
            return ()
        case (
            _Global(name='torch._utils _rebuild_tensor_v2'),
            (_Storage() as storage, int(first), tuple(shape), tuple(strides), bool(), ()),
        ) if len(shape) == len(strides) and all(
            isinstance(n, int) and n >= 0 for n in (first, *shape, *strides)
        ):
            return _Tensor(storage, first, shape, strides)
    if isinstance(function, _Global):
        raise ValueError(
            f'its pickle calls {function.name.replace(" ", ".")} with other arguments.'
        )
    raise UnsafePickleError(f'its pickle calls something that is no function. {_REFUSED}')
