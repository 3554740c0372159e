"""Standard output whose failures are errors of ours, to be told in a line."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bittwist.errors import StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME = "standard output"


@contextmanager
def named_output() -> Iterator[None]:
    """Meanwhile what cannot be written to standard output is a StorageError that names it.

    A reader who has gone is still BrokenPipeError: there is nobody to tell. Standard output that is no file
    stays as it is.
    """
    plain = sys.stdout
    buffer = getattr(plain, "buffer", None)  # none where it is closed, or a program's own
    raw = buffer if isinstance(buffer, io.RawIOBase) else getattr(buffer, "raw", None)
    if not isinstance(plain, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
        yield
        return
    plain.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Named(raw)),
        encoding=plain.encoding,
        errors=plain.errors,
        newline="\n",
        line_buffering=plain.line_buffering or raw is buffer,  # the second is `python -u`
    )
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout = plain


class _Named(io.RawIOBase):
    """Passes bytes on. After the first failure it takes them and lets them fall, so that it is told once."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._failed = False

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        if self._failed:
            return memoryview(data).nbytes
        try:
            written = self._raw.write(data)
            if written is None:  # a pipe that somebody made non-blocking, and that is full
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return written
        except OSError as error:
            self._failed = True
            if isinstance(error, BrokenPipeError):
                raise
            raise StorageError(NAME, error.strerror or str(error)) from error
