"""Reaching files below one folder without ever leaving it: no symbolic link on the way is followed.

Every step goes through the descriptor of the folder before it (`openat`, `O_NOFOLLOW`), so that nothing that
is put in the way in the meantime leads elsewhere. Needs a POSIX system.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bittwist.errors import DiskFull, FolderGone, StorageError
from bittwist.storage.interfaces import FileStamp, Place

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that lies in the way must not wait for its other end.
FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})  # which of them a link is depends on the system


class NotAFolder(StorageError):
    """Something else is at `path`, where a folder should be."""

    def __init__(self, path: Path, mode: int) -> None:
        kinds = ((stat.S_ISLNK, "is a link"), (stat.S_ISREG, "is a file"))
        super().__init__(str(path), next((kind for test, kind in kinds if test(mode)), "is no folder"))


class Folder:
    """The folder a torrent is saved in. It may be reached by links: its path is the user's own choice."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: Place | None = None  # once set, another folder at `root` is not entered: FolderGone

    def place(self) -> Place | None:
        try:
            found = os.stat(self.root)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Place(found.st_dev, found.st_ino)

    def check(self, was: Place | None) -> None:
        """FolderGone unless it is the one it was: a drive may have been taken away (SECURITY.md F3)."""
        with mapped(self.root):
            place = self.place()
        if place != was:
            raise self._gone(place)

    def _gone(self, place: Place | None) -> FolderGone:
        reason = "the folder is gone" if place is None else "the folder is not the one it was"
        found = None if place is None else (place.device, place.inode)
        return FolderGone(str(self.root), reason, found)

    def make(self) -> None:
        """Make the folder itself, if it is not there, and that durable."""
        try:
            self.root.mkdir(parents=True)
        except FileExistsError as error:
            if (wrong := not_a_folder(self.root)) is not None:
                raise wrong from error
            return
        fd = os.open(self.root.parent, _FOLDER)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextmanager
    def parent_of(self, path: PurePosixPath, *, make: bool = False) -> Iterator[int]:
        """The descriptor of the folder that `path` is in; with `make`, folders that are missing are made.

        StorageError, naming the folder, where one on the way is none or may not be entered; else OSError.
        """
        fd = os.open(self.root, _FOLDER)
        try:
            found = os.fstat(fd)
            entered = Place(found.st_dev, found.st_ino)
            if self.known not in (None, entered):
                raise self._gone(entered)
            for depth, name in enumerate(path.parts[:-1], 1):
                if make:
                    try:
                        os.mkdir(name, dir_fd=fd)
                        os.fsync(fd)
                    except FileExistsError:
                        pass
                try:
                    below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
                except OSError as error:
                    if error.errno in _NO_FOLDER:
                        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
                        raise NotAFolder(self.root.joinpath(*path.parts[:depth]), mode) from error
                    if isinstance(error, PermissionError):
                        place = str(self.root.joinpath(*path.parts[:depth]))
                        raise StorageError(place, os.strerror(errno.EACCES)) from error
                    raise
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def open(self, path: PurePosixPath, *, writable: bool = False) -> int:
        """A descriptor of the regular file at `path`."""
        with self.parent_of(path) as parent:
            fd = os.open(path.name, FILE | (os.O_RDWR if writable else os.O_RDONLY), dir_fd=parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StorageError(str(self.root / path), "not a regular file")
        return fd

    def create(self, path: PurePosixPath) -> bool:
        """Make an empty file, and the folders it is in; False if there is something of that name already."""
        with self.parent_of(path, make=True) as parent:
            try:
                fd = os.open(path.name, FILE | os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666, dir_fd=parent)
            except FileExistsError:
                return False
            os.close(fd)
            return True

    def sync(self, path: PurePosixPath) -> None:
        """Make durable that `path` is there."""
        with self.parent_of(path) as parent:
            os.fsync(parent)

    def remove(self, path: PurePosixPath) -> None:
        """Remove the file at `path`, if there is one."""
        try:
            with self.parent_of(path) as parent:
                os.unlink(path.name, dir_fd=parent)
        except FileNotFoundError:
            pass

    def stamp(self, path: PurePosixPath) -> FileStamp | None:
        """What the file at `path` looks like; None where nothing is, or something that is no regular file."""
        try:
            with self.parent_of(path) as parent:
                found = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError, NotAFolder):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return FileStamp(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)


@contextmanager
def mapped(path: Path, *below: PurePosixPath) -> Iterator[None]:
    """Turn what the system refuses into StorageError and DiskFull, with the path and the system's reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise DiskFull(str(path.joinpath(*below)), reason) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST) and (wrong := not_a_folder(path)) is not None:
            raise wrong from error
        if error.errno == errno.ELOOP:
            reason = "a symbolic link is in the way"
        raise StorageError(str(path.joinpath(*below)), reason) from error


def not_a_folder(path: Path) -> NotAFolder | None:
    """What is on the way to `path`, which the user chose, or there, and leads to no folder."""
    for place in (*reversed(path.parents), path):
        if os.path.lexists(place) and not place.is_dir():
            return NotAFolder(place, os.lstat(place).st_mode)
    return None
