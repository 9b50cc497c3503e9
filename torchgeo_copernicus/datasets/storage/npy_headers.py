"""A lock for files of NumPy's format, whose headers are Python.

NumPy hands them to the parser of CPython, which up to 3.11 counts its recursion for all threads together: when two
parse at once, one of them may fail with "SystemError: AST constructor recursion depth mismatch"
(python/cpython#106905). So one reads at a time.
"""

from __future__ import annotations

from threading import Lock

#: To hold while a header is read.
NPY_HEADERS = Lock()
