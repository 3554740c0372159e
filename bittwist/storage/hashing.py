"""Hashing files on all cores, to make a torrent of them (BEP 3). Blocks; knows no reactor."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha1
from itertools import accumulate
from pathlib import Path
from threading import local

from bittwist.errors import StorageError
from bittwist.metainfo.create import CreateOptions, create, piece_length_for
from bittwist.metainfo.metainfo import Metainfo
from bittwist.storage.folder import mapped
from bittwist.storage.scan import ScannedFile, scan
from bittwist.storage.spread import cores, spread

__all__ = ["ScannedFile", "create_torrent", "hash_tree", "scan"]

PART = 1 << 20  # bytes read and hashed at a time: fewer calls, and still in the core's cache
RUN = 8 << 20  # bytes of neighbouring pieces that one thread does in a row

Progress = Callable[[int, int], None]  # bytes hashed so far, and of how many


def create_torrent(
    path: Path,
    options: CreateOptions | None = None,
    *,
    name: str | None = None,
    piece_length: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Metainfo:
    """Make a torrent of a file or folder, called like it unless `name` says otherwise."""
    files = scan(path, include, exclude)
    length = piece_length or piece_length_for(sum(file.size for file in files))
    pieces = hash_tree(
        [file.path for file in files],
        length,
        sizes=[file.size for file in files],
        threads=threads,
        progress=progress,
        cancelled=cancelled,
    )
    listed = [(file.components, file.size, "") for file in files]
    return create(name or path.resolve().name, listed, length, pieces, options or CreateOptions())


def hash_tree(
    paths: Sequence[Path],
    piece_length: int,
    *,
    sizes: Sequence[int] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> bytes:
    """The SHA-1 of each piece of the files' contents one after the other, 20 bytes each.

    On a thread a core unless told otherwise. `progress` and `cancelled` are called in the caller's thread,
    ten times a second; concurrent.futures.CancelledError when `cancelled` says yes. StorageError if a file
    cannot be read or has not the size it is said to have.
    """
    tree = _Tree(paths, list(sizes) if sizes is not None else [_size(path) for path in paths], piece_length)
    look = (lambda: progress(tree.done, tree.total)) if progress is not None else None
    try:
        spread(tree.runs(), tree.hash, threads=threads or cores(), look=look, cancelled=cancelled)
    finally:
        tree.close()
    return bytes(tree.digests)


class _Tree:
    """Files as one row of bytes, and the digests of its pieces. Its threads touch different digests."""

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int], piece_length: int) -> None:
        self._paths = paths
        self._sizes = sizes
        self._starts = (0, *accumulate(sizes))
        self._piece_length = piece_length
        self._lanes: list[_Lane] = []
        self._own = local()
        self.total = self._starts[-1]
        self.digests = bytearray(-(-self.total // piece_length) * 20)

    @property
    def done(self) -> int:
        """Bytes hashed so far."""
        return sum(lane.done for lane in self._lanes)

    def runs(self) -> Iterator[range]:
        """The row in parts, each of whole pieces but for the last."""
        length = max(1, RUN // self._piece_length) * self._piece_length
        for start in range(0, self.total, length):
            yield range(start, min(start + length, self.total))

    def hash(self, run: range) -> None:
        lane = self._lane()
        length = self._piece_length
        digest = sha1(usedforsecurity=False)
        at, piece_end = run.start, run.start + length
        for part in lane.read(run):
            while part:
                fits = part[: piece_end - at]
                digest.update(fits)
                part = part[len(fits) :]
                at += len(fits)
                lane.done += len(fits)
                if at == piece_end or at == run.stop:
                    index = (at - 1) // length
                    self.digests[20 * index : 20 * index + 20] = digest.digest()
                    digest = sha1(usedforsecurity=False)
                    piece_end += length

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _lane(self) -> _Lane:
        lane: _Lane | None = getattr(self._own, "lane", None)
        if lane is None:
            lane = self._own.lane = _Lane(self._paths, self._sizes, self._starts)
            self._lanes.append(lane)
        return lane


class _Lane:
    """One thread's way through the files: its buffer and the file it has open."""

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int], starts: Sequence[int]) -> None:
        self._paths = paths
        self._sizes = sizes
        self._starts = starts
        self._buffer = memoryview(bytearray(PART))
        self._open: int | None = None  # which file
        self._fd = -1
        self.done = 0

    def read(self, run: range) -> Iterator[memoryview]:
        """The bytes of the run, a part at a time; each part is overwritten by the next."""
        at = run.start
        file = bisect_right(self._starts, at) - 1
        while at < run.stop:
            end = min(self._starts[file + 1], run.stop)
            while at < end:
                count = self._read(file, at - self._starts[file], min(PART, end - at))
                yield self._buffer[:count]
                at += count
            file += 1

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._open = None

    def _read(self, file: int, offset: int, count: int) -> int:
        path = self._paths[file]
        with mapped(path):
            if self._open != file:
                self.close()
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._open = file
                if os.fstat(self._fd).st_size != self._sizes[file]:
                    raise StorageError(str(path), "its size has changed")
            count = os.preadv(self._fd, [self._buffer[:count]], offset)
        if not count:
            raise StorageError(str(path), "it became shorter while it was read")
        return count


def _size(path: Path) -> int:
    with mapped(path):
        return os.stat(path).st_size
