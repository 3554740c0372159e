"""A bounded number of open files for all the torrents of a process."""

from __future__ import annotations

import errno
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

MAX_OPEN = 64  # idle descriptors kept; two threads and a piece over many small files need few at once
PATIENCE = (
    0.05,
    0.1,
    0.2,
    0.4,
    0.8,
    1.0,
    1.0,
    1.0,
)  # waits when the process has no descriptor left: 4.5 s in all


@dataclass(slots=True)
class _OpenFile:
    fd: int
    users: int = 0


class OpenFiles:
    """Lends file descriptors, keeps idle ones for the next user, and closes the longest idle over `limit`.

    Used from several threads. When the process has no descriptor left all idle ones are closed, and the
    opening is tried again for a few seconds: running out passes, and is no reason to fail a torrent.
    """

    def __init__(self, limit: int = MAX_OPEN, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._limit = limit
        self._sleep = sleep
        self._lock = Lock()
        self._files: OrderedDict[Hashable, _OpenFile] = OrderedDict()

    @contextmanager
    def lend(self, key: Hashable, opener: Callable[[], int]) -> Iterator[int]:
        """The descriptor known as `key`, opened by `opener` if it is not open."""
        file = self._take(key) or self._add(key, self.patiently(opener))
        try:
            yield file.fd
        finally:
            self._give_back(key, file)

    def patiently(self, opener: Callable[[], T]) -> T:
        """Call `opener`, and again while there are no descriptors to be had."""
        for wait in PATIENCE:
            try:
                return opener()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
            if not self._close_idle(keep=0):
                self._sleep(wait)
        return opener()

    def forget(self, owner: Callable[[Hashable], bool]) -> None:
        """Close those whose key `owner` says yes to; one that is lent is closed when it comes back."""
        with self._lock:
            gone = [key for key in self._files if owner(key)]
            files = [self._files.pop(key) for key in gone]
            idle = [file.fd for file in files if not file.users]
        _close(idle)

    def __len__(self) -> int:
        return len(self._files)

    def _take(self, key: Hashable) -> _OpenFile | None:
        with self._lock:
            file = self._files.get(key)
            if file is not None:
                file.users += 1
                self._files.move_to_end(key)
            return file

    def _add(self, key: Hashable, fd: int) -> _OpenFile:
        with self._lock:
            file = self._files.get(key)
            if file is None:
                file = self._files[key] = _OpenFile(fd)
                fd = -1
            file.users += 1
        if fd >= 0:  # another thread opened it at the same time
            _close([fd])
        return file

    def _give_back(self, key: Hashable, file: _OpenFile) -> None:
        with self._lock:
            file.users -= 1
            forgotten = self._files.get(key) is not file and not file.users
            full = len(self._files) > self._limit
        if forgotten:
            _close([file.fd])
        if full:
            self._close_idle(keep=self._limit)

    def _close_idle(self, keep: int) -> bool:
        with self._lock:
            idle = [key for key, file in self._files.items() if not file.users]
            gone = idle[: max(0, len(self._files) - keep)]
            fds = [self._files.pop(key).fd for key in gone]
        _close(fds)
        return bool(fds)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
