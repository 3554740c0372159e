"""A file from one name to another, in the same folder or another file system, never over anything.

Whenever it is interrupted the file is whole under its old name or its new one (or both, the same), and doing
it again finishes it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import PurePosixPath

from bittwist.errors import StorageError
from bittwist.metainfo.names import fold
from bittwist.storage.folder import FILE, Folder, mapped

CHUNK = 1 << 20  # bytes copied at once: what a stop waits for
COARSEST_TIME = 2_000_000_000  # nanoseconds: what FAT tells times to
IN_THE_WAY = "something else has that name"

# What file systems say that know no hard links, or do not allow one here.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def bring(
    source: Folder, old: PurePosixPath, target: Folder, new: PurePosixPath, beside: str
) -> Iterator[int]:
    """Give the file at `old` of `source` the name `new` in `target`; nothing where there is no such file.

    Yields now and then, while it copies, how many bytes it copied. `beside` is the name of an unfinished
    copy, in the folder of `new`. StorageError where `new` is another file. A copy has the old one's time, so
    that what vouches for the file still holds.

    A file of the same size and time at `new` is taken for a copy that was finished before an interruption:
    see first that nothing is there.
    """
    with mapped(source.root, old):
        if source.stamp(old) is None:
            return
    with (
        mapped(source.root, old),
        source.parent_of(old) as there,
        mapped(target.root, new),
        target.parent_of(new, make=True) as here,
    ):
        with mapped(source.root, old):  # its drive may have gone since
            was = os.stat(old.name, dir_fd=there)
        found = _found(new.name, here)
        if found is not None and not _same(was, found):
            raise StorageError(str(target.root / new), IN_THE_WAY)
        if fold(old.name) == fold(new.name) and os.path.samestat(os.fstat(there), os.fstat(here)):
            os.rename(old.name, new.name, src_dir_fd=there, dst_dir_fd=here)
            os.fsync(here)
            return
        if found is None and not _link(old.name, there, new.name, here):
            yield from _copy(source, old, beside, here)
            give_name(beside, new.name, here)
        unlink(beside, here)
        os.fsync(here)
        with mapped(source.root, old):
            unlink(old.name, there)
            os.fsync(there)


def begin(beside: str, folder: int) -> int:
    """A descriptor of a new file for what is not finished.

    One that is there already is never written to: after an interruption it may be a finished file.
    """
    unlink(beside, folder)
    return os.open(beside, FILE | os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666, dir_fd=folder)


def give_name(beside: str, name: str, folder: int) -> None:
    """Give a file that is finished its name; FileExistsError where something has it."""
    _link(beside, folder, name, folder)
    unlink(beside, folder)


def tidy(folder: Folder, path: PurePosixPath) -> None:
    """Remove the folders a file was in that nothing is in any more, up to `folder` itself."""
    for parent in list(path.parents)[:-1]:
        try:
            with folder.parent_of(parent) as above:
                os.rmdir(parent.name, dir_fd=above)
        except (OSError, StorageError):
            return  # something else is in it, or it is gone


def _found(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _same(was: os.stat_result, found: os.stat_result) -> bool:
    """Whether `found` is the file itself, or a whole copy of it that was made before an interruption."""
    if os.path.samestat(was, found):
        return True
    age = abs(was.st_mtime_ns - found.st_mtime_ns)
    return stat.S_ISREG(found.st_mode) and was.st_size == found.st_size and age <= COARSEST_TIME


def _link(old: str, there: int, new: str, here: int) -> bool:
    """Give a file a second name, or a new one where it cannot have two; False if on another file system."""
    try:
        os.link(old, new, src_dir_fd=there, dst_dir_fd=here, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        if error.errno not in _NO_LINKS:
            raise
        if _found(new, here) is not None:
            raise FileExistsError(errno.EEXIST, IN_THE_WAY) from None
        os.rename(old, new, src_dir_fd=there, dst_dir_fd=here)
    return True


def unlink(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass  # it was renamed, not linked


def _copy(source: Folder, old: PurePosixPath, beside: str, here: int) -> Iterator[int]:
    """A durable copy, holes and all; what is unfinished when this is given up is removed."""
    finished = False
    with mapped(source.root, old):
        reading = source.open(old)
    try:
        writing = begin(beside, here)
        try:
            found = os.fstat(reading)
            os.ftruncate(writing, found.st_size)
            for offset, length in data_in(reading, 0, found.st_size):
                yield copy_range(reading, offset, writing, offset, length)
            os.utime(writing, ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fchmod(writing, stat.S_IMODE(found.st_mode) & 0o777)
            os.fsync(writing)
            finished = True
        finally:
            os.close(writing)
            if not finished:
                unlink(beside, here)
    finally:
        os.close(reading)


def data_in(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of what is no hole between two bytes of a file, at most CHUNK at once."""
    at = start
    while at < end:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
            hole = min(os.lseek(fd, at, os.SEEK_HOLE), end)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # nothing but hole from here on
            raise
        while at < hole:
            length = min(CHUNK, hole - at)
            yield at, length
            at += length


def copy_range(reading: int, offset: int, writing: int, to: int, length: int) -> int:
    """Copy bytes from one open file to another; how many."""
    copied = 0
    while copied < length:
        chunk = os.pread(reading, length - copied, offset + copied)
        if not chunk:
            break
        while chunk:
            written = os.pwrite(writing, chunk, to + copied)
            chunk = chunk[written:]
            copied += written
    return copied
