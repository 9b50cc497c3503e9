"""Names of shards: the published ones, and brace patterns such as `example-{000000..000009}.tar`.

Patterns are expanded here and never by a shell, and only files and addresses are let through: webdataset
runs what stands behind `pipe:`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# The revision that TorchGeo pins, too.
_HUB = 'hf://datasets/wangyi111/Copernicus-Pretrain@d17e1098bd4fef52e7994805658434ce7e5800fc'
_ALIGNED = f'{_HUB}/ssl4eo_s_220k_aligned/example-{{000000..002255}}.tar'
_REST = f'{_HUB}/ssl4eo_s_220k_310k_union/example-{{002256..003210}}.tar'
_EXAMPLE = f'{_HUB}/example_100_grids/example_100_webdataset/example-{{000000..000009}}.tar'
#: Shards on the hub: cells with all modalities, those that lack some, both, and 100 cells to try.
PUBLISHED: dict[str, tuple[str, ...]] = {
    '220k_aligned': (_ALIGNED,),
    '220k_310k_union': (_REST,),
    '310k_union': (_ALIGNED, _REST),
    '100_example': (_EXAMPLE,),
}
_SCHEMES = ('http', 'https', 's3', 'hf')
_RANGE = re.compile(r'(\d+)\.\.(\d+)')
_MOST = 100_000


def shard_names(shards: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    """Return paths and addresses of shards, each once.

    Args:
        shards: Name of a published set (see `PUBLISHED`), path of a shard or of a folder of shards, an
            address (http, https, s3, hf), a pattern of these with braces (`{000..009}` or `{a,b}`), or a
            list of such.

    Raises:
        ValueError: If one is something else, comes twice, or a folder has no shards.
    """
    if isinstance(shards, str | Path):
        shards = [shards]
    if not isinstance(shards, Sequence) or not shards:
        raise ValueError(
            f'shards is {shards!r}; give a path, an address, a list of them, or one of {list(PUBLISHED)}.'
        )
    names: list[str] = []
    for given in shards:
        if not isinstance(given, str | Path):
            raise ValueError(f'{given!r} in shards is neither a path nor an address.')
        for pattern in PUBLISHED.get(str(given), (str(given),)):
            names += [name for each in expand_braces(pattern) for name in _files(each)]
    if twice := sorted(
        {name for name in names if names.count(name) > 1} if _any_twice(names) else ()
    ):
        raise ValueError(
            f'Shards {twice[:3]} come twice; every cell would be read twice in an epoch.'
        )
    # Always with a folder, so that each splits into folder and name.
    return tuple(name if '/' in name else f'./{name}' for name in names)


def expand_braces(pattern: str) -> list[str]:
    """Return the texts a pattern stands for, as a shell would, without one.

    `{000..009}` counts, as wide as its first number; `{a,b}` lists. Braces may follow, not contain, others.

    Raises:
        ValueError: If braces do not match, hold anything else, or stand for more than 100,000 texts.
    """
    head, opening, rest = pattern.partition('{')
    if '}' in head or not opening:
        if '}' in head:
            raise ValueError(f'{pattern!r} has a }} without {{.')
        return [pattern]
    body, closing, tail = rest.partition('}')
    if not closing or '{' in body:
        raise ValueError(f'{pattern!r} has braces that do not match, or lie within others.')
    found = _RANGE.fullmatch(body)
    if found:
        first, last = int(found[1]), int(found[2])
        if last < first:
            raise ValueError(f'{{{body}}} in {pattern!r} counts backwards.')
        if last - first >= _MOST:
            raise ValueError(f'{pattern!r} stands for more than {_MOST} shards.')
        choices = [f'{number:0{len(found[1])}d}' for number in range(first, last + 1)]
    elif ',' in body:
        choices = body.split(',')
    else:
        raise ValueError(
            f'{{{body}}} in {pattern!r} is neither a range {{000..009}} nor a list {{a,b}}.'
        )
    tails = expand_braces(tail)
    if len(choices) * len(tails) > _MOST:
        raise ValueError(f'{pattern!r} stands for more than {_MOST} shards.')
    return [f'{head}{choice}{end}' for choice in choices for end in tails]


def _any_twice(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _files(name: str) -> list[str]:
    """Return a shard, or those of a folder on disk."""
    scheme, separator, rest = name.partition('://')
    if separator:
        if scheme not in _SCHEMES or not rest or any(mark in rest for mark in ('?', '#', '::')):
            raise ValueError(
                f'{name!r} is no address of a shard. Allowed: {list(_SCHEMES)}, without query and chained '
                'protocols.'
            )
        if not name.endswith('.tar'):
            raise ValueError(f'{name!r} is no shard: its name does not end in .tar.')
        return [name]
    # A scheme without slashes, such as pipe:, is no path either; Windows drives have one letter.
    if re.match(r'[A-Za-z][A-Za-z0-9+.-]+:', name):
        raise ValueError(
            f'{name!r} is neither a path nor an address ({list(_SCHEMES)}); commands are not run.'
        )
    path = Path(name)
    if path.is_dir():
        found = sorted(str(file) for file in path.iterdir() if file.name.endswith('.tar'))
        if not found:
            raise ValueError(f'{name} has no shards (*.tar).')
        return found
    if not name.endswith('.tar'):
        raise ValueError(
            f'{name!r} is neither a folder nor a shard (*.tar), nor one of {list(PUBLISHED)}.'
        )
    return [name]
