"""A file that people edit while the tracker runs: read by a thread when it changes, kept if it is broken.

Each worker of a tracker reads its own copy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import ConfigError, StorageError
from bittwist.tracker.files import Stamp, named
from bittwist.tracker.threads import FilesReactor, in_thread

T = TypeVar("T")

_log = Logger()


class BrokenFile(ValueError):
    """What a file says cannot be used; `line` is 0 where it is no matter of one line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line


class WatchedFile(Generic[T]):
    """What a file says; `value` is replaced whole, in the reactor's thread.

    `read` makes the value of the open file, in a thread, or raises BrokenFile.
    """

    value: T

    def __init__(self, reactor: FilesReactor, path: Path, key: str, read: Callable[[BinaryIO], T]) -> None:
        self._reactor = reactor
        self._path = path
        self._key = key
        self._make = read
        self._seen: Stamp | None = None  # what was read last, good or broken; one thread at a time
        self._told = ""  # what was complained about last

    def load(self) -> None:
        """Read it now, in this thread: before the tracker serves. ConfigError if it cannot be used."""
        try:
            self.value = self._read()
        except StorageError as error:
            raise ConfigError(error.path, self._key, error.reason) from error
        except BrokenFile as error:
            raise ConfigError(str(self._path), self._key, str(error)) from error

    def reload(self) -> Deferred[None]:
        """Read it if it has changed; not while a call before has not ended. Fires in any case.

        A file that cannot be used is logged, once, and the old value stays.
        """
        return in_thread(self._reactor, self._changed).addCallbacks(self._took, self._broken)

    def _changed(self) -> tuple[T] | None:
        """The new value; None where the file is as it was."""
        if self._seen is not None and Stamp.at(self._path) == self._seen:
            return None
        return (self._read(),)

    def _read(self) -> T:
        with named(self._path), self._path.open("rb") as stream:
            # The stamp from before: what is written while this reads is found the next time.
            self._seen = Stamp.of(os.fstat(stream.fileno()))
            return self._make(stream)

    def _took(self, found: tuple[T] | None) -> None:
        if found is not None:
            (self.value,) = found
            self._told = ""
            _log.info("{file} has been read again", file=str(self._path))

    def _broken(self, failure: Failure) -> None:
        failure.trap(StorageError, BrokenFile)
        error = failure.value
        reason = error.reason if isinstance(error, StorageError) else failure.getErrorMessage()
        if reason != self._told:
            self._told = reason
            told = "{file} cannot be used, and what was read before stays: {reason}"
            _log.error(told, file=str(self._path), reason=reason)
