"""A torrent's bytes in memory: for tests, simulations and data that is not to touch a disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from zope.interface import implementer

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import FileStamp, IStorage, MissingData, Place


@implementer(IStorage)
class MemoryStorage:
    """Keeps each piece that was written, and only those. `content` fills all of them from the start.

    It has neither names nor folders: a file that is skipped has no stamp.
    """

    def __init__(self, info: Info, content: bytes | None = None) -> None:
        self._info = info
        self._geometry = info.geometry
        self._pieces: dict[int, bytearray] = {}
        self._versions = [0] * len(self._geometry.file_sizes)  # how often each file was written: its mtime
        self._absent: frozenset[int] | None = None  # files that are not there; None before `prepare`
        if content is not None:
            self._fill(content)

    def prepare(self, skipped: frozenset[int] = frozenset()) -> None:
        if self._absent is None:
            self._absent = frozenset(file for file in skipped if not self._versions[file])
        self._absent &= skipped

    def read_into(self, index: int, begin: int, view: memoryview) -> None:
        self._check(index, begin, len(view))
        piece = self._pieces.get(index)
        if piece is None:
            raise MissingData(self._info.name, f"piece {index} was never written")
        view[:] = piece[begin : begin + len(view)]

    def write(self, index: int, begin: int, view: memoryview) -> None:
        self._check(index, begin, len(view))
        piece = self._pieces.get(index)
        if piece is None:
            piece = self._pieces[index] = bytearray(self._geometry.piece_size(index))
        piece[begin : begin + len(view)] = view
        for span in self._geometry.spans(index, begin, len(view)):
            self._versions[span.file] += 1

    def sync(self, everything: bool = False) -> None:
        pass

    def stamps(self) -> tuple[FileStamp | None, ...]:
        sizes = self._geometry.file_sizes
        return tuple(
            FileStamp(size, version, file + 1, 0) if self._is_here(file) else None
            for file, (size, version) in enumerate(zip(sizes, self._versions))
        )

    def part_stamp(self) -> FileStamp | None:
        version = sum(self._versions[file] for file in self._absent or ())
        return FileStamp(version, version, 0, 0) if version else None

    def rename(self, file: int, path: PurePosixPath) -> None:
        pass

    def take_over(self, folder: Path, paths: Sequence[PurePosixPath]) -> Iterator[int]:
        return iter(())

    def forget(self) -> None:
        for file in self._absent or ():
            self._versions[file] = 0

    def place(self) -> Place | None:
        return Place(0, 0)

    def holes(self, index: int) -> bool:
        return index not in self._pieces

    def occupied(self) -> bool:
        return bool(self._pieces)

    def close(self) -> None:
        pass

    def _is_here(self, file: int) -> bool:
        if self._absent is None:
            return self._versions[file] > 0
        return file not in self._absent

    def _fill(self, content: bytes) -> None:
        if len(content) != self._geometry.total_size:
            raise LocalProtocolError(f"{len(content)} bytes for a torrent of {self._geometry.total_size}")
        whole = memoryview(content)
        length = self._geometry.piece_length
        for index in range(self._geometry.num_pieces):
            self.write(index, 0, whole[index * length : (index + 1) * length])

    def _check(self, index: int, begin: int, length: int) -> None:
        if length and not self._geometry.is_block(index, begin, length):
            raise LocalProtocolError(f"{length} bytes at {begin} do not lie in piece {index}")
