"""Files as the tracker keeps them: replaced whole, and known by a stamp. All of it blocks: for threads."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bittwist.errors import DiskFull, StorageError

_NEW = ".new"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file does: whoever edits it, in place or by renaming."""

    mtime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        return cls(found.st_mtime_ns, found.st_size, found.st_ino)

    @classmethod
    def at(cls, path: Path) -> Stamp | None:
        """The stamp of the file there now; None where there is none."""
        with named(path):
            try:
                return cls.of(os.stat(path))
            except FileNotFoundError:
                return None


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn what the system refuses into StorageError and DiskFull with the path and the system's reason."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _FULL else StorageError
        raise kind(str(path), error.strerror or str(error)) from error


def replace_file(path: Path, content: Iterator[bytes]) -> None:
    """Write beside, sync, rename (SECURITY.md F1): there is always the old content or the new."""
    new = path.with_name(path.name + _NEW)
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as stream:
            for piece in content:
                stream.write(piece)
            stream.flush()
            os.fsync(fd)
        os.replace(new, path)
        sync_folder(path)


def sync_folder(path: Path) -> None:
    """Make durable that a file of this name is in its folder."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
