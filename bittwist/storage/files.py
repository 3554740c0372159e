"""A torrent's files on disk (BEP 3; pad files and links, BEP 47)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Literal, NamedTuple

from zope.interface import implementer

from bittwist.errors import FolderGone, StorageError
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.geometry import FileSpan
from bittwist.metainfo.info import Info
from bittwist.storage.folder import Folder, mapped
from bittwist.storage.interfaces import FileStamp, IStorage, MissingData, Place
from bittwist.storage.openfiles import OpenFiles

Allocation = Literal["sparse", "full"]  # room as it is written, or all of it beforehand


class _Key(NamedTuple):
    """Under which name a file is known to OpenFiles."""

    storage: int
    file: int
    writable: bool


@implementer(IStorage)
class FileStorage:
    """The files of one torrent below the folder `root`, by pread and pwrite.

    Files and folders are made by `prepare` and nothing else: a write to a file that has since been removed,
    or whose folder is no longer the one it was (a drive that was taken away), is an error and makes nothing.
    Pad files are never written and read as zeros; links are neither made nor followed; a file longer than the
    torrent says is cut only when something is written to it.
    `paths` (one for each file, relative to `root`) is for a share that has other names than the torrent.
    """

    def __init__(
        self,
        root: Path,
        info: Info,
        *,
        allocation: Allocation = "sparse",
        paths: Sequence[PurePosixPath] | None = None,
        open_files: OpenFiles | None = None,
    ) -> None:
        self._info = info
        self._geometry = info.geometry
        self._folder = Folder(root)
        self._allocation = allocation
        self._paths = tuple(paths) if paths is not None else safe_paths(info)
        self._real = tuple(not entry.is_pad and not entry.is_symlink for entry in info.files)
        self._open_files = open_files if open_files is not None else OpenFiles()
        self._patiently = self._open_files.patiently
        self._lock = Lock()  # guards the three below
        self._place: Place | None = None  # where the files were, when they were first met
        self._dirty: set[int] = set()  # files written since the last sync
        self._created: set[int] = set()  # files whose folder does not durably name them yet

    def prepare(self) -> None:
        with mapped(self._folder.root):
            self._patiently(self._folder.make)
        self._check_place()
        for file, path in enumerate(self._paths):
            if self._real[file]:
                with mapped(self._folder.root / path):
                    self._make(file, path)

    def read_into(self, index: int, begin: int, view: memoryview) -> None:
        for span, part in self._parts(index, begin, view):
            if self._real[span.file]:
                with self._lent(span.file) as fd:
                    self._read(fd, span, part)
            else:
                part[:] = bytes(span.length)

    def write(self, index: int, begin: int, view: memoryview) -> None:
        for span, part in self._parts(index, begin, view):
            if self._real[span.file]:
                with self._lock:
                    self._dirty.add(span.file)
                with self._lent(span.file, writable=True) as fd:
                    _write(fd, span.offset, part)

    def sync(self, everything: bool = False) -> None:
        with self._lock:
            dirty, self._dirty = self._dirty, set()
            created, self._created = self._created, set()
        try:
            if everything:
                dirty = {file for file, stamp in enumerate(self.stamps()) if stamp is not None}
            for file in sorted(dirty):
                with self._lent(file) as fd:
                    _sync(fd)
            folders = {self._paths[file].parent: self._paths[file] for file in sorted(created)}
            for path in folders.values():
                with mapped(self._folder.root / path):
                    self._patiently(partial(self._folder.sync, path))
        except StorageError:
            with self._lock:
                self._dirty |= dirty
                self._created |= created
            raise

    def stamps(self) -> tuple[FileStamp | None, ...]:
        return tuple(self._stamp(file) for file in range(len(self._paths)))

    def place(self) -> Place | None:
        with mapped(self._folder.root):
            return self._folder.place()

    def holes(self, index: int) -> bool:
        size = self._geometry.piece_size(index)
        return all(self._is_hole(span) for span in self._geometry.spans(index, 0, size))

    def occupied(self) -> bool:
        return any(stamp is not None and stamp.size > 0 for stamp in self.stamps())

    def close(self) -> None:
        self._open_files.forget(lambda key: isinstance(key, _Key) and key.storage == id(self))
        with self._lock:
            self._place = None

    def _parts(self, index: int, begin: int, view: memoryview) -> Iterator[tuple[FileSpan, memoryview]]:
        at = 0
        for span in self._geometry.spans(index, begin, len(view)):
            yield span, view[at : at + span.length]
            at += span.length

    @contextmanager
    def _lent(self, file: int, *, writable: bool = False) -> Iterator[int]:
        """The open file, for as long as it is the one that is in the folder."""
        root, path = self._folder.root, self._paths[file]
        self._check_place()
        try:
            with mapped(root, path), self._open_files.lend(*self._lease(file, writable)) as fd:
                if not os.fstat(fd).st_nlink:
                    raise StorageError(str(root / path), "the file was removed")
                yield fd
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError) and not writable:
                raise MissingData(error.path, error.reason) from error
            raise

    def _lease(self, file: int, writable: bool) -> tuple[_Key, Callable[[], int]]:
        def opener() -> int:
            fd = self._folder.open(self._paths[file], writable=writable)
            if writable and os.fstat(fd).st_size > self._geometry.file_sizes[file]:
                os.ftruncate(fd, self._geometry.file_sizes[file])
            return fd

        return _Key(id(self), file, writable), opener

    def _check_place(self) -> None:
        """Refuse to touch another folder than the one the files were met in (SECURITY.md F3, T32)."""
        place = self.place()
        if place is not None and self._place is None:
            with self._lock:
                self._place = place
        elif place is None and self._place is None:
            raise MissingData(str(self._folder.root), "there is no such folder")
        elif place != self._place:
            reason = "the folder is gone" if place is None else "the folder is not the one it was"
            found = None if place is None else (place.device, place.inode)
            raise FolderGone(str(self._folder.root), reason, found)

    def _make(self, file: int, path: PurePosixPath) -> None:
        stamp = self._patiently(partial(self._folder.stamp, path))
        if stamp is None:
            if not self._patiently(partial(self._folder.create, path)):
                raise StorageError(
                    str(self._folder.root / path), "something that is no regular file is in the way"
                )
            with self._lock:
                self._created.add(file)
        size = self._geometry.file_sizes[file]
        if self._allocation == "full" and (stamp.size if stamp else 0) < size:
            with self._lent(file, writable=True) as fd:
                os.posix_fallocate(fd, 0, size)

    def _stamp(self, file: int) -> FileStamp | None:
        if not self._real[file]:
            return None
        with mapped(self._folder.root / self._paths[file]):
            return self._patiently(partial(self._folder.stamp, self._paths[file]))

    def _is_hole(self, span: FileSpan) -> bool:
        if not self._real[span.file]:
            return True
        try:
            with self._lent(span.file) as fd:
                return os.lseek(fd, span.offset, os.SEEK_DATA) >= span.offset + span.length
        except StorageError as error:
            cause = error.__cause__
            if isinstance(error, MissingData) or (isinstance(cause, OSError) and cause.errno == errno.ENXIO):
                return True  # ENXIO: from here on there is nothing but hole, or the file ends before it
            raise

    def _read(self, fd: int, span: FileSpan, view: memoryview) -> None:
        at = 0
        while at < span.length:
            count = os.preadv(fd, [view[at:]], span.offset + at)
            if not count:
                path = self._folder.root / self._paths[span.file]
                raise MissingData(str(path), f"ends before byte {span.offset + span.length}")
            at += count


def _write(fd: int, offset: int, view: memoryview) -> None:
    at = 0
    while at < len(view):
        at += os.pwrite(fd, view[at:], offset + at)


def _sync(fd: int) -> None:
    try:
        os.fdatasync(fd)
    except OSError:
        # The system takes the pages for written now: let go of them, so that the next read sees the disk.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        raise
