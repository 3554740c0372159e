"""A small file of ours that survives a crash: replaced whole or appended to, durable when that returns."""

from __future__ import annotations

import os
from pathlib import Path

from bittwist.storage.folder import mapped

_ASIDE = ".unreadable"
_NEW = ".new"


class StateFile:
    """The file at `path`, opened for each call: many torrents have one, and they are touched seldom.

    `replace` writes beside, syncs and renames (SECURITY.md F1): there is always the old content or the new.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes | None:
        """The content; None where there is no file."""
        with mapped(self._path):
            try:
                return self._path.read_bytes()
            except FileNotFoundError:
                return None

    def replace(self, content: bytes) -> None:
        new = self._path.with_name(self._path.name + _NEW)
        with mapped(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                _write_all(fd, content, 0)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.replace(new, self._path)
            self._sync_folder()

    def append(self, offset: int, content: bytes) -> None:
        """Write at `offset`, the end so far: what a failed call left there is written over."""
        with mapped(self._path):
            fd = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.ftruncate(fd, offset)
                _write_all(fd, content, offset)
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def set_aside(self) -> None:
        """Out of the way, but not lost to whoever wants to look at it."""
        with mapped(self._path):
            os.replace(self._path, self._path.with_name(self._path.name + _ASIDE))

    def remove(self) -> None:
        with mapped(self._path):
            self._path.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _write_all(fd: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    at = 0
    while at < len(view):
        at += os.pwrite(fd, view[at:], offset + at)
