"""Reads a gzipped JSON object of any size entry by entry."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_CHUNK = 1 << 22
#: An entry of more characters is refused: those of the published lists have tens of thousands.
LARGEST_ENTRY = 1 << 25


def json_entries(path: Path, largest: int = LARGEST_ENTRY) -> Iterator[tuple[str, object, str]]:
    """Yield the key, the value and the text of the value of each entry; never more than some in memory.

    Args:
        path: A `.json.gz`.
        largest: Characters an entry may have.

    Raises:
        ValueError: If it is missing, cut off, no gzip, or no JSON object.
    """
    try:
        with gzip.open(path, 'rt', encoding='utf-8') as file:
            yield from _Window(file, largest).entries()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}); it is missing, cut off or no gzipped JSON object.'
        ) from error


class _Window:
    """The part of a text that is being read."""

    def __init__(self, file: TextIO, largest: int) -> None:
        self._file, self._largest = file, largest
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._over = '', 0, False

    def entries(self) -> Iterator[tuple[str, object, str]]:
        self._expect('{')
        closed = self._follows('}')
        while not closed:
            key, _ = self._value()
            if not isinstance(key, str):
                raise ValueError(f'{str(key)[:40]} is no key')
            self._expect(':')
            yield key, *self._value()
            closed = self._follows('}')
            if not closed:
                self._expect(',')
        if self._next():
            raise ValueError('something follows the object')

    def _more(self) -> None:
        chunk = self._file.read(max(_CHUNK, len(self._text) - self._at))
        self._over = not chunk
        self._text, self._at = self._text[self._at :] + chunk, 0

    def _next(self) -> str:
        """Return the next character that is not white space, or nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in ' \t\r\n':
                    return self._text[self._at]
                self._at += 1
            if self._over:
                return ''
            self._more()

    def _follows(self, mark: str) -> bool:
        found = self._next() == mark
        self._at += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._follows(mark):
            raise ValueError(f'{self._next()!r} is where {mark!r} should be')

    def _value(self) -> tuple[object, str]:
        """Return a value and its text."""
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                # It may only be that the rest of it has not been read yet.
                if self._over or len(self._text) - self._at > self._largest:
                    raise ValueError(
                        f'an entry is damaged, too large or too deep: {error}'
                    ) from error
                self._more()
                continue
            text, self._at = self._text[self._at : end], end
            return value, text
