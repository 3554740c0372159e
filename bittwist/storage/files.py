"""A torrent's files on disk (BEP 3; pad files and links, BEP 47)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock, RLock
from typing import Literal, NamedTuple

from zope.interface import implementer

from bittwist.errors import StorageError
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.geometry import FileSpan
from bittwist.metainfo.info import Info
from bittwist.storage.folder import Folder, mapped
from bittwist.storage.interfaces import FileStamp, IStorage, MissingData, Place
from bittwist.storage.openfiles import OpenFiles
from bittwist.storage.parts import PartLayout
from bittwist.storage.relocate import IN_THE_WAY, begin, bring, copy_range, data_in, give_name, tidy, unlink

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
    torrent says is cut only when something is written to it. Bytes of files that are not there, because they
    are skipped, are in the part file (`PartLayout`), which is made when it is written to first.
    `paths` (one for each file, relative to `root`) is for files that have other names than the torrent gives.
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
        self._layout = PartLayout(info)
        self._parts_at = len(info.files)  # the number of the part file, which is known like any other
        self._paths = (*(paths if paths is not None else safe_paths(info)), self._layout.path)
        self._real = (*(entry.is_written for entry in info.files), True)
        self._open_files = open_files if open_files is not None else OpenFiles()
        self._patiently = self._open_files.patiently
        self._lock = Lock()  # guards the two below
        self._dirty: set[int] = set()  # files written since the last sync
        self._created: set[int] = set()  # files whose folder does not durably name them yet
        self._moving = RLock()  # held while a file is made or renamed, and by whoever needs that it is not
        self._here: dict[int, bool] = {}  # files that were met: whether they are there

    def prepare(self, skipped: frozenset[int] = frozenset()) -> None:
        with mapped(self._folder.root):
            self._patiently(self._folder.make)
        self._check_place()
        for file, path in enumerate(self._paths[:-1]):
            if not self._real[file]:
                continue
            if file in skipped:
                self._is_here(file)  # noted, so that one that appears later is known not to be ours
                continue
            with mapped(self._folder.root, path):
                self._make(file, path)
        self._drop_parts()

    def read_into(self, index: int, begin: int, view: memoryview) -> None:
        for span, part in self._spans(index, begin, view):
            if not self._real[span.file]:
                part[:] = bytes(span.length)
                continue
            with self._routed(index, span) as routed, self._lent(routed.file) as fd:
                self._read(fd, routed, part)

    def write(self, index: int, begin: int, view: memoryview) -> None:
        for span, part in self._spans(index, begin, view):
            if not self._real[span.file]:
                continue
            with self._routed(index, span, make=True) as routed:
                with self._lock:
                    self._dirty.add(routed.file)
                with self._lent(routed.file, writable=True) as fd:
                    _write(fd, routed.offset, part)

    def rename(self, file: int, path: PurePosixPath) -> None:
        with self._moving:
            self._check_place()
            old = self._paths[file]
            was, found = self._stamp(file), self._folder.stamp(path)
            if found is not None and (was is None or found.inode != was.inode):
                raise StorageError(str(self._folder.root / path), IN_THE_WAY)
            if self._is_here(file):
                for _ in bring(self._folder, old, self._folder, path, self._beside):
                    raise StorageError(str(self._folder.root / path), "it is on another file system")
            self._paths = (*self._paths[:file], path, *self._paths[file + 1 :])
            tidy(self._folder, old)

    def take_over(self, folder: Path, paths: Sequence[PurePosixPath]) -> Iterator[int]:
        source = Folder(folder)
        with mapped(folder):
            source.known = left = source.place()
        with mapped(self._folder.root):
            self._folder.make()
        for file, (old, new) in enumerate(zip((*paths, self._layout.path), self._paths)):
            if self._real[file] and (folder, old) != (self._folder.root, new):
                # Between two files a drive may have gone, and what is there now be its empty mount point.
                source.check(left)
                self._check_place()
                yield from bring(source, old, self._folder, new, self._beside)
                tidy(source, old)
        self.close()

    def forget(self) -> None:
        with self._moving:
            self._remove_parts()

    def sync(self, everything: bool = False) -> None:
        with self._lock:
            dirty, self._dirty = self._dirty, set()
            created, self._created = self._created, set()
        try:
            if everything:
                stamps = (*self.stamps(), self.part_stamp())
                dirty = {file for file, stamp in enumerate(stamps) if stamp is not None}
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
        return tuple(self._stamp(file) for file in range(self._parts_at))

    def part_stamp(self) -> FileStamp | None:
        return self._stamp(self._parts_at)

    def place(self) -> Place | None:
        with mapped(self._folder.root):
            return self._folder.place()

    def holes(self, index: int) -> bool:
        size = self._geometry.piece_size(index)
        return all(self._is_hole(index, span) for span in self._geometry.spans(index, 0, size))

    def occupied(self) -> bool:
        return any(stamp is not None and stamp.size > 0 for stamp in self.stamps())

    def close(self) -> None:
        self._open_files.forget(lambda key: isinstance(key, _Key) and key.storage == id(self))
        self._folder.known = None
        self._here.clear()

    def _spans(self, index: int, begin: int, view: memoryview) -> Iterator[tuple[FileSpan, memoryview]]:
        at = 0
        for span in self._geometry.spans(index, begin, len(view)):
            yield span, view[at : at + span.length]
            at += span.length

    @contextmanager
    def _routed(self, index: int, span: FileSpan, *, make: bool = False) -> Iterator[FileSpan]:
        """Where the bytes really are: in their file, or while that is not there in the part file."""
        if self._is_here(span.file):
            yield span
            return
        with self._moving:
            routed = None
            if not self._is_here(span.file):
                begin = (
                    self._geometry.file_start(span.file) + span.offset - index * self._geometry.piece_length
                )
                routed = self._layout.place(index, begin, span.length)
                if routed is not None and make and self._folder.create(self._layout.path):
                    with self._lock:
                        self._created.add(self._parts_at)
            yield routed or span

    def _is_here(self, file: int) -> bool:
        here = self._here.get(file)
        if here is None:
            here = self._here[file] = self._stamp(file) is not None
        return here

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
            with self._moving:
                fd = self._folder.open(self._paths[file], writable=writable)
            size = self._size(file)
            if writable and os.fstat(fd).st_size > size:
                os.ftruncate(fd, size)
            return fd

        return _Key(id(self), file, writable), opener

    def _check_place(self) -> None:
        """Refuse to touch another folder than the one the files were met in (SECURITY.md F3, T32)."""
        if (known := self._folder.known) is not None:
            self._folder.check(known)
            return
        place = self.place()
        if place is None:
            raise MissingData(str(self._folder.root), "there is no such folder")
        self._folder.known = place

    def _size(self, file: int) -> int:
        return self._layout.size if file == self._parts_at else self._geometry.file_sizes[file]

    def _make(self, file: int, path: PurePosixPath) -> None:
        stamp = self._patiently(partial(self._folder.stamp, path))
        with self._moving:
            if stamp is None:
                if not self._patiently(partial(self._create, file, path)):
                    raise StorageError(
                        str(self._folder.root / path), "something that is no regular file is in the way"
                    )
                with self._lock:
                    self._created.add(file)
                self._here[file] = True
            elif not self._is_here(file):
                raise StorageError(str(self._folder.root / path), IN_THE_WAY)
        size = self._geometry.file_sizes[file]
        if self._allocation == "full" and (stamp.size if stamp else 0) < size:
            with self._lent(file, writable=True) as fd:
                os.posix_fallocate(fd, 0, size)

    def _create(self, file: int, path: PurePosixPath) -> bool:
        """Make a file, at once with all that the part file holds of it; False if its name is taken."""
        shared = self._layout.shared(file)
        if not shared or self.part_stamp() is None:
            return self._folder.create(path)
        with self._lent(self._parts_at) as parts, self._folder.parent_of(path, make=True) as parent:
            try:
                fd = begin(self._beside, parent)
                try:
                    for at, kept in self._kept(file, shared):
                        for offset, length in data_in(parts, kept.offset, kept.offset + kept.length):
                            copy_range(parts, offset, fd, at + offset - kept.offset, length)
                    os.fsync(fd)
                finally:
                    os.close(fd)
                give_name(self._beside, path.name, parent)
            except OSError as error:
                unlink(self._beside, parent)
                if isinstance(error, FileExistsError):
                    return False
                raise
            os.fsync(parent)
            return True

    def _kept(self, file: int, shared: Sequence[int]) -> Iterator[tuple[int, FileSpan]]:
        """What the part file may hold of a file: from which of its bytes on, and where in the part file."""
        geometry = self._geometry
        for index in shared:
            for span in geometry.spans(index, 0, geometry.piece_size(index)):
                begin = geometry.file_start(span.file) + span.offset - index * geometry.piece_length
                kept = self._layout.place(index, begin, span.length)
                if span.file == file and kept is not None:
                    yield span.offset, kept

    def _drop_parts(self) -> None:
        """Remove the part file when every file is there that it could hold bytes of."""
        with self._moving:
            if self.part_stamp() is None:
                return
            for path in {path.parent: path for path in self._paths}.values():
                self._folder.remove(
                    path.with_name(self._beside)
                )  # what was unfinished when it was interrupted
            geometry = self._geometry
            for index in self._layout.slots:
                for span in geometry.spans(index, 0, geometry.piece_size(index)):
                    if self._real[span.file] and not self._is_here(span.file):
                        return
            self._remove_parts()

    def _remove_parts(self) -> None:
        with mapped(self._folder.root, self._layout.path):
            self._open_files.forget(
                lambda key: isinstance(key, _Key) and key[:2] == (id(self), self._parts_at)
            )
            with self._lock:
                self._dirty.discard(self._parts_at)
                self._created.discard(self._parts_at)
            self._folder.remove(self._layout.path)
            tidy(self._folder, self._layout.path)

    @property
    def _beside(self) -> str:
        """The name of a file that is not finished, in the folder it will be in."""
        return f".{self._info.info_hash}.unfinished"

    def _stamp(self, file: int) -> FileStamp | None:
        if not self._real[file]:
            return None
        with mapped(self._folder.root / self._paths[file]):
            return self._patiently(partial(self._folder.stamp, self._paths[file]))

    def _is_hole(self, index: int, span: FileSpan) -> bool:
        if not self._real[span.file]:
            return True
        try:
            with self._routed(index, span) as routed, self._lent(routed.file) as fd:
                return os.lseek(fd, routed.offset, os.SEEK_DATA) >= routed.offset + routed.length
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
